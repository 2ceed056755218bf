"""Virtual series: whose members changed is derived again, members before those who use them.

A run marks the users of what it writes twice: before it appends, so that an interruption forgets nobody, and
after, so that nobody who derived in between is left with the old value.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Span, from_seconds, local_midnight, merge_spans, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.readings.rollups import find_day_firsts
from wattkeeper.core.registry.virtual_series import (
    MemberRows,
    VirtualFacts,
    VirtualSet,
    VirtualValues,
    evaluate,
)
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.pipeline.ports import ManySeries, MeasurementRows, Ports, VirtualMeters
from wattkeeper.pipeline.window import floor_to_day

PIECE_S = 32 * DAY_S
Reader = Callable[[Sequence[int], Span], MeasurementRows]
NO_VIRTUAL = VirtualSet({}, {}, {})


@dataclass(frozen=True, slots=True)
class DerivedVirtual:
    """One span of a virtual series as it should be; `error`: why it could not be derived."""

    facts: VirtualFacts
    span: Span
    intervals: Intervals | None
    error: WattkeeperError | None = None


def mark_users(port: VirtualMeters, known: VirtualSet, rows: MeasurementRows) -> int:
    """Mark what uses the series of changed rows, where they changed, and return how many series those are."""
    is_member = np.isin(rows.series_id, np.array(sorted(known.users), dtype=np.int64))
    if not is_member.any():
        return 0
    spans: dict[int, list[Span]] = defaultdict(list)
    for member_id, span in changed_spans(rows.series_id[is_member], rows.starts_at_s[is_member]):
        for series_id in known.users[member_id]:
            spans[series_id].append(span)
    port.mark({series_id: merge_spans(own) for series_id, own in spans.items()})
    return len(spans)


def changed_spans(series_id: Int64s, starts_at_s: Int64s) -> Iterator[tuple[int, Span]]:
    """Yield where each series changed, in spans that are more than a day apart."""
    order = np.lexsort((starts_at_s, series_id))
    series_id, starts_at_s = series_id[order], starts_at_s[order]
    is_apart = (series_id[1:] != series_id[:-1]) | (np.diff(starts_at_s) > DAY_S)
    first = np.flatnonzero(np.append(True, is_apart)[: len(series_id)])
    last = np.append(first, len(series_id))[1:] - 1
    for own, from_s, last_s in zip(
        series_id[first].tolist(), starts_at_s[first].tolist(), starts_at_s[last].tolist(), strict=True
    ):
        yield own, (from_s, last_s + 1)


def derive_level(
    read: Reader,
    known: VirtualSet,
    by_series: Mapping[int, Sequence[ClaimedWindow]],
    now_s: int,
) -> list[DerivedVirtual]:
    """Return the windows of virtual series of which none uses another, over whole local days."""
    spans = {
        series_id: merge_spans(_days(known.facts[series_id], windows, now_s))
        for series_id, windows in by_series.items()
    }
    held = _Held(read)
    pieces = [
        (piece, series_id)
        for series_id, own in spans.items()
        for span in own
        for piece in _pieces(known.facts[series_id], span)
    ]
    return [_derive(held, known, known.facts[series_id], piece) for piece, series_id in sorted(pieces)]


def levels_of(known: VirtualSet, series_ids: Iterable[int]) -> list[list[int]]:
    """Return virtual series in groups: what uses another comes in a later group."""
    wanted = set(series_ids)
    level_of: dict[int, int] = {}
    for series_id, facts in known.facts.items():
        below = (level_of[own] + 1 for own in facts.member_ids if own in known.facts)
        level_of[series_id] = max(below, default=0)
    levels: dict[int, list[int]] = defaultdict(list)
    for series_id in known.facts:
        if series_id in wanted:
            levels[level_of[series_id]].append(series_id)
    return [levels[level] for level in sorted(levels)]


def _days(facts: VirtualFacts, windows: Iterable[ClaimedWindow], now_s: int) -> Iterator[Span]:
    """Yield the whole local days of windows, as far as intervals are over by `now_s`."""
    for window in windows:
        from_s = floor_to_day(window.from_s, facts)
        last_s = min(window.to_s - 1, now_s)
        next_day = from_seconds(last_s).astimezone(facts.zone).date() + timedelta(days=1)
        to_s = min(to_seconds(local_midnight(next_day, facts.zone)), now_s)
        to_s -= (to_s - from_s) % facts.interval_s
        if to_s > from_s:
            yield from_s, to_s


def _pieces(facts: VirtualFacts, span: Span) -> Iterator[Span]:
    """Yield a span in parts of whole local days: what bounds memory."""
    from_s, to_s = span
    while to_s - from_s > PIECE_S:
        cut_s = floor_to_day(from_s + PIECE_S, facts)
        yield from_s, cut_s
        from_s = cut_s
    yield from_s, to_s


def reader_of(ports: Ports) -> Reader:
    """Return how the current values of series are read: in one question where there is such a port."""
    if ports.many is not None:
        return reader_of_many(ports.many)
    return lambda ids, span: MeasurementRows.concatenate([ports.measurements.read(own, *span) for own in ids])


def reader_of_many(many: ManySeries) -> Reader:
    """Return how the current values of series are read in one question."""
    return lambda ids, span: many.read_measurements(np.array(ids, dtype=np.int64), *span)


class _Held:
    """Current values of members; what two virtual series in a row ask for is read once."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._span: Span = (0, 0)
        self._known: dict[int, MeasurementRows] = {}

    def rows(self, series_ids: frozenset[int], span: Span) -> MeasurementRows:
        if span != self._span:
            self._span, self._known = span, {}
        wanted = sorted(series_ids - self._known.keys())
        if wanted:
            rows = self._read(wanted, span)
            self._known |= {own: _of(rows, own) for own in wanted}
        return MeasurementRows.concatenate([self._known[own] for own in sorted(series_ids)])


def _of(rows: MeasurementRows, series_id: int) -> MeasurementRows:
    first, end = np.searchsorted(rows.series_id, (series_id, series_id + 1))
    return MeasurementRows(*(getattr(rows, name)[first:end] for name in MeasurementRows.__slots__))


def _derive(held: _Held, known: VirtualSet, facts: VirtualFacts, span: Span) -> DerivedVirtual:
    starts_at_s = np.arange(*span, facts.interval_s, dtype=np.int64)
    rows = held.rows(facts.member_ids, span)
    columns = (getattr(rows, name) for name in MeasurementRows.__slots__)
    try:
        values = evaluate(
            facts,
            MemberRows(*columns),
            starts_at_s,
            find_day_firsts(starts_at_s, facts.zone),
            known.interval_s_of,
        )
    except WattkeeperError as error:
        return DerivedVirtual(facts, span, None, error)
    return DerivedVirtual(facts, span, _as_intervals(values, starts_at_s, facts.interval_s))


def _as_intervals(values: VirtualValues, starts_at_s: Int64s, interval_s: int) -> Intervals:
    """Return virtual values in the shape of derived ones; they rest on no register."""
    return Intervals(
        interval_s=interval_s,
        starts_at_s=starts_at_s,
        value_milliwh=values.value_milliwh,
        provenance=np.where(values.is_covered, values.provenance, int(Provenance.MISSING)),
        flags=values.flags,
        method=values.method,
        is_installed=values.is_covered,
        position_milliwh=np.zeros(len(starts_at_s) + 1, dtype=np.int64),
        position_chain=np.full(len(starts_at_s) + 1, -1, dtype=np.int64),
        gaps=(),
        findings=(),
    )
