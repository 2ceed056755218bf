"""Every current value derived again from the raw reads, the registry and the rules."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.actions.operations.verify_scope import CHUNK_COUNT, Scope
from wattkeeper.core.kernel.instants import Span, from_seconds, merge_spans
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality, quality_name
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.like_days import HISTORY_DAYS
from wattkeeper.pipeline.ports import MeasurementRows, Ports
from wattkeeper.pipeline.rederive import rederive
from wattkeeper.pipeline.window import CONTEXT_S
from wattkeeper.store.verify import Check
from wattkeeper.store.windows import month_span

DAY_S = 86_400
REACH_S = (HISTORY_DAYS + 1) * DAY_S  # as far as what is derived of a day may follow from other days
GAP_REACH_S = 400 * DAY_S  # as far as an estimate may: it learns from last year, or ends a gap of months
NEARBY_S = CONTEXT_S + DAY_S  # as far as what was measured does: a local day, and the reads around it
FRESH_S = 54 * 3600  # what is younger is looked at again: its gaps may be estimated or not

Stored = dict[tuple[int, int], tuple[int, int, int, int]]
"""Value, provenance, flags and method by series and start."""


def check_values(scope: Scope, check: Check, ports_of: Callable[[int], Ports]) -> None:
    """The pipeline, run again without writing, finds nothing to change."""
    ports, spans = ports_of(scope.tenant_id), _held_spans(scope)
    for start in range(0, len(scope.series_ids), CHUNK_COUNT):
        ids = scope.series_ids[start : start + CHUNK_COUNT]
        for from_s, to_s in spans:
            on_done = scope.on_done if to_s == spans[-1][1] else _nothing
            again = rederive(ports, ids, from_s, to_s, scope.now_s, on_done)
            check.examined_count += again.interval_count
            for failure in again.failures:
                check.fault("verify.series-underivable", series_id=failure.series_id, reason=failure.code)
            _tell(scope, check, again.rows.where(~_in_any(again.rows.starts_at_s, scope.away)))


def _nothing(_count: int) -> None:
    """More of the same series follows."""


def _held_spans(scope: Scope) -> Sequence[Span]:
    """Return the months of which something is stored and nothing archived, and the days beside them.

    Decades may lie between what a file brought and what is read today: nothing follows from nothing.
    """
    months = [month_span(month) for month in scope.store.months(scope.tenant_id)]
    stored = merge_spans((first_s - DAY_S, end_s + DAY_S) for first_s, end_s in months)
    both = [(max(one[0], other[0]), min(one[1], other[1])) for one in stored for other in scope.held]
    return [span for span in both if span[0] < span[1]]


def _in_any(at_s: Int64s, spans: Sequence[Span]) -> NDArray[np.bool_]:
    found = np.zeros(len(at_s), dtype=np.bool_)
    for from_s, to_s in spans:
        found |= (at_s >= from_s) & (at_s < to_s)
    return found


def _tell(scope: Scope, check: Check, rows: MeasurementRows) -> None:
    """Note what differs, by series and local day."""
    if not len(rows):
        return
    zone_of = {series_id: zone for zone, ids in scope.zones.items() for series_id in ids}
    stored = _stored(scope, rows)
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, (series_id, at_s) in enumerate(
        zip(rows.series_id.tolist(), rows.starts_at_s.tolist(), strict=True)
    ):
        groups[series_id, from_seconds(at_s).astimezone(zone_of[series_id]).date().isoformat()].append(index)
    for (series_id, date), indexes in sorted(groups.items()):
        if _is_nothing(rows, stored, indexes):
            continue
        place = {"series_id": series_id, "date": date, "values": len(indexes)}
        first_s, last_s = int(rows.starts_at_s[indexes].min()), int(rows.starts_at_s[indexes].max())
        are_gaps, wrong = _are_gaps(rows, stored, indexes), list[int]()
        reach_s = GAP_REACH_S if are_gaps else REACH_S
        if scope.is_dirty(series_id, first_s, last_s + DAY_S):
            scope.wait(check, series_id, date)
        elif scope.is_away(first_s - reach_s, last_s + reach_s) and not (
            wrong := [index for index in indexes if _is_wrong_anyway(scope, rows, stored, index)]
        ):
            check.cannot("verify.archived-beside", **place)
        elif are_gaps and (
            first_s >= min(scope.now_s, scope.looked_at_s) - FRESH_S
            or not any((series_id, int(at_s)) in stored for at_s in rows.starts_at_s[indexes])
        ):  # looked at too early, or never
            check.cannot("verify.gap-still-open", **place)
        else:
            index = (wrong or indexes)[0]
            at_s = int(rows.starts_at_s[index])
            value, *quality = stored.get((series_id, at_s), (None, 0, 0, 0))
            columns = (rows.value_milliwh, rows.provenance, rows.flags, rows.method)
            wanted, *wanted_quality = (int(column[index]) for column in columns)
            check.fault(
                "verify.value-not-derived",
                first=from_seconds(at_s).isoformat(),
                stored=value,
                stored_quality=_name_of(*quality),
                derived=wanted,
                derived_quality=_name_of(*wanted_quality),
                **place,
            )


def _name_of(provenance: int, flags: int, method: int) -> str:
    try:
        return quality_name(Quality(Provenance(provenance), Flag(flags), Method(method)))
    except ValueError:  # what is stored may be anything
        return f"{provenance}/{flags}/{method}"


def _is_wrong_anyway(scope: Scope, rows: MeasurementRows, stored: Stored, index: int) -> bool:
    """Whether a value differs whatever a month that is away held: what was measured rests on reads nearby.

    Only that it is one more or less trusted, or estimated in its place, may follow from what lies farther.
    """
    at_s = int(rows.starts_at_s[index])
    value, provenance, *_ = stored.get((int(rows.series_id[index]), at_s), (None, Provenance.MEASURED))
    return (
        int(rows.provenance[index]) == provenance == Provenance.MEASURED
        and int(rows.value_milliwh[index]) != value
        and not scope.is_away(at_s - NEARBY_S, at_s + NEARBY_S)
    )


def _stored(scope: Scope, rows: MeasurementRows) -> Stored:
    ids: Int64s = np.unique(rows.series_id)
    found = scope.store.measurements(
        scope.tenant_id, ids.tolist(), int(rows.starts_at_s.min()), int(rows.starts_at_s.max()) + 1
    )
    keys = zip(found.series_id.tolist(), found.starts_at_s.tolist(), strict=True)
    columns = (found.value_milliwh, found.provenance, found.flags, found.method)
    return dict(zip(keys, zip(*(column.tolist() for column in columns), strict=True), strict=True))


def _is_nothing(rows: MeasurementRows, stored: Stored, indexes: list[int]) -> bool:
    """Whether nothing is known of a day, and nothing stored."""
    return all(
        int(rows.provenance[index]) == Provenance.MISSING
        and (int(rows.series_id[index]), int(rows.starts_at_s[index])) not in stored
        for index in indexes
    )


def _are_gaps(rows: MeasurementRows, stored: Stored, indexes: list[int]) -> bool:
    """Whether nothing measured differs: gaps that are estimated by now, or not any more."""
    unmeasured = (Provenance.MISSING, Provenance.ESTIMATED)
    return all(
        int(rows.provenance[index]) in unmeasured
        and stored.get((int(rows.series_id[index]), int(rows.starts_at_s[index])), (0, 0))[1] in unmeasured
        for index in indexes
    )
