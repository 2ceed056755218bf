"""Long-running processes and their signals."""
