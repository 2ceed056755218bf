"""How long the intervals of a series were when a run wrote them: a file may have changed it since.

A run that began before a file was read may have known it, one that began meanwhile may not: no instants
of both tell. Where its values stand does.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from wattkeeper.data.audit.former_lengths import length_changes
from wattkeeper.data.collection.queries import list_runs
from wattkeeper.data.registry.models import Series
from wattkeeper.store.api import ReadingStore

AROUND_S = 86_400


def length_as_of_run_s(store: ReadingStore, series: Series, starts_at_s: int, run_id: int | None) -> int:
    """Return the length of the interval that begins at an instant, as of a run or of now."""
    changes = length_changes(series.tenant_id, series.id)
    run = list_runs([run_id]).get(run_id) if run_id is not None and changes else None
    return length_of_s(store, series, changes, starts_at_s, run_id, run.recorded_at if run else None)


def length_of_s(
    store: ReadingStore,
    series: Series,
    changes: Sequence[tuple[datetime, int]],
    starts_at_s: int,
    run_id: int | None,
    at: datetime | None,
) -> int:
    """Return the length as of a run that began at an instant, by the series' `length_changes`.

    The longest of all that were which every value around begins a multiple of away from the interval; by the
    run's beginning where there is none but it.
    """
    if not changes:
        return series.interval_s
    span = starts_at_s - AROUND_S, starts_at_s + AROUND_S
    around = store.measurements(series.tenant_id, [series.id], *span, as_of_run_id=run_id)
    away_s = int(np.gcd.reduce(around.starts_at_s - starts_at_s, initial=0))
    lengths_s = sorted({series.interval_s, *(length_s for _, length_s in changes)}, reverse=True)
    fitting = [length_s for length_s in lengths_s if away_s and away_s % length_s == 0]
    former_s = [length_s for changed_at, length_s in changes if at is not None and changed_at > at]
    return (fitting or former_s[-1:] or [series.interval_s])[0]
