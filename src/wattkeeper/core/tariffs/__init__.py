"""Calendars, time of use, tiers, fixed charges: what a quantity costs.

`parse_tariff` (parse.py) turns a document into a `Tariff` (model.py); `rate_of_intervals` (calendar.py), the
cells of tiers.py and the spans of proration.py are what bills are made of.
"""
