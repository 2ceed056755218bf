"""The pipeline's port for what is known of gaps from elsewhere: contracts, comparisons, disconnections."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, timedelta
from math import ceil

from wattkeeper.bootstrap.pipeline_held import Holding
from wattkeeper.bootstrap.pipeline_virtual import mark_spans
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.collection.windows import find_claimed
from wattkeeper.data.commands.disconnections import list_disconnections
from wattkeeper.data.registry.models import Series
from wattkeeper.data.virtual.accuracy import check_meter_rows, node_rows
from wattkeeper.data.virtual.formulas import fed_spans
from wattkeeper.data.virtual.given_back import given_back_spans
from wattkeeper.pipeline.ports import CheckMeter, NodeMeters

_DAY = timedelta(days=1)
OffSpans = dict[int, list[tuple[int, int | None]]]


class DataHints:
    """Hints of one tenant, read anew by `begin`."""

    def __init__(self, tenant_id: int, holding: Holding) -> None:
        self._tenant_id = tenant_id
        self._holding = holding
        self.begin()

    def begin(self) -> None:
        """Forget what an earlier run has read."""
        self._holidays = Holidays(self._tenant_id)
        self._check_meters: dict[int, list[CheckMeter]] | None = None
        self._nodes: list[NodeMeters] | None = None
        self._off_spans: OffSpans | None = None

    def get_holidays(
        self, series_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, frozenset[date]]:
        """Return the holidays in and around a span of the series that have any."""
        first, last = from_seconds(from_s).date() - _DAY, from_seconds(to_s).date() + _DAY
        return self._holidays.of_series(series_ids, first, last)

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        """Return the check meters of the standing comparisons, by series."""
        if self._check_meters is None:
            self._check_meters = {}
            for main_id, *check in check_meter_rows(tenant_id=self._tenant_id):
                self._check_meters.setdefault(main_id, []).append(CheckMeter(*check))
        return self._check_meters

    def get_nodes(self) -> Sequence[NodeMeters]:
        """Return the nodes of the standing comparisons of a meter with what it feeds."""
        if self._nodes is None:
            self._nodes = list(_nodes(self._tenant_id))
        return self._nodes

    def get_off_spans(self) -> Mapping[int, Sequence[tuple[int, int | None]]]:
        """Return from each read-back of a disconnection until a reconnection was sent, by series."""
        if self._off_spans is None:
            self._off_spans = _off_spans(self._tenant_id)
        return self._off_spans

    def find_claimed(self, series_ids: Sequence[int]) -> Set[int]:
        """Return those of which another run holds a window now."""
        held = self._holding.fence_id
        return find_claimed(tenant_id=self._tenant_id, series_ids=series_ids, besides=held)

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Mark spans of series dirty."""
        mark_spans(self._tenant_id, spans, reason="estimate", now=self._holding.now())


def _nodes(tenant_id: int) -> Iterator[NodeMeters]:
    for main_id, feeder_id, interval_s, loss_ppm in node_rows(tenant_id=tenant_id):
        parts = fed_spans(tenant_id, main_id)
        feeder_backs, backs = given_back_spans(tenant_id, main_id)
        ids = {own for own, _, _ in (*parts, *backs, *feeder_backs)}
        grids = {
            feeder_id: interval_s,
            **dict(Series.objects.filter(id__in=ids).values_list("id", "interval_s")),
        }
        yield NodeMeters(feeder_id, tuple(parts), grids, loss_ppm, tuple(backs), tuple(feeder_backs))


def _off_spans(tenant_id: int) -> OffSpans:
    off: OffSpans = {}
    for each in list_disconnections(tenant_id):
        from_s = ceil(each.starts_at.timestamp())
        asked_s = None if each.asked_at is None else int(each.asked_at.timestamp())
        off.setdefault(each.usage_point_id, []).append((from_s, asked_s))
    series = Series.objects.filter(usage_point_id__in=list(off)) if off else Series.objects.none()
    return {own: off[point_id] for own, point_id in series.values_list("id", "usage_point_id")}
