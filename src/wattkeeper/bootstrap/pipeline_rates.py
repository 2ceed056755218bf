"""The pipeline's port for determinants: calendars of contracts, rows in the readings store."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from wattkeeper.core.billing.determinants import RateCalendar, RateDayRows
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.registry.integer_rows import integer_rows
from wattkeeper.data.registry.plain_facts import among
from wattkeeper.pipeline.ports import DatedCalendar
from wattkeeper.store.api import ReadingStore

NOBODY = np.zeros(0, dtype=np.int64)


class DataRates:
    """Calendars and determinants of one tenant."""

    def __init__(self, store: ReadingStore, tenant_id: int) -> None:
        self._store = store
        self._tenant_id = tenant_id

    def get_calendars(self, series_id: Int64s, from_s: int, to_s: int) -> Sequence[DatedCalendar]:
        """Return the calendars in force anywhere in a span: of each contract, of each version it names."""
        begins, ends = from_seconds(from_s), from_seconds(to_s)
        own = among("usage_point__series__id", series_id)  # these alone: a tenant has too many to search
        in_force = Q(starts_at__lt=ends) & (Q(ends_at__isnull=True) | Q(ends_at__gt=begins))
        throughout = Q(starts_at__lte=begins) & (Q(ends_at__isnull=True) | Q(ends_at__gte=ends))
        contracts = Contract.objects.filter(own & in_force)
        is_whole = Case(When(throughout, then=Value(1)), default=Value(0), output_field=IntegerField())
        told = contracts.annotate(is_whole=is_whole).values_list(
            "tariff_id", "usage_point__series__id", "is_whole"
        )
        rows = integer_rows(told, 3)
        whole = rows[rows[:, 2] == 1]
        held = {(int(t), from_s, to_s): whole[whole[:, 0] == t, 1] for t in np.unique(whole[:, 0])}
        parts = _in_part(contracts.exclude(throughout), from_s, to_s) if len(whole) < len(rows) else {}
        for key, ids in parts.items():
            held[key] = np.concatenate((held.get(key, NOBODY), ids))
        found = []
        for (tariff_id, first_s, end_s), ids in held.items():
            chosen = np.intersect1d(ids, series_id)
            if len(chosen):
                found += [DatedCalendar(*dated, chosen) for dated in _calendars(tariff_id, first_s, end_s)]
        return found

    def append(self, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of a run."""
        self._store.insert_rate_days(self._tenant_id, run_id, rows)


def _in_part(contracts: "QuerySet[Contract]", from_s: int, to_s: int) -> dict[tuple[int, int, int], Int64s]:
    """Return the series of contracts by tariff and by what of a span they cover."""
    rows = contracts.values_list("tariff_id", "starts_at", "ends_at", "usage_point__series__id")
    held: dict[tuple[int, int, int], list[int]] = {}
    for tariff_id, starts_at, ends_at, own_id in rows:
        first_s = max(from_s, to_seconds(starts_at))
        end_s = to_s if ends_at is None else min(to_s, to_seconds(ends_at))
        held.setdefault((tariff_id, first_s, end_s), []).append(own_id)
    return {key: np.array(ids, dtype=np.int64) for key, ids in held.items()}


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
