"""Columns that are the intervals of their row's day: what their headings say, and when each begins."""

import re
from collections.abc import Sequence
from typing import Literal

DAY_S = 86_400
LONG_DAY_S = 90_000  # of 25 hours, where clocks go back
_CLOCK = r"(\d{1,2})(?:[:：](\d\d)(?::00)?|[时點点](?:(\d\d)分)?)"
_TIME = re.compile(_CLOCK, re.ASCII)
_SPAN = re.compile(rf"(.+?)\s*[-–—~～至]\s*({_CLOCK})", re.ASCII)
_NUMBERED = re.compile(r"(.*?)(\d{1,3})(\D*)", re.ASCII)
_24_OF_A_WORKBOOK = ("1 day, 0:00:00", "1900-01-01 00:00:00")
_LENGTHS_S = (3600, 1800, 900, 300)
_COLUMNS_AT_MOST = LONG_DAY_S // min(_LENGTHS_S)


def interval_count_of(interval_s: int) -> tuple[int, int]:
    """Return how many intervals a day of 24 hours has, and one of 25."""
    return DAY_S // interval_s, LONG_DAY_S // interval_s


def starts_in_day(headings: Sequence[str | int], interval_s: int, *, is_end: bool) -> list[int]:
    """
    Return when the interval of each column begins, in seconds after local midnight, shape (columns,).

    A heading that is a time of day names the start of its interval, or its end where `is_end`; ``00:00``
    behind others is 24:00. One with both (``00:00-00:15``) says itself when it begins. Where any heading is
    none of these the columns follow each other from midnight.
    """
    spans = [_span(str(heading)) for heading in headings]
    found = []
    for at, span in enumerate(spans):
        if span is None:
            return [place * interval_s for place in range(len(headings))]
        clock_s, is_whole = span
        is_last = at > 0 and clock_s == 0 and not is_whole
        found.append((DAY_S if is_last else clock_s) - (interval_s if is_end and not is_whole else 0))
    return found


def find_day(headings: Sequence[str]) -> range | None:
    """Return which columns are the intervals of a day: times a step apart, or numbers from 0 or 1."""
    first = 0
    while first < len(headings):
        ahead = headings[first : first + _COLUMNS_AT_MOST + 1]
        count = _times_count(ahead) or _numbers_count(ahead)
        if any(count in interval_count_of(length_s) for length_s in _LENGTHS_S):
            return range(first, first + count)
        first += max(count, 1)
    return None


def length_of(count: int) -> int:
    """Return the length of an interval in seconds, of `find_day`'s count of columns."""
    return next(length_s for length_s in _LENGTHS_S if count in interval_count_of(length_s))


def label_of(headings: Sequence[str], interval_s: int) -> tuple[Literal["start", "end"], bool]:
    """Return what the times of headings name, most likely, and whether they can name nothing else."""
    spans = [_span(heading) for heading in headings]
    if spans[0] is None:
        return "start", False
    clock_s, is_whole = spans[0]
    return ("end" if clock_s == interval_s and not is_whole else "start"), is_whole or clock_s == interval_s


def _times_count(headings: Sequence[str]) -> int:
    """Return how many of the first headings are times that go once round a day's clock by one step, or 0."""
    clocks_s: list[int] = []
    for heading in headings:
        span = _span(heading)
        if span is None:
            break
        clocks_s.append(span[0])
        step_s = (clocks_s[1] - clocks_s[0]) if len(clocks_s) > 1 else 0
        if len(clocks_s) > 1 and (step_s <= 0 or (span[0] - clocks_s[-2] - step_s) % DAY_S):
            break
        if step_s * len(clocks_s) == DAY_S:
            return len(clocks_s) if clocks_s[0] in (0, step_s) else 0
    return 0


def _numbers_count(headings: Sequence[str]) -> int:
    """Return how many of the first headings are alike but for a number that counts from 0 or 1."""
    told = _NUMBERED.fullmatch(headings[0].strip())
    if told is None or int(told[2]) > 1:
        return 0
    for at, heading in enumerate(headings):
        match = _NUMBERED.fullmatch(heading.strip())
        if match is None or (match[1], int(match[2]), match[3]) != (told[1], int(told[2]) + at, told[3]):
            return at
    return len(headings)


def _span(heading: str) -> tuple[int, bool] | None:
    """Return the first time of day of a heading in seconds, and whether its end stands behind it."""
    text = "24:00" if heading in _24_OF_A_WORKBOOK else heading.strip()
    whole = _SPAN.fullmatch(text)
    match = _TIME.fullmatch(whole[1] if whole else text)
    if match is None:
        return None
    clock_s = int(match[1]) * 3600 + int(match[2] or match[3] or 0) * 60
    return (clock_s, whole is not None) if clock_s <= DAY_S else None
