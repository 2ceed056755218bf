"""Days of NEM12 values gathered, turned into integers many at a time, and joined to blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.formats.api import ErrorList, Int64s, IntervalBlock
from wattkeeper.formats.decimals import BLANK, CODES, FINE, to_integers
from wattkeeper.formats.nem12_quality import Quality

_CELLS_AT_ONCE = 100_000
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Stream:
    """What a 200 record names. `exponent`: the unit's power of ten to thousandths of the base unit."""

    usage_point: str
    meter_serial: str
    channel: str
    unit: str
    exponent: int
    interval_s: int

    @property
    def interval_count(self) -> int:
        """Return how many intervals a day has: market time knows no daylight saving."""
        return _DAY_S // self.interval_s


@dataclass(frozen=True, slots=True)
class Day:
    """One 300 record: where it stands, when it starts, and runs of (count, quality) that cover it."""

    line_number: int
    starts_at_s: int
    spans: list[tuple[int, Quality]]


@dataclass(slots=True)
class _StreamDays:
    days: dict[int, tuple[Day, Int64s]] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)


class DayCollector:
    """Gathers days and hands out blocks, one for each stream, in the order they came."""

    def __init__(self) -> None:
        self._streams: dict[Stream, _StreamDays] = {}
        self._waiting: list[tuple[Stream, Day, int]] = []
        self._cells: list[bytes] = []

    def add(self, stream: Stream, day: Day, values: list[bytes], errors: ErrorList) -> None:
        """Take a day of `stream.interval_count` cells; a day that the stream already has is an error."""
        held = self._streams.setdefault(stream, _StreamDays())
        if day.starts_at_s in held.lines:
            errors.add(day.line_number, 2, "nem12.day-twice", first_line=held.lines[day.starts_at_s])
            return
        held.lines[day.starts_at_s] = day.line_number
        self._waiting.append((stream, day, len(self._cells)))
        self._cells.extend(values)
        if len(self._cells) >= _CELLS_AT_ONCE:
            self._convert(errors)

    def blocks(self, errors: ErrorList) -> list[IntervalBlock]:
        """Return the blocks of every day that is right."""
        self._convert(errors)
        return [_block(stream, held) for stream, held in self._streams.items() if held.days]

    def _convert(self, errors: ErrorList) -> None:
        power = np.zeros(len(self._cells), dtype=np.int64)
        for stream, _day, at in self._waiting:
            power[at : at + stream.interval_count] = stream.exponent
        values, wrong = to_integers(self._cells, power)
        for stream, day, at in self._waiting:
            part = slice(at, at + stream.interval_count)
            if any(quality.provenance is Provenance.MISSING for _count, quality in day.spans):
                is_missing = spread(day.spans, "provenance") == Provenance.MISSING
                wrong[part][is_missing & (wrong[part] == BLANK)] = FINE
                values[part][is_missing] = 0
            if wrong[part].any():
                for index in np.flatnonzero(wrong[part]):
                    errors.add(day.line_number, int(index) + 3, CODES[int(wrong[at + index])])
                continue
            self._streams[stream].days[day.starts_at_s] = day, values[part]
        self._waiting, self._cells = [], []


def spread(spans: Sequence[tuple[int, Quality]], name: str) -> Int64s:
    """Return one field of the qualities, repeated over their intervals, shape (n,)."""
    fields = np.array([int(getattr(quality, name)) for _count, quality in spans], dtype=np.int64)
    return np.repeat(fields, [count for count, _quality in spans])


def _block(stream: Stream, held: _StreamDays) -> IntervalBlock:
    ordered = [held.days[starts_at_s] for starts_at_s in sorted(held.days)]
    midnights = np.array([day.starts_at_s for day, _values in ordered], dtype=np.int64)
    steps = np.arange(0, _DAY_S, stream.interval_s, dtype=np.int64)
    spans = [span for day, _values in ordered for span in day.spans]
    return IntervalBlock(
        usage_point=stream.usage_point,
        meter_serial=stream.meter_serial,
        channel=stream.channel,
        unit=stream.unit,
        interval_s=stream.interval_s,
        starts_at_s=(midnights[:, None] + steps).ravel(),
        value_milli=np.concatenate([values for _day, values in ordered]),
        provenance=spread(spans, "provenance"),
        flags=spread(spans, "flags"),
        method=spread(spans, "method"),
    )
