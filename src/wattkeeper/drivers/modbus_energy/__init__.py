"""Energy meters on Modbus: a register map and an interval log."""

from wattkeeper.drivers.modbus_energy.driver import make_driver

__all__ = ["make_driver"]
