"""The pipeline's port for what is known of gaps from elsewhere: holidays of contracts, check meters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from wattkeeper.bootstrap.pipeline_virtual import mark_spans
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.virtual.accuracy import check_meter_rows
from wattkeeper.pipeline.ports import CheckMeter

_DAY = timedelta(days=1)


class DataHints:
    """Hints of one tenant, read anew by `begin`."""

    def __init__(self, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._now = now
        self._holidays = Holidays(tenant_id)
        self._check_meters: dict[int, list[CheckMeter]] | None = None

    def begin(self) -> None:
        """Forget what an earlier run has read."""
        self._holidays, self._check_meters = Holidays(self._tenant_id), None

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

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Mark spans of series dirty."""
        mark_spans(self._tenant_id, spans, reason="check-meter", now=self._now())
