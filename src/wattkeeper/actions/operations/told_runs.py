"""What runs say that they wrote, some of them at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from django.db.models.functions import Coalesce

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.data.collection.models import Run
from wattkeeper.data.registry.integer_rows import integer_rows
from wattkeeper.store.archive import iter_away
from wattkeeper.store.verify_written import UNKNOWN, Told, Written

PART_COUNT = 200_000  # runs looked at together: what bounds memory
_FIRST_ID, _LAST_ID = -(1 << 63), (1 << 63) - 1


class ToldRuns:
    """The runs as their rows tell of them, without the values that left: the sum is not known then."""

    def __init__(self, archive: Path) -> None:
        self._left_ids, self._left_counts = _left(archive)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield first and last ids of spans with at most `PART_COUNT` runs that are there now."""
        first_id, ids = _FIRST_ID, Run.objects.order_by("id").values_list("id", flat=True)
        while (next_id := ids.filter(id__gte=first_id)[PART_COUNT : PART_COUNT + 1].first()) is not None:
            yield first_id, next_id - 1
            first_id = next_id
        yield first_id, _LAST_ID

    def written(self, first_id: int, last_id: int) -> Written:
        """Return what the runs of a span say by now."""
        columns = (Coalesce(name, UNKNOWN) for name in ("values_mix", "roll_ups_mix"))
        told = Run.objects.filter(id__gte=first_id, id__lte=last_id).order_by("id")
        rows = integer_rows(told.values_list("id", "values_count", "roll_ups_count", *columns), 5)
        run_id, values_count, roll_ups_count, values_mix, roll_ups_mix = rows.T.copy()
        has_left = np.isin(run_id, self._left_ids)
        left = self._left_counts[np.searchsorted(self._left_ids, run_id[has_left])]
        values_count[has_left] = np.maximum(values_count[has_left] - left, 0)
        values_mix[has_left] = UNKNOWN
        return Written(Told(run_id, values_count, values_mix), Told(run_id, roll_ups_count, roll_ups_mix))


def _left(archive: Path) -> tuple[Int64s, Int64s]:
    """Return runs of which values are out of the engine, rising, and how many of each; both (runs,)."""
    ids, counts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for manifest in iter_away(archive):
        ids.append(np.array([int(run) for run in manifest.runs], dtype=np.int64))
        counts.append(np.fromiter(manifest.runs.values(), np.int64, len(manifest.runs)))
    run_ids, place = np.unique(np.concatenate(ids), return_inverse=True)
    left = np.zeros(len(run_ids), dtype=np.int64)
    np.add.at(left, place, np.concatenate(counts))
    return run_ids, left
