"""The pipeline's port for virtual series: formulas from the relational side, marks as dirty windows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.core.registry.virtual_series import VirtualSet
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.virtual.formulas import load_virtual


class DataVirtual:
    """The virtual series of one tenant."""

    def __init__(self, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._now = now

    def load(self) -> VirtualSet:
        """Return all of them as they are now."""
        return load_virtual(self._tenant_id)

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Mark spans dirty."""
        mark_spans(self._tenant_id, spans, reason="virtual", now=self._now())


def mark_spans(
    tenant_id: int, spans: Mapping[int, Sequence[tuple[int, int]]], *, reason: str, now: datetime
) -> None:
    """Mark spans of series dirty: one statement a shard for each further span of a series."""
    for index in range(max(map(len, spans.values()), default=0)):
        own = {
            series_id: Period(from_seconds(each[index][0]), from_seconds(each[index][1]))
            for series_id, each in spans.items()
            if index < len(each)
        }
        mark_dirty(tenant_id=tenant_id, now=now, reason=reason, series=own)
