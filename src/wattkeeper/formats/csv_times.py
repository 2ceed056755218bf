"""Times of table rows: with an offset, or by the declared zone's wall clock where that is certain."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.formats.api import FormatError

_TEXT_LENGTH_AT_MOST = 64
_TEXTS_KEPT = 100_000
_PARTS = {"YYYY": "year", "MM": "month", "DD": "day", "hh": "hour", "mm": "minute", "ss": "second"}
_PART = re.compile("YYYY|MM|DD|hh|mm|ss")
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=(?:Z|[+-]\d\d:?\d\d)$)", re.ASCII)
_BEGINS_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[ T]", re.ASCII
)  # as dates of a workbook are read, whatever the pattern
_NEEDED = ("YYYY", "MM", "DD")
NOT_ISO, NOT_IN_PATTERN = "csv.wrong-time", "csv.not-in-pattern"


class TimeWrong(Exception):
    """Why a text is no instant; `code` is the row error's."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def check_time_format(pattern: str) -> None:
    """Refuse a pattern that names no day, or a part of it twice.

    :raises FormatError: ``mapping.wrong``
    """
    found = _PART.findall(pattern)
    is_right = set(_NEEDED) <= set(found) and len(set(found)) == len(found) and len(pattern) <= 40
    if pattern != "iso" and not is_right:
        raise FormatError("mapping.wrong", field="time_format")


class InstantParser:
    """Parses texts to UTC seconds, each text once. `pattern`: ``iso``, or of YYYY, MM, DD, hh, mm, ss.

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

    def _parse(self, text: str) -> int:
        if len(text) > _TEXT_LENGTH_AT_MOST:
            raise TimeWrong(self._wrong_code)
        try:
            is_iso = self._pattern is None or _BEGINS_ISO.match(text)
            instant = self._by_iso(text) if is_iso else self._by_pattern(text)
            if instant.tzinfo is None:
                instant = self._by_wall_clock(instant)
            return to_seconds(instant.astimezone(UTC))
        except (ValueError, OverflowError):
            raise TimeWrong(self._wrong_code) from None

    def _by_iso(self, text: str) -> datetime:
        if "T" not in text.upper().replace(" ", "T"):
            raise TimeWrong(self._wrong_code)
        return datetime.fromisoformat(_SPACE_BEFORE_OFFSET.sub("", text))

    def _by_pattern(self, text: str) -> datetime:
        assert self._pattern is not None
        match = self._pattern.fullmatch(text)
        if match is None:
            raise TimeWrong(self._wrong_code)
        parts = {name: int(digits) for name, digits in match.groupdict().items() if name != "offset"}
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
            raise TimeWrong("csv.time-left-out")
        if first.utcoffset() != second.utcoffset():
            raise TimeWrong("csv.time-ambiguous")
        return first


def _compile(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern; one or two digits for all but the year, an offset may follow."""
    pieces, at = [], 0
    for match in _PART.finditer(pattern):
        digits = r"\d{4}" if match[0] == "YYYY" else r"\d{1,2}"
        pieces += [re.escape(pattern[at : match.start()]), f"(?P<{_PARTS[match[0]]}>{digits})"]
        at = match.end()
    tail = re.escape(pattern[at:])
    return re.compile("".join(pieces) + tail + r"(?:\s*(?P<offset>Z|[+-]\d\d:?\d\d))?", re.ASCII)
