"""Calendars, time of use, tiers, fixed charges: what a quantity costs."""
