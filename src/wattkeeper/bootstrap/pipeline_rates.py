"""The pipeline's port for determinants: calendars of contracts, rows in the readings store."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Q

from wattkeeper.core.billing.determinants import RateCalendar, RateDayRows
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.tariffs.model import EnergyCharge
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.registry.plain_facts import among
from wattkeeper.store.api import ReadingStore


class DataRates:
    """Calendars and determinants of one tenant."""

    def __init__(self, store: ReadingStore, tenant_id: int) -> None:
        self._store = store
        self._tenant_id = tenant_id

    def get_calendars(self, series_id: Int64s, at_s: int) -> Sequence[tuple[RateCalendar, Int64s]]:
        """Return each calendar in force at an instant with the series that it holds for."""
        at = from_seconds(at_s)
        in_force = Q(starts_at__lte=at) & (Q(ends_at__isnull=True) | Q(ends_at__gt=at))
        own = among("usage_point__series__id", series_id) & Q(tenant_id=self._tenant_id)
        pairs = Contract.objects.filter(own & in_force).values_list("tariff_id", "usage_point__series__id")
        table = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        table = table[np.isin(table[:, 1], series_id)]
        calendars: dict[int, RateCalendar] = {}
        found: dict[int, list[Int64s]] = {}
        for tariff_id in np.unique(table[:, 0]).tolist():
            for calendar in _calendars(tariff_id, at):
                calendars[calendar.calendar_id] = calendar
                found.setdefault(calendar.calendar_id, []).append(table[table[:, 0] == tariff_id, 1])
        return [(calendars[own], np.unique(np.concatenate(ids))) for own, ids in found.items()]

    def append(self, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of a run."""
        self._store.insert_rate_days(self._tenant_id, run_id, rows)


def _calendars(tariff_id: int, at: datetime) -> list[RateCalendar]:
    """Return the calendars of the energy charges of a tariff's version in force."""
    version = (
        TariffVersion.objects.filter(tariff_id=tariff_id, valid_from_date__lte=at.date())
        .order_by("-valid_from_date")
        .first()
    )
    if version is None:
        return []
    tariff = parse_tariff(version.document)
    zone = ZoneInfo(tariff.zone.key)
    charges = [part for part in tariff.components if isinstance(part, EnergyCharge)]
    return [RateCalendar(charge.calendar, zone, len(charge.rates)) for charge in charges]
