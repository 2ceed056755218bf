"""Pulse counters that publish their dial positions as JSON."""

from wattkeeper.drivers.pulse_counter.driver import make_driver

__all__ = ["make_driver"]
