"""Meters that speak DL/T 645-2007."""
