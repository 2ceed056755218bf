"""Readings that come from files."""
