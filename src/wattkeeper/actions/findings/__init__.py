"""What people do with findings."""
