"""What is known of gaps from elsewhere than the series itself, asked only for series that have such gaps."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate, Candidates, from_check_meter
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.pipeline.ports import CheckMeter, Hints, MeasurementRows
from wattkeeper.pipeline.virtual import Reader, changed_spans
from wattkeeper.pipeline.window import Span, merge_spans

DOUBTFUL_FLAGS = int(Flag.SUSPECT | Flag.CLOCK_INVALID)


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
    """Which series have a check meter, shape (series,)."""
    checked = {} if hints is None else hints.get_check_meters()
    if not checked:
        return np.zeros(len(series_id), dtype=np.bool_)
    return np.isin(series_id, np.array(list(checked), dtype=np.int64))


def candidates_for(hints: Hints | None, read: Reader, series_id: int, derived: Intervals) -> Candidates:
    """Return what is known elsewhere of a series, one element for each of its intervals."""
    meters = () if hints is None else hints.get_check_meters().get(series_id, ())
    found = [_of_check_meter(read, meter, derived) for meter in meters]
    return Candidates(before=tuple(each for each in found if each is not None))


def _of_check_meter(read: Reader, meter: CheckMeter, derived: Intervals) -> Candidate | None:
    """Return what a check meter measured of each interval; None where its grid does not fit into them."""
    parts_count, rest_s = divmod(derived.interval_s, meter.interval_s)
    if rest_s:
        return None
    from_s = int(derived.starts_at_s[0])
    rows = read([meter.series_id], (from_s, from_s + len(derived) * derived.interval_s))
    is_good = (rows.provenance == Provenance.MEASURED) & ((rows.flags & DOUBTFUL_FLAGS) == 0)
    is_good &= (rows.starts_at_s - from_s) % meter.interval_s == 0
    place = (rows.starts_at_s[is_good] - from_s) // derived.interval_s
    energy = np.zeros(len(derived), dtype=np.int64)
    np.add.at(energy, place, rows.value_milliwh[is_good])
    count = np.bincount(place, minlength=len(derived))
    return from_check_meter(energy, count == parts_count)


def mark_checked(hints: Hints, read: Reader, rows: MeasurementRows) -> None:
    """Mark where check meters' rows change, except where the other meter has measured all of it itself.

    Called before the rows are appended and after: so an interruption forgets nobody.
    """
    checked = hints.get_check_meters()
    if not checked:
        return
    users: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for series_id, meters in checked.items():
        for meter in meters:
            users[meter.series_id].append((series_id, meter.checked_interval_s))
    is_check = np.isin(rows.series_id, np.array(list(users), dtype=np.int64))
    if not is_check.any():
        return
    spans: dict[int, list[Span]] = defaultdict(list)
    for check_id, span in changed_spans(rows.series_id[is_check], rows.starts_at_s[is_check]):
        for series_id, interval_s in users[check_id]:
            if not _is_measured(read, rows, series_id, interval_s, span):
                spans[series_id].append(span)
    if spans:
        hints.mark({series_id: merge_spans(own) for series_id, own in spans.items()})


def _is_measured(read: Reader, rows: MeasurementRows, series_id: int, interval_s: int, span: Span) -> bool:
    """Whether a series has measured all of a span, by what is stored and by what is about to be."""
    stored = read([series_id], (span[0] - interval_s + 1, span[1]))
    own = rows.series_id == series_id
    known = dict(zip(stored.starts_at_s.tolist(), stored.provenance.tolist(), strict=True))
    known |= zip(rows.starts_at_s[own].tolist(), rows.provenance[own].tolist(), strict=True)
    first_s, end_s = span[0] - interval_s, span[1]
    measured = [
        at_s for at_s, own in sorted(known.items()) if own == Provenance.MEASURED and first_s < at_s < end_s
    ]
    if not measured or measured[0] > span[0] or measured[-1] + interval_s < span[1]:
        return False
    return bool((np.diff(measured) == interval_s).all())
