"""How long the intervals of a series were when a run wrote them: a file may have changed it since."""

from collections.abc import Iterable
from datetime import datetime

from wattkeeper.data.audit.former_lengths import length_changes
from wattkeeper.data.collection.queries import list_runs
from wattkeeper.data.registry.models import Series


def length_as_of_run_s(series: Series, run_id: int | None) -> int:
    """Return the length as of a run, or of now."""
    run = list_runs([run_id]).get(run_id) if run_id is not None else None
    changes = length_changes(series.tenant_id, series.id) if run is not None else ()
    return length_at_s(series, changes, run.recorded_at if run else None)


def length_at_s(series: Series, changes: Iterable[tuple[datetime, int]], at: datetime | None) -> int:
    """Return the length at an instant, or now, of the series' `length_changes`."""
    former_s = [length_s for changed_at, length_s in changes if at is not None and changed_at > at]
    return former_s[-1] if former_s else series.interval_s
