"""Instants and half-open periods. UTC only; an interval is named by its start.

Arrays hold whole seconds since 1970-01-01T00:00Z as int64, names ending in ``_at_s``; single values are aware
datetimes in UTC.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import gcd
from zoneinfo import ZoneInfo

Span = tuple[int, int]  # half-open, whole seconds since the epoch


def to_seconds(instant: datetime) -> int:
    """Return whole seconds since the epoch.

    :raises ValueError: if `instant` is naive or not on a whole second
    """
    if instant.tzinfo is None:
        raise ValueError("naive datetime")
    seconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if seconds % 1_000_000:
        raise ValueError("instant is not on a whole second")
    return seconds // 1_000_000


def from_seconds(seconds: int) -> datetime:
    """Return the aware UTC datetime of `seconds` since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds))


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span ``[starts_at, ends_at)``; `ends_at` None is open."""

    starts_at: datetime
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or (self.ends_at is not None and self.ends_at.tzinfo is None):
            raise ValueError("naive datetime")
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("a period ends after it starts")

    def contains(self, instant: datetime) -> bool:
        """Whether `instant` lies in the period."""
        return self.starts_at <= instant and (self.ends_at is None or instant < self.ends_at)

    def overlaps(self, other: "Period") -> bool:
        """Whether the two share an instant."""
        return (other.ends_at is None or self.starts_at < other.ends_at) and (
            self.ends_at is None or other.starts_at < self.ends_at
        )


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the local `day` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def local_day(day: date, zone: ZoneInfo) -> Period:
    """Return the local calendar day as a period: 23, 24 or 25 hours long."""
    return Period(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))


def interval_start_s(at_s: int, interval_s: int, zone: ZoneInfo) -> int:
    """Return when the interval begins that holds an instant; intervals count from local midnight."""
    midnight_s = to_seconds(local_midnight(from_seconds(at_s).astimezone(zone).date(), zone))
    return at_s - (at_s - midnight_s) % interval_s


@cache
def day_unit_s(zone: ZoneInfo) -> int:
    """Return the longest time that every local day from 2020 to 2037 is a whole number of.

    86 400 s where the clock never changes, 3 600 s in Berlin, 1 800 s on Lord Howe Island. Intervals that
    this is a whole number of begin at the same times since midnight on every day.
    """
    day, unit_s = date(2020, 1, 1), 0
    midnight = local_midnight(day, zone)
    while day.year < 2038:
        day += timedelta(days=1)
        following = local_midnight(day, zone)
        unit_s = gcd(unit_s, int((following - midnight).total_seconds()))
        midnight = following
    return unit_s


def local_days(period: Period, zone: ZoneInfo) -> Iterator[date]:
    """Yield each local date that the closed-ended `period` touches."""
    if period.ends_at is None:
        raise ValueError("an open period has no last day")
    day = period.starts_at.astimezone(zone).date()
    while local_midnight(day, zone) < period.ends_at:
        yield day
        day += timedelta(days=1)


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the union of half-open spans, in order, touching ones joined."""
    merged: list[Span] = []
    for from_s, to_s in sorted(spans):
        if merged and from_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], to_s))
        else:
            merged.append((from_s, to_s))
    return merged
