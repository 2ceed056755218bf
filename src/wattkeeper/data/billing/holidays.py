"""The public holidays of usage points: those that the calendars of their contracts name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.core.tariffs.model import EnergyCharge
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import Contract, TariffVersion

Days = frozenset[date]
NO_DAYS: Days = frozenset()


@dataclass(slots=True)
class Holidays:
    """Holidays by series; what was read of a tariff is kept, so ask a new one after a change."""

    tenant_id: int
    _named: dict[int, tuple[ZoneInfo, Days]] = field(default_factory=dict)  # by tariff
    _known: dict[tuple[int, datetime, datetime | None], Days] = field(default_factory=dict)

    def of_series(self, series_ids: Iterable[int]) -> Mapping[int, Days]:
        """Return the holidays of the series that have any: a day is one if the tariff in force names it."""
        return self._of(Q(usage_point__series__id__in=list(series_ids)))

    def of_tariff(self, tariff_id: int) -> Mapping[int, Days]:
        """Return the holidays of the series that were ever billed by a tariff."""
        points = Contract.objects.filter(tariff_id=tariff_id).values("usage_point_id")
        return self._of(Q(usage_point_id__in=points))

    def of_point(self, usage_point_id: int) -> Mapping[int, Days]:
        """Return the holidays of the series of a usage point."""
        return self._of(Q(usage_point_id=usage_point_id))

    def _of(self, contracts: Q) -> Mapping[int, Days]:
        rows = Contract.objects.filter(
            contracts, tenant_id=self.tenant_id, usage_point__series__isnull=False
        ).values_list("usage_point__series__id", "tariff_id", "starts_at", "ends_at")
        found: dict[int, Days] = defaultdict(frozenset)
        for series_id, tariff_id, starts_at, ends_at in rows:
            if days := self.between(tariff_id, starts_at, ends_at):
                found[series_id] |= days
        return found

    def between(self, tariff_id: int, starts_at: datetime, ends_at: datetime | None) -> Days:
        """Return the days that a tariff names while a contract by it is in force."""
        key = (tariff_id, starts_at, ends_at)
        if key not in self._known:
            zone, named = self._of_tariff(tariff_id)
            self._known[key] = frozenset(day for day in named if _is_in(day, zone, starts_at, ends_at))
        return self._known[key]

    def _of_tariff(self, tariff_id: int) -> tuple[ZoneInfo, Days]:
        if tariff_id not in self._named:
            self._named[tariff_id] = _read(tariff_id)
        return self._named[tariff_id]


def _is_in(day: date, zone: ZoneInfo, starts_at: datetime, ends_at: datetime | None) -> bool:
    """Whether any of a local day lies in a period."""
    begins, ends = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
    return starts_at < ends and (ends_at is None or ends_at > begins)


def _read(tariff_id: int) -> tuple[ZoneInfo, Days]:
    """Return a tariff's zone, and the days that the version in force on them names."""
    rows = TariffVersion.objects.filter(tariff_id=tariff_id).order_by("valid_from_date")
    dated = [(version.valid_from_date, parse_tariff(version.document)) for version in rows]
    ends = [*(valid_from for valid_from, _ in dated[1:]), date.max]
    named: set[date] = set()
    for (valid_from, tariff), end in zip(dated, ends, strict=True):
        charges = [part for part in tariff.components if isinstance(part, EnergyCharge)]
        named |= {day for each in charges for day in each.calendar.holidays if valid_from <= day < end}
    return ZoneInfo(dated[-1][1].zone.key if dated else "UTC"), frozenset(named)
