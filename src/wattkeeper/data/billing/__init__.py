"""Tariffs, contracts, bills and their lines."""
