"""Meters that speak DL/T 645-2007."""

from wattkeeper.drivers.dlt645_2007.driver import make_driver

__all__ = ["make_driver"]
