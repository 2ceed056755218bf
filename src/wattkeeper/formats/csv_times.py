"""Times of table rows: with an offset, or by the declared zone's wall clock where that is certain."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.formats.api import FormatError, Int64s
from wattkeeper.formats.day_columns import DAY_S

_TEXT_LENGTH_AT_MOST = 64
_TEXTS_KEPT = 100_000
_PARTS = {
    "YYYY": ("year", r"\d{4}"),
    "YY": ("short_year", r"\d\d"),
    "MMM": ("month_name", "[A-Za-z]{3}"),
    "MM": ("month", r"\d{1,2}"),
    "DD": ("day", r"\d{1,2}"),
    "hh": ("hour", r"\d{1,2}"),
    "mm": ("minute", r"\d{1,2}"),
    "ss": ("second", r"\d{1,2}"),
    "AM": ("half", r"[AaPp]\.?[Mm]\.?|上午|下午"),
}
_PART = re.compile("|".join(_PARTS))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HALF = re.compile(_PARTS["AM"][1])
_SPACES = "[ \u00a0\u202f]*"  # before AM
_END_OF_DAY = re.compile(r"(?<=[ T])24:00(?::00)?(?![\d:])", re.ASCII)
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=(?:Z|[+-]\d\d:?\d\d)$)", re.ASCII)
_BEGINS_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[ T]", re.ASCII
)  # as dates of a workbook are read, whatever the pattern
_NEEDED = ({"YYYY", "YY"}, {"MM", "MMM"}, {"DD"})  # one of each
_MIDNIGHT = re.compile(r"[ T]0?0:00(?::00)?$", re.ASCII)
NOT_ISO, NOT_IN_PATTERN, AMBIGUOUS = "csv.wrong-time", "csv.not-in-pattern", "csv.time-ambiguous"
LEFT_OUT = "csv.time-left-out"
NEVER_S = -(2**62)  # in place of an instant that a local day has not


def bare_day(text: str) -> str:
    """Return the day of a date that has a time beside it: a workbook's date has a midnight of its own."""
    return _MIDNIGHT.sub("", text.strip())


class TimeWrong(Exception):
    """Why a text is no instant; `code` is the row error's, `both` are the two that it may be."""

    def __init__(self, code: str, both: tuple[int, int] | None = None) -> None:
        self.code, self.both = code, both
        super().__init__(code)


def check_time_format(pattern: str) -> None:
    """Refuse a pattern that names no day, or a part of it twice.

    :raises FormatError: ``mapping.wrong``
    """
    found = _PART.findall(pattern)
    is_day = all(sum(part in each for part in found) == 1 for each in _NEEDED)
    is_right = is_day and len(set(found)) == len(found) and ("AM" not in found or "hh" in found)
    is_right = is_right and len(pattern) <= 40
    if pattern != "iso" and not is_right:
        raise FormatError("mapping.wrong", field="time_format")


class InstantParser:
    """Parses texts to UTC seconds, each text once. `pattern`: ``iso``, or of YYYY or YY (of this century), MM
    or MMM (Jan), DD, hh, mm, ss, and AM where clocks have twelve hours.

    :raises FormatError: ``formats.zone-unknown``
    """

    def __init__(self, zone: str | None, pattern: str = "iso") -> None:
        try:
            self._zone = None if zone is None else ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise FormatError("formats.zone-unknown", zone=zone) from None
        self._pattern = None if pattern == "iso" else _compile(pattern)
        self._wrong_code = NOT_ISO if pattern == "iso" else NOT_IN_PATTERN
        self.parse = lru_cache(maxsize=_TEXTS_KEPT)(self._parse)

    def parse_day(self, midnight: str, starts_s: Int64s, interval_s: int) -> Int64s:
        """
        Return when intervals of a local day start: UTC second, and how much later the wall clock comes again.

        Shape (starts, 2).

        `starts_s`: seconds after midnight by the wall clock; `NEVER_S` where a clock change leaves that out.
        More of them than 24 hours hold follow each other whatever clocks do, `NEVER_S` behind the day's end.

        :raises TimeWrong: what is no day, or one without a midnight of its own
        """
        try:
            wall = self._moment(midnight)
            if len(starts_s) * interval_s > DAY_S:
                first_s, end_s = (self._at(wall + timedelta(days=days)) for days in (0, 1))
                at_s = np.where(first_s + starts_s < end_s, first_s + starts_s, NEVER_S)
            elif self._is_steady(wall, starts_s, interval_s):
                at_s = self._at(wall + timedelta(seconds=int(starts_s[0]))) - starts_s[0] + starts_s
            else:
                within = [self._within(wall + timedelta(seconds=s), interval_s) for s in starts_s.tolist()]
                return np.array(within, dtype=np.int64)
        except (ValueError, OverflowError):
            raise TimeWrong(self._wrong_code) from None
        return np.stack([at_s, np.zeros_like(at_s)], axis=1)

    def _is_steady(self, wall: datetime, starts_s: Int64s, interval_s: int) -> bool:
        """Return whether clocks do not change in a local day, nor where its first and last interval end.

        No zone's clocks change and change back within a day.
        """
        first_s, end_s = int(starts_s.min()), int(starts_s.max()) + interval_s
        try:
            first_at_s, end_at_s = (self._at(wall + timedelta(seconds=s)) for s in (first_s, end_s))
        except TimeWrong:
            return False
        return end_at_s - first_at_s == end_s - first_s

    def _parse(self, text: str) -> int:
        try:
            return self._at(self._moment(text))
        except (ValueError, OverflowError):
            raise TimeWrong(self._wrong_code) from None

    def _within(self, wall: datetime, interval_s: int) -> tuple[int, int]:
        """Return when an interval starts, and how much later it comes again where any of it does."""
        try:
            self._at(wall + timedelta(seconds=interval_s - 1))
            return self._at(wall), 0
        except TimeWrong as wrong:
            if wrong.code == LEFT_OUT:
                return NEVER_S, 0
            if wrong.both is None:
                raise
            return wrong.both[0], wrong.both[1] - wrong.both[0]

    def _moment(self, text: str) -> datetime:
        """Return what a text says, by the wall clock where it says no offset."""
        if len(text) > _TEXT_LENGTH_AT_MOST:
            raise TimeWrong(self._wrong_code)
        is_iso = self._pattern is None or (_BEGINS_ISO.match(text) and not _HALF.search(text))
        return self._by_iso(text) if is_iso else self._by_pattern(text)

    def _at(self, moment: datetime) -> int:
        instant = self._by_wall_clock(moment) if moment.tzinfo is None else moment
        return to_seconds(instant.astimezone(UTC))

    def _by_iso(self, text: str) -> datetime:
        if "T" not in text.upper().replace(" ", "T"):
            raise TimeWrong(self._wrong_code)
        text, midnights_count = _END_OF_DAY.subn("00:00", _SPACE_BEFORE_OFFSET.sub("", text))
        return datetime.fromisoformat(text) + timedelta(days=midnights_count)

    def _by_pattern(self, text: str) -> datetime:
        assert self._pattern is not None
        match = self._pattern.fullmatch(text)
        if match is None:
            raise TimeWrong(self._wrong_code)
        parts = _numbers({name: said for name, said in match.groupdict().items() if name != "offset"})
        offset = datetime.strptime(match["offset"], "%z").tzinfo if match["offset"] else None
        if parts.get("hour") == 24 and not parts.get("minute") and not parts.get("second"):
            return datetime(**{**parts, "hour": 0}, tzinfo=offset) + timedelta(days=1)
        return datetime(**parts, tzinfo=offset)

    def _by_wall_clock(self, wall: datetime) -> datetime:
        """Refuse the hour a clock change repeats and the one it leaves out: neither names one instant."""
        if self._zone is None:
            raise TimeWrong("csv.time-without-offset")
        first, second = (wall.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != wall:
            raise TimeWrong(LEFT_OUT)
        if first.utcoffset() != second.utcoffset():
            both = to_seconds(first.astimezone(UTC)), to_seconds(second.astimezone(UTC))
            raise TimeWrong(AMBIGUOUS, both)
        return first


def _numbers(said: dict[str, str]) -> dict[str, int]:
    """Return year, month, day and time as numbers.

    :raises ValueError: for no month's name, or an hour that no clock of twelve has
    """
    half, month, year = (said.pop(name, "") for name in ("half", "month_name", "short_year"))
    parts = {name: int(digits) for name, digits in said.items()}
    if month:
        parts["month"] = _MONTHS.index(month.lower()) + 1
    if year:
        parts["year"] = 2000 + int(year)
    if half:
        if not 1 <= parts["hour"] <= 12:
            raise ValueError
        parts["hour"] = parts["hour"] % 12 + (12 if half[0] in "Pp下" else 0)
    return parts


def _compile(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern; one or two digits for all but the year, an offset may follow."""
    pieces, at = [], 0
    for match in _PART.finditer(pattern):
        name, expression = _PARTS[match[0]]
        before = pattern[at : match.start()]
        between = re.escape(before) if name != "half" else re.escape(before.rstrip()) + _SPACES
        pieces += [between, f"(?P<{name}>{expression})"]
        at = match.end()
    tail = re.escape(pattern[at:])
    return re.compile("".join(pieces) + tail + r"(?:\s*(?P<offset>Z|[+-]\d\d:?\d\d))?", re.ASCII)
