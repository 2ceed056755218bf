"""Exact numbers as text."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from wattkeeper.core.billing.document import exact_text
from wattkeeper.core.kernel.reading_types import READING_TYPES

MILLIWH_PER_KWH = 10**6
_UNITLESS = {"ratio", "code"}


def counts_text(value_count: int, step: Fraction) -> str:
    """Return counts of a step as decimal text with all the digits that the step has."""
    whole, _, digits = exact_text(step).partition(".")
    if "/" in whole:
        return exact_text(value_count * step)
    places = len(digits)
    scaled = value_count * step * 10**places
    return f"{Decimal(scaled.numerator).scaleb(-places):.{places}f}"


def unit_of(reading_type: str) -> str:
    """Return the unit that stands behind a value; nothing where it has none."""
    unit = READING_TYPES[reading_type].unit
    return "" if unit in _UNITLESS else unit


def kwh_text(energy_milliwh: int, places: int = 1) -> str:
    """Return milliwatt-hours as kilowatt-hours with separated thousands, rounded for a glance."""
    return f"{Decimal(energy_milliwh).scaleb(-6):,.{places}f}"


def share_pct(part_count: int, whole_count: int) -> str | None:
    """Return a share in per cent, one decimal, rounded down so that 100 means all; None of nothing."""
    if whole_count == 0:
        return None
    permille = part_count * 1000 // whole_count
    return f"{permille // 10}.{permille % 10}"


def sum_or_none(values_milliwh: Iterable[int | None]) -> int | None:
    """Return the sum of what is there; None where nothing is, which is not zero."""
    there = [value for value in values_milliwh if value is not None]
    return sum(there) if there else None
