"""Which series a usage point is shown by."""

from collections.abc import Sequence

from wattkeeper.data.registry.models import Series
from wattkeeper.data.registry.quantities import DEFAULT_QUANTITY


def find_main_series(usage_point_ids: Sequence[int]) -> dict[int, int]:
    """Return the series of each usage point that has any: imported energy, else the oldest."""
    rows = Series.objects.filter(usage_point_id__in=usage_point_ids).values_list(
        "usage_point_id", "id", "quantity"
    )
    by_rank = sorted(rows, key=lambda row: (row[2] == DEFAULT_QUANTITY, -row[1]))
    return {point_id: series_id for point_id, series_id, _ in by_rank}
