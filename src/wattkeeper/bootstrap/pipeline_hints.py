"""The pipeline's port for what is known of gaps from elsewhere: holidays of the contracts in force."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from wattkeeper.data.billing.holidays import Holidays


class DataHints:
    """Hints of one tenant, read anew by `begin`."""

    def __init__(self, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._now = now
        self._holidays = Holidays(tenant_id)

    def begin(self) -> None:
        """Forget what an earlier run has read."""
        self._holidays = Holidays(self._tenant_id)

    def get_holidays(self, series_ids: Sequence[int]) -> Mapping[int, frozenset[date]]:
        """Return the holidays of the series that have any."""
        return self._holidays.of_series(series_ids)
