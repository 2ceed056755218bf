"""Every current value derived again from the raw reads, the registry and the rules."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from wattkeeper.actions.operations.verify_scope import CHUNK_COUNT, Scope
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.pipeline.ports import MeasurementRows, Ports
from wattkeeper.pipeline.rederive import rederive
from wattkeeper.store.verify import Check

DAY_S = 86_400
FRESH_S = 54 * 3600  # what is younger is looked at again: its gaps may be estimated or not


def check_values(scope: Scope, check: Check, ports_of: Callable[[int], Ports]) -> None:
    """The pipeline, run again without writing, finds nothing to change."""
    if scope.from_s is None:
        return
    ports = ports_of(scope.tenant_id)
    for start in range(0, len(scope.series_ids), CHUNK_COUNT):
        ids = scope.series_ids[start : start + CHUNK_COUNT]
        again = rederive(ports, ids, scope.from_s, scope.now_s, scope.now_s)
        check.examined_count += again.interval_count
        for failure in again.failures:
            check.fault("verify.series-underivable", series_id=failure.series_id, reason=failure.code)
        _tell(scope, check, again.rows)


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
        place = {"series_id": series_id, "date": date, "values": len(indexes)}
        first_s, last_s = int(rows.starts_at_s[indexes].min()), int(rows.starts_at_s[indexes].max())
        if scope.is_dirty(series_id, first_s, last_s + DAY_S):
            check.cannot("verify.not-derived-yet", grain="day", **place)
        elif first_s >= min(scope.now_s, scope.looked_at_s) - FRESH_S and _are_gaps(rows, stored, indexes):
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
