"""Validation as data: rule sets with effective dates for groups of series, and manual edits."""
