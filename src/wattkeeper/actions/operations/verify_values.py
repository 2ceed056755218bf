"""Every current value derived again from the raw reads, the registry and the rules."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.actions.operations.verify_scope import CHUNK_COUNT, Scope
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.like_days import HISTORY_DAYS
from wattkeeper.pipeline.ports import MeasurementRows, Ports
from wattkeeper.pipeline.rederive import rederive
from wattkeeper.pipeline.window import Span, merge_spans
from wattkeeper.store.verify import Check
from wattkeeper.store.windows import month_span

DAY_S = 86_400
REACH_S = (HISTORY_DAYS + 1) * DAY_S  # as far as what is derived of a day may follow from other days
GAP_REACH_S = 400 * DAY_S  # as far as an estimate may: it learns from last year, or ends a gap of months
FRESH_S = 54 * 3600  # what is younger is looked at again: its gaps may be estimated or not


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
        are_gaps = _are_gaps(rows, stored, indexes)
        reach_s = GAP_REACH_S if are_gaps else REACH_S
        if scope.is_dirty(series_id, first_s, last_s + DAY_S):
            check.cannot("verify.not-derived-yet", grain="day", **place)
        elif scope.is_away(first_s - reach_s, last_s + reach_s):
            check.cannot("verify.archived-beside", **place)
        elif are_gaps and (
            first_s >= min(scope.now_s, scope.looked_at_s) - FRESH_S
            or not any((series_id, int(at_s)) in stored for at_s in rows.starts_at_s[indexes])
        ):  # looked at too early, or never
            check.cannot("verify.gap-still-open", **place)
        else:
            at_s = int(rows.starts_at_s[indexes[0]])
            check.fault(
                "verify.value-not-derived",
                first=from_seconds(at_s).isoformat(),
                stored=stored.get((series_id, at_s), (None, 0))[0],
                derived=int(rows.value_milliwh[indexes[0]]),
                **place,
            )


def _stored(scope: Scope, rows: MeasurementRows) -> dict[tuple[int, int], tuple[int, int]]:
    ids: Int64s = np.unique(rows.series_id)
    found = scope.store.measurements(
        scope.tenant_id, ids.tolist(), int(rows.starts_at_s.min()), int(rows.starts_at_s.max()) + 1
    )
    columns = (found.series_id, found.starts_at_s, found.value_milliwh, found.provenance)
    return {
        (series_id, at_s): (value, provenance)
        for series_id, at_s, value, provenance in zip(*(column.tolist() for column in columns), strict=True)
    }


def _is_nothing(
    rows: MeasurementRows, stored: dict[tuple[int, int], tuple[int, int]], indexes: list[int]
) -> bool:
    """Whether nothing is known of a day, and nothing stored."""
    return all(
        int(rows.provenance[index]) == Provenance.MISSING
        and (int(rows.series_id[index]), int(rows.starts_at_s[index])) not in stored
        for index in indexes
    )


def _are_gaps(
    rows: MeasurementRows, stored: dict[tuple[int, int], tuple[int, int]], indexes: list[int]
) -> bool:
    """Whether nothing measured differs: gaps that are estimated by now, or not any more."""
    unmeasured = (Provenance.MISSING, Provenance.ESTIMATED)
    return all(
        int(rows.provenance[index]) in unmeasured
        and stored.get((int(rows.series_id[index]), int(rows.starts_at_s[index])), (0, 0))[1] in unmeasured
        for index in indexes
    )
