"""Wattkeeper (电表管家): the open meter-to-cash system that keeps every watt-hour accounted for."""
