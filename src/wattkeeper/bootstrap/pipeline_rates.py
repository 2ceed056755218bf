"""The pipeline's port for determinants: calendars of contracts, rows in the readings store."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Q

from wattkeeper.core.billing.determinants import RateCalendar, RateDayRows
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.registry.plain_facts import among
from wattkeeper.pipeline.ports import DatedCalendar
from wattkeeper.store.api import ReadingStore


class DataRates:
    """Calendars and determinants of one tenant."""

    def __init__(self, store: ReadingStore, tenant_id: int) -> None:
        self._store = store
        self._tenant_id = tenant_id

    def get_calendars(self, series_id: Int64s, from_s: int, to_s: int) -> Sequence[DatedCalendar]:
        """Return the calendars in force anywhere in a span: of each contract, of each version it names."""
        begins, ends = from_seconds(from_s), from_seconds(to_s)
        in_force = Q(starts_at__lt=ends) & (Q(ends_at__isnull=True) | Q(ends_at__gt=begins))
        own = among("usage_point__series__id", series_id) & Q(tenant_id=self._tenant_id)
        rows = Contract.objects.filter(own & in_force).values_list(
            "tariff_id", "starts_at", "ends_at", "usage_point__series__id"
        )
        held: dict[tuple[int, int, int], list[int]] = {}
        for tariff_id, starts_at, ends_at, own_id in rows:
            first_s = max(from_s, to_seconds(starts_at))
            end_s = to_s if ends_at is None else min(to_s, to_seconds(ends_at))
            held.setdefault((tariff_id, first_s, end_s), []).append(own_id)
        found = []
        for (tariff_id, first_s, end_s), ids in held.items():
            chosen = np.intersect1d(np.array(ids, dtype=np.int64), series_id)
            if len(chosen):
                found += [DatedCalendar(*dated, chosen) for dated in _calendars(tariff_id, first_s, end_s)]
        return found

    def append(self, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of a run."""
        self._store.insert_rate_days(self._tenant_id, run_id, rows)


def _calendars(tariff_id: int, from_s: int, to_s: int) -> list[tuple[RateCalendar, int, int]]:
    """Return the calendars of the energy charges of a tariff's versions, each cut to when it is in force."""
    versions = TariffVersion.objects.filter(tariff_id=tariff_id).order_by("valid_from_date")
    dated = [(version.valid_from_date, parse_tariff(version.document)) for version in versions]
    starts_s = [to_seconds(local_midnight(day, ZoneInfo(tariff.zone.key))) for day, tariff in dated]
    calendars = []
    for (_, tariff), first_s, end_s in zip(dated, starts_s, [*starts_s[1:], to_s], strict=True):
        first_s, end_s = max(first_s, from_s), min(end_s, to_s)
        charges = [part for part in tariff.components if isinstance(part, EnergyCharge)]
        own = {c.calendar_id: c for c in (_calendar_of(charge, tariff) for charge in charges)}
        calendars += [(calendar, first_s, end_s) for calendar in own.values() if first_s < end_s]
    return calendars


def _calendar_of(charge: EnergyCharge, tariff: Tariff) -> RateCalendar:
    return RateCalendar(charge.calendar, ZoneInfo(tariff.zone.key), len(charge.rates))
