"""Tariff versions and contracts."""
