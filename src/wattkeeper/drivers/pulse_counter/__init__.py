"""Pulse counters that publish their dial positions as JSON."""
