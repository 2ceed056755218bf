"""DLMS/COSEM three-phase meters over the TCP wrapper."""

from wattkeeper.drivers.dlms_three_phase.driver import make_driver

__all__ = ["make_driver"]
