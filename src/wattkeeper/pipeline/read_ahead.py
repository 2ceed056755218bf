"""What series ask of the store when they are derived one by one, read for hundreds in one question each.

Nothing but time depends on it: what was not read ahead is asked of the store as ever.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.vee.daily_load import LONGEST_PERIOD_S
from wattkeeper.core.vee.last_year import ACTUAL_DAYS
from wattkeeper.core.vee.like_days import AHEAD_DAYS, DAY_S
from wattkeeper.pipeline.later import YEAR_S
from wattkeeper.pipeline.ports import (
    ManyReads,
    ManySeries,
    MeasurementRows,
    Measurements,
    Ports,
    RawReads,
    SeriesFacts,
)
from wattkeeper.pipeline.window import FAR_S

SLACK_S = 4 * DAY_S  # whole local days, what reads around them tell, clocks that change
REACH_S = FAR_S + SLACK_S
READS_COUNT = 1_000_000  # read ahead together, about: what bounds memory
END_S = 2**32 - 1  # beyond any stamp


def read_ahead(
    ports: Ports, many: ManySeries | None, windows: Mapping[int, Sequence[ClaimedWindow]]
) -> Iterator[tuple[Ports, int]]:
    """Yield each series that has windows, beside ports that know most of what it will ask.

    Without `many` these are the same for all.
    """
    if many is None:
        yield from ((ports, series_id) for series_id in windows)
        return
    ports.registry.load(list(windows))
    together: dict[tuple[int, int, int], list[SeriesFacts]] = defaultdict(list)
    for series_id, own in windows.items():
        try:
            facts = ports.registry.get_facts(series_id)
        except WattkeeperError:
            yield ports, series_id  # which says why
            continue
        hull = min(each.from_s for each in own), max(each.to_s for each in own)
        together[*hull, facts.interval_s].append(facts)
    for (from_s, to_s, interval_s), group in together.items():
        count = max(1, READS_COUNT * interval_s // (to_s - from_s + 2 * REACH_S))
        for newest_s, some in _by_last_read(many, group, (from_s, to_s), count):
            near = _ports_for(ports, many, some, newest_s, (from_s, to_s))
            yield from ((near, own.series_id) for own in some)


def _by_last_read(
    many: ManySeries, group: Sequence[SeriesFacts], span: Span, count: int
) -> Iterator[tuple[dict[int, int], list[SeriesFacts]]]:
    """Yield at most so many series whose last reads before the end of a span lie near each other or in it.

    With the newest read of each channel that has one.
    """
    channel_id = np.unique([own for facts in group for own in facts.channel_ids]).astype(np.int64)
    channels, at_s = many.find_nearest(channel_id, span[1], is_before=True)
    newest_s = dict(zip(channels.tolist(), at_s.tolist(), strict=True))

    def last_read_s(facts: SeriesFacts) -> int:
        found = [newest_s[own] for own in facts.channel_ids if own in newest_s]
        return min(max(found, default=span[0]), span[0])

    chunk: list[SeriesFacts] = []
    for facts in sorted(group, key=last_read_s):
        if chunk and (len(chunk) == count or last_read_s(facts) - last_read_s(chunk[0]) > REACH_S):
            yield newest_s, chunk
            chunk = []
        chunk.append(facts)
    yield newest_s, chunk


def _ports_for(
    ports: Ports, many: ManySeries, group: Sequence[SeriesFacts], newest_s: Mapping[int, int], span: Span
) -> Ports:
    """Return ports that hold what these series will ask for; `span`: the hull of their windows."""
    channel_id = np.unique([own for facts in group for own in facts.channel_ids]).astype(np.int64)
    last_s = [newest_s[own] for own in channel_id.tolist() if own in newest_s]
    first_s, final_s = min([*last_s, span[0]]), max([*last_s, span[0]])
    reads = many.read_raw(channel_id, first_s - REACH_S, END_S)
    from_s = {own: first_s - REACH_S if own in newest_s else 0 for own in channel_id.tolist()}
    ids = np.array(sorted(facts.series_id for facts in group), dtype=np.int64)
    spans = [
        (span[0] - AHEAD_DAYS * DAY_S - SLACK_S, span[1] + LONGEST_PERIOD_S + SLACK_S),
        (span[0] - YEAR_S - SLACK_S, span[1] - YEAR_S + SLACK_S),
        (first_s - ACTUAL_DAYS * DAY_S - YEAR_S - SLACK_S, min(final_s, span[0]) - YEAR_S + SLACK_S),
    ]
    values = [(own, many.read_measurements(ids, *own)) for own in spans]
    return replace(
        ports,
        raw_reads=_ReadAhead(ports.raw_reads, _by_channel(reads, channel_id), from_s),
        measurements=_KnownValues(ports.measurements, values),
    )


def _by_channel(reads: ManyReads, channel_id: Int64s) -> dict[int, ReadColumns]:
    bounds = np.searchsorted(reads.channel_id, np.append(channel_id, channel_id[-1] + 1))
    columns = (reads.measured_at_s, reads.value, reads.flags, reads.source)
    return {
        own: ReadColumns(*(column[start:end].astype(np.int64) for column in columns))
        for own, start, end in zip(channel_id.tolist(), bounds.tolist(), bounds[1:].tolist(), strict=False)
    }


@dataclass(frozen=True, slots=True)
class _ReadAhead:
    """Raw reads of which all are known from an instant on, by channel."""

    raw_reads: RawReads
    known: Mapping[int, ReadColumns]
    from_s: Mapping[int, int]

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        """Return the reads of the channels that have any in a span."""
        if from_s < self._known_from_s(channel_ids):
            return self.raw_reads.read(channel_ids, from_s, to_s)
        parts = {own: _cut(self.known[own], from_s, to_s) for own in sorted(set(channel_ids))}
        return {own: part for own, part in parts.items() if len(part)}

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the newest read before `at_s`, or of the oldest at or after it."""
        known_s = self._known_from_s(channel_ids)
        if is_before:
            before = [_cut(self.known[own], 0, at_s).measured_at_s[-1:] for own in self._own(channel_ids)]
            found_s = max((int(own[0]) for own in before if len(own)), default=0)
            if found_s >= known_s and at_s >= known_s:
                return found_s or None
        elif at_s >= known_s:
            after = [_cut(self.known[own], at_s, END_S).measured_at_s[:1] for own in self._own(channel_ids)]
            return min((int(own[0]) for own in after if len(own)), default=None)
        return self.raw_reads.find_nearest(channel_ids, at_s, is_before=is_before)

    def _own(self, channel_ids: Sequence[int]) -> list[int]:
        return [own for own in channel_ids if own in self.known]

    def _known_from_s(self, channel_ids: Sequence[int]) -> int:
        return max((self.from_s.get(own, END_S) for own in channel_ids), default=END_S)


def _cut(reads: ReadColumns, from_s: int, to_s: int) -> ReadColumns:
    inside = slice(*np.searchsorted(reads.measured_at_s, (from_s, to_s)).tolist())
    return ReadColumns(*(getattr(reads, name)[inside] for name in ReadColumns.__slots__))


@dataclass(frozen=True, slots=True)
class _KnownValues:
    """Current values of some series of which some spans are known."""

    measurements: Measurements
    known: Sequence[tuple[Span, MeasurementRows]]

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values of a span, in order of time."""
        for span, rows in self.known:
            if span[0] <= from_s and to_s <= span[1]:
                own = slice(*np.searchsorted(rows.series_id, (series_id, series_id + 1)).tolist())
                first, end = (np.searchsorted(rows.starts_at_s[own], (from_s, to_s)) + own.start).tolist()
                columns = (getattr(rows, name)[first:end] for name in MeasurementRows.__slots__)
                return MeasurementRows(*columns)
        return self.measurements.read(series_id, from_s, to_s)

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        """Append the values of a run."""
        self.measurements.append(run_id, rows)
