"""Dirty windows to derived, validated, estimated measurements. Ports only."""
