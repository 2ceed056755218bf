"""Energy meters on Modbus: a register map and an interval log."""
