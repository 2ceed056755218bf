"""DLMS/COSEM three-phase meters over the TCP wrapper."""
