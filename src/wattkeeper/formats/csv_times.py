"""Times of CSV rows: ISO 8601, with an offset, or by the declared zone's wall clock where that is certain."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.formats.api import FormatError

_TEXT_LENGTH_AT_MOST = 40
_TEXTS_KEPT = 100_000


class TimeWrong(Exception):
    """Why a text is no instant; `code` is the row error's."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class InstantParser:
    """Parses texts to UTC seconds, each text once.

    :raises FormatError: ``formats.zone-unknown``
    """

    def __init__(self, zone: str | None) -> None:
        try:
            self._zone = None if zone is None else ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise FormatError("formats.zone-unknown", zone=zone) from None
        self.parse = lru_cache(maxsize=_TEXTS_KEPT)(self._parse)

    def _parse(self, text: str) -> int:
        if len(text) > _TEXT_LENGTH_AT_MOST or "T" not in text.upper().replace(" ", "T"):
            raise TimeWrong("csv.wrong-time")
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                instant = self._by_wall_clock(instant)
            return to_seconds(instant.astimezone(UTC))
        except (ValueError, OverflowError):
            raise TimeWrong("csv.wrong-time") from None

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
