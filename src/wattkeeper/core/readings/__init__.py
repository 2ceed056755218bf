"""Registers to intervals: rollover, continuity, multipliers, reconciliation."""
