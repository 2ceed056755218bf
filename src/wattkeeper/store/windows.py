"""Where to look for the newest or oldest read first: windows of 1, 2, 4, 8 ... stored months."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from wattkeeper.core.kernel.instants import to_seconds

Window = tuple[int, int]
FIRST_WINDOW_S = 32 * 86_400


def windows(months: Sequence[int], from_s: int, to_s: int, *, newest_first: bool) -> Iterator[Window]:
    """Yield disjoint half-open windows within [from_s, to_s) that hold every instant of `months` (yyyymm)."""
    left = [bounds for month in sorted(months) if _overlap(bounds := month_span(month), from_s, to_s)]
    count = 1
    while left:
        if newest_first:
            group, left = left[-count:], left[:-count]
        else:
            group, left = left[:count], left[count:]
        yield max(group[0][0], from_s), min(group[-1][1], to_s)
        count *= 2


def _overlap(bounds: Window, from_s: int, to_s: int) -> bool:
    return bounds[0] < to_s and from_s < bounds[1]


def month_span(month: int) -> Window:
    """Return the first instant of a month (yyyymm, UTC) and of the one after."""
    year, number = divmod(month, 100)
    after = divmod(year * 12 + number, 12)
    return _first_of(year, number), _first_of(after[0], after[1] + 1)


def shift_month(month: int, months_count: int) -> int:
    """Return the month (yyyymm) so many months later, or earlier where the count is negative."""
    index = month // 100 * 12 + month % 100 - 1 + months_count
    return index // 12 * 100 + index % 12 + 1


def month_of(instant: datetime) -> int:
    """Return the month (yyyymm, UTC) of an instant."""
    at = instant.astimezone(UTC)
    return at.year * 100 + at.month


def _first_of(year: int, month: int) -> int:
    return to_seconds(datetime(year, month, 1, tzinfo=UTC))
