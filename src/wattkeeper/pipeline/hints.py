"""What is known of gaps from elsewhere than the series itself, asked only for series that have such gaps."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import Span, merge_spans
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate, from_check_meter, from_known_zero
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.series import cut_window
from wattkeeper.pipeline.nodes import candidate_in_node, measured_on, members_of, tellers_of
from wattkeeper.pipeline.ports import Hints, MeasurementRows
from wattkeeper.pipeline.virtual import Reader, changed_spans


def calendar_with(hints: Hints | None, series_id: int, calendar: DayCalendar, span: Span) -> DayCalendar:
    """Return the calendar of a series with the holidays that are known of it."""
    found, _ = next(calendars_with(hints, np.array([series_id]), calendar, span))
    return found


def calendars_with(
    hints: Hints | None, series_id: Int64s, calendar: DayCalendar, span: Span
) -> Iterator[tuple[DayCalendar, Int64s]]:
    """Yield calendars with the holidays known of a span, and the places of the series that go by each."""
    ids = series_id.tolist()
    known = {} if hints is None else hints.get_holidays(ids, *span)
    if not known:
        yield calendar, np.arange(len(ids))
        return
    places: dict[DayCalendar, list[int]] = {}
    for place, own in enumerate(ids):
        days = known.get(own)
        each = calendar if not days else DayCalendar(calendar.zone, calendar.holidays | days)
        places.setdefault(each, []).append(place)
    for each, own_places in places.items():
        yield each, np.array(own_places)


def has_hints(hints: Hints | None, series_id: Int64s) -> NDArray[np.bool_]:
    """Which series have a check meter, a node or a supply that was off at some time, shape (series,)."""
    if hints is None:
        return np.zeros(len(series_id), dtype=np.bool_)
    hinted = {*hints.get_check_meters(), *hints.get_off_spans()}
    for node in hints.get_nodes():
        hinted.update(members_of(node))
    return np.isin(series_id, np.array(sorted(hinted), dtype=np.int64))


def candidates_before(
    hints: Hints | None, read: Reader, series_id: int, derived: Intervals, from_s: int
) -> tuple[Candidate, ...]:
    """Return what is asked of a series before its own neighbours and days, in order of preference.

    Check meters and what a meter feeds, the zero of a supply that was off, the balance of a node. Of what
    lies before `from_s` nothing is asked.
    """
    if hints is None:
        return ()
    earlier_count = int(np.searchsorted(derived.starts_at_s, from_s))
    derived = cut_window(derived, earlier_count, len(derived))
    found: list[Candidate | None] = []
    for meter in hints.get_check_meters().get(series_id, ()):
        span = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + derived.interval_s
        rows = read([meter.series_id], span)
        found.append(from_check_meter(*measured_on(rows, meter.series_id, meter.interval_s, derived)))
    nodes = hints.get_nodes()
    found += [candidate_in_node(read, own, series_id, derived) for own in nodes if own.feeder_id == series_id]
    if off := hints.get_off_spans().get(series_id):
        found.append(from_known_zero(_is_within(derived, off)))
    found += [candidate_in_node(read, own, series_id, derived) for own in nodes if own.feeder_id != series_id]
    return tuple(_put_after(earlier_count, each) for each in found if each is not None)


def _put_after(count: int, candidate: Candidate) -> Candidate:
    """Return a candidate for a series that begins so many intervals earlier."""
    nothing = np.zeros(count, dtype=np.int64)
    return replace(
        candidate,
        energy_milliwh=np.concatenate((nothing, candidate.energy_milliwh)),
        is_known=np.concatenate((nothing != 0, candidate.is_known)),
    )


def _is_within(derived: Intervals, spans: Iterable[tuple[int, int | None]]) -> NDArray[np.bool_]:
    """Which intervals lie wholly within one of some spans."""
    found = np.zeros(len(derived), dtype=np.bool_)
    ends_s = derived.starts_at_s + derived.interval_s
    for from_s, to_s in spans:
        found |= (derived.starts_at_s >= from_s) & (ends_s <= (ends_s[-1] if to_s is None else to_s))
    return found


def mark_checked(hints: Hints, read: Reader, rows: MeasurementRows) -> None:
    """Mark what check meters and members of nodes tell of others where their rows change.

    Except where the other meter has measured all of it itself; one that another run derives meanwhile may
    not have stored yet that it has not. Called before the rows are appended and after: so an interruption
    forgets nobody.
    """
    spans, interval_s_of = _told_by(hints, rows)
    if not spans:
        return
    claimed = hints.find_claimed(sorted(spans))  # before the store is asked: whoever is done has stored
    rows = rows.where(np.isin(rows.series_id, np.array(sorted(spans), dtype=np.int64)))
    wanted: dict[int, list[Span]] = defaultdict(list)
    asked: dict[Span, list[int]] = defaultdict(list)
    for series_id, told in spans.items():
        for span in told:
            asked[span].append(series_id)
    for span, ids in asked.items():
        free = [own for own in ids if own not in claimed]
        for own in sorted(claimed & set(ids) | _unmeasured(read, rows, free, interval_s_of, span)):
            wanted[own].append(span)
    if wanted:
        hints.mark(wanted)


def _told_by(hints: Hints, rows: MeasurementRows) -> tuple[dict[int, list[Span]], dict[int, int]]:
    """Return of which series changed rows may tell something, and their grids."""
    groups: list[tuple[frozenset[int], dict[int, int]]] = []  # who tells something, and of whom
    for series_id, meters in hints.get_check_meters().items():
        own = frozenset(meter.series_id for meter in meters)
        groups.append((own, {series_id: meters[0].checked_interval_s}))
    groups += [(tellers_of(node), dict(members_of(node))) for node in hints.get_nodes()]
    tellers = sorted({own for tellers, _ in groups for own in tellers})
    is_teller = np.isin(rows.series_id, np.array(tellers, dtype=np.int64))
    changed: dict[int, list[Span]] = defaultdict(list)
    for series_id, span in changed_spans(rows.series_id[is_teller], rows.starts_at_s[is_teller]):
        changed[series_id].append(span)
    found: dict[int, list[Span]] = defaultdict(list)
    interval_s_of: dict[int, int] = {}
    for own, told in groups:
        changing = own & changed.keys()
        spans = merge_spans(span for series_id in changing for span in changed[series_id])
        for series_id, interval_s in told.items() if spans else ():
            if changing != {series_id}:  # nobody tells of itself
                found[series_id] += spans
                interval_s_of[series_id] = interval_s
    return {own: merge_spans(spans) for own, spans in found.items()}, interval_s_of


def _unmeasured(
    read: Reader,
    rows: MeasurementRows,
    series_ids: Sequence[int],
    interval_s_of: Mapping[int, int],
    span: Span,
) -> set[int]:
    """Return which series have not measured all of a span, by what is stored and by what is about to be."""
    if not series_ids:
        return set()
    widest_s = max(interval_s_of[own] for own in series_ids)
    stored = read(series_ids, (span[0] - widest_s + 1, span[1]))
    every = MeasurementRows.concatenate([stored, rows])
    is_asked = np.isin(every.series_id, np.array(series_ids, dtype=np.int64))
    is_asked &= (every.starts_at_s > span[0] - widest_s) & (every.starts_at_s < span[1])
    place = np.flatnonzero(is_asked)
    place = place[np.lexsort((place, every.starts_at_s[place], every.series_id[place]))]
    key = np.stack((every.series_id[place], every.starts_at_s[place]))
    is_newest = np.append((np.diff(key, axis=1) != 0).any(axis=0), True) if len(place) else place == 0
    place = place[is_newest & (every.provenance[place] == Provenance.MEASURED)]
    found = every.series_id[place]
    starts = np.searchsorted(found, np.array(series_ids, dtype=np.int64), side="left").tolist()
    ends = np.searchsorted(found, np.array(series_ids, dtype=np.int64), side="right").tolist()
    return {
        own
        for own, first, end in zip(series_ids, starts, ends, strict=True)
        if not _is_covered(every.starts_at_s[place[first:end]], interval_s_of[own], span)
    }


def _is_covered(starts_at_s: Int64s, interval_s: int, span: Span) -> bool:
    """Whether intervals that start at rising instants cover a span without a hole."""
    own = starts_at_s[starts_at_s > span[0] - interval_s]
    if not len(own) or own[0] > span[0] or own[-1] + interval_s < span[1]:
        return False
    return bool((np.diff(own) == interval_s).all())
