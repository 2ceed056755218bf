"""The public holidays of usage points: those that the calendars of their contracts name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Q

from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.registry.plain_facts import among

Days = frozenset[date]
NO_DAYS: Days = frozenset()


@dataclass(slots=True)
class Holidays:
    """Holidays by series; what was read of a tariff is kept, so ask a new one after a change."""

    tenant_id: int
    _named: dict[int, tuple[ZoneInfo, Days]] = field(default_factory=dict)  # by tariff
    _is_all_read: bool = False
    _known: dict[tuple[int, datetime, datetime | None], Days] = field(default_factory=dict)

    def of_series(self, series_ids: Iterable[int], first: date, last: date) -> Mapping[int, Days]:
        """Return the holidays from `first` to `last` of the series that have any.

        A day is one if the tariff in force names it. Contracts are read only if one names such a day.
        """
        known = self._all_named()
        tariffs = {own for own, (_, days) in known.items() if any(first <= day <= last for day in days)}
        wanted = set(series_ids)
        if not tariffs or not wanted:
            return {}
        asked = among("usage_point__series__id", np.array(sorted(wanted), dtype=np.int64))
        found = self._of(asked & Q(tariff_id__in=tariffs))
        within = {
            own: frozenset(day for day in days if first <= day <= last)
            for own, days in found.items()
            if own in wanted
        }
        return {own: days for own, days in within.items() if days}

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

    def _all_named(self) -> dict[int, tuple[ZoneInfo, Days]]:
        if not self._is_all_read:
            self._named, self._is_all_read = _read(Q(tariff__tenant_id=self.tenant_id)), True
        return self._named

    def _of_tariff(self, tariff_id: int) -> tuple[ZoneInfo, Days]:
        if tariff_id not in self._named:
            self._named |= _read(Q(tariff_id=tariff_id))
        return self._named.get(tariff_id, (ZoneInfo("UTC"), NO_DAYS))


def _is_in(day: date, zone: ZoneInfo, starts_at: datetime, ends_at: datetime | None) -> bool:
    """Whether any of a local day lies in a period."""
    begins, ends = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
    return starts_at < ends and (ends_at is None or ends_at > begins)


def _read(versions: Q) -> dict[int, tuple[ZoneInfo, Days]]:
    """Return by tariff its zone, and the days that the version in force on them names.

    Documents were checked when they were added, so nothing but the days is read of them.
    """
    rows = TariffVersion.objects.filter(versions).order_by("tariff_id", "valid_from_date")
    found: dict[int, tuple[ZoneInfo, Days]] = {}
    for tariff_id, own in groupby(rows, lambda version: version.tariff_id):
        dated = list(own)
        ends = [*(version.valid_from_date for version in dated[1:]), date.max]
        named: set[date] = set()
        for version, end in zip(dated, ends, strict=True):
            named |= {day for day in _days_of(version.document) if version.valid_from_date <= day < end}
        found[tariff_id] = ZoneInfo(dated[-1].document["zone"]), frozenset(named)
    return found


def _days_of(document: dict[str, Any]) -> Iterator[date]:
    for part in document["components"]:
        calendar = part.get("calendar") if part["kind"] == "energy" else None
        yield from map(date.fromisoformat, (calendar or {}).get("holidays", ()))
