"""Findings with evidence and the events devices report."""
