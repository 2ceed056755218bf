"""Days, months and years of a bill, by the local calendar. A day is one day whether it has 23 or 25 hours."""

from calendar import isleap, monthrange
from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction

from wattkeeper.core.tariffs.model import Per, Proration


def quoted_spans(
    per: Per, proration: Proration, first: date, end: date, *, bill_first: date, bill_end: date
) -> Fraction:
    """Return how many of what the price is quoted for lie in the local days [first, end).

    `[bill_first, bill_end)` is the whole bill: `PERIOD` charges its share of the bill's days, and a `WHOLE`
    month counts once, in the part that holds the bill's first day of that month.
    """
    days = (end - first).days
    if per is Per.DAY:
        return Fraction(days)
    if per is Per.PERIOD:
        return Fraction(days, (bill_end - bill_first).days)
    nominal_days = 30 if per is Per.MONTH else 365
    if proration is Proration.NOMINAL:
        return Fraction(days, nominal_days)
    start_of, length = (_month_start, _month_days) if per is Per.MONTH else (_year_start, _year_days)
    total = Fraction(0)
    for start, count in _spans(first, end, start_of):
        if proration is Proration.BY_DAYS:
            total += Fraction(count, length(start))
        elif first <= max(start, bill_first) < end:
            total += 1
    return total


def month_starts(first: date, end: date) -> list[date]:
    """Return the first days of months strictly inside (first, end)."""
    return [start for start, _count in _spans(first, end, _month_start) if start > first]


def year_starts(first: date, end: date) -> list[date]:
    """Return the first days of years strictly inside (first, end)."""
    return [start for start, _count in _spans(first, end, _year_start) if start > first]


def _spans(first: date, end: date, start_of: Callable[[date], date]) -> Iterator[tuple[date, int]]:
    """Yield (start of the month or year, days of it in [first, end))."""
    day = first
    while day < end:
        start = start_of(day)
        following = date(start.year + 1, 1, 1) if start_of is _year_start else _following_month(start)
        yield start, (min(following, end) - day).days
        day = following


def _month_start(day: date) -> date:
    return day.replace(day=1)


def _year_start(day: date) -> date:
    return date(day.year, 1, 1)


def _following_month(start: date) -> date:
    return date(start.year + start.month // 12, start.month % 12 + 1, 1)


def _month_days(start: date) -> int:
    return monthrange(start.year, start.month)[1]


def _year_days(start: date) -> int:
    return 366 if isleap(start.year) else 365
