"""Bytes to fields and back, sans-I/O, one folder per standard."""
