"""The readings store: one dialect from a laptop to a cluster."""
