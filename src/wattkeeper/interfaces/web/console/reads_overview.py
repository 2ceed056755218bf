"""The overview's figures: energy by day and site, how much of today was read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.registry.models import Channel, Installation, Meter, Site
from wattkeeper.data.virtual.nodes import ENTRY, ROOT, Sort, number_of
from wattkeeper.interfaces.reads.aggregation import Question, Sums, add_up
from wattkeeper.store.api import ReadingStore

DEFAULT_DAYS, MOST_DAYS = 31, 62
MEASURED = ("CUSTOMER", "MAIN", "SUB")
_PROFILE_SOURCES = tuple(int(source) for source in (Source.PROFILE, Source.PUSH, Source.FILE))


@dataclass(frozen=True, slots=True)
class SiteDays:
    """Energy that entered a site, by local day; None: nothing is known of that day."""

    site_id: int
    name: str
    days: tuple[date, ...]
    energy_milliwh: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ReadSuccess:
    """How many profile intervals are due since local midnight, and how many of them are held."""

    held_count: int
    due_count: int


def site_days(
    store: ReadingStore,
    *,
    tenant_id: int,
    now: datetime,
    days_count: int,
    site_id: int | None = None,
    as_of: datetime | None = None,
) -> list[SiteDays]:
    """Return the energy of the newest `days_count` local days of each site or of one, today included.

    `as_of` an instant: of those that were the newest then, by what was known then.
    """
    now = min(now, as_of or now)
    sites = Site.objects.filter(tenant_id=tenant_id, retired_at__isnull=True).order_by("id")
    if site_id is not None:
        sites = sites.filter(id=site_id)
    todays = {site: now.astimezone(ZoneInfo(site.time_zone)).date() for site in sites}
    if not todays:
        return []
    first, end = min(todays.values()) - timedelta(days=days_count - 1), max(todays.values())
    node = ROOT if site_id is None else number_of(Sort.SITE, site_id)
    question = Question(ENTRY, node, "day", first, end + timedelta(days=1), MEASURED)
    sums = add_up(store, tenant_id=tenant_id, question=question, now=now, as_of=as_of)
    parts = np.array(sums.parts, dtype=np.int64)
    return [
        _days_of(sums, (parts == number_of(Sort.SITE, site.id)) | (node != ROOT), site, today, days_count)
        for site, today in todays.items()
    ]


def read_success(store: ReadingStore, *, tenant_id: int, now: datetime) -> ReadSuccess:
    """Return how much of today's profiles is held; an interval is due one interval after its end."""
    rows = (
        Installation.objects.filter(tenant_id=tenant_id, starts_at__lt=now, ends_at__isnull=True)
        .exclude(meter__family="")
        .filter(meter__state=Meter.State.INSTALLED)
        .select_related("meter", "usage_point__site")
    )
    spans: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    meters = {row.meter_id: row for row in rows}
    for channel_id, meter_id in Channel.objects.filter(meter_id__in=meters, is_profiled=True).values_list(
        "id", "meter_id"
    ):
        spans[_span(meters[meter_id], now)].append(channel_id)
    held_count = due_count = 0
    for (from_s, to_s, interval_s), channel_ids in spans.items():
        slots = max((to_s - from_s) // interval_s, 0)
        due_count += slots * len(channel_ids)
        if slots:
            held_count += _held(store, tenant_id, channel_ids, (from_s, to_s, interval_s))
    return ReadSuccess(held_count, due_count)


def _days_of(sums: Sums, is_own: NDArray[np.bool_], site: Site, today: date, days_count: int) -> SiteDays:
    days = tuple(today - timedelta(days=ago) for ago in range(days_count - 1, -1, -1))
    energy_milliwh, known_count = (
        each[is_own].sum(axis=0).tolist() for each in (sums.energy_milliwh, sums.known_count)
    )
    figures = zip(sums.periods, energy_milliwh, known_count, strict=True)
    known: dict[Any, int] = {day: energy_milliwh for day, energy_milliwh, count in figures if count}
    return SiteDays(site.id, site.name, days, tuple(known.get(day) for day in days))


def _span(row: Installation, now: datetime) -> tuple[int, int, int]:
    zone = ZoneInfo(row.usage_point.site.time_zone)
    interval_s = row.meter.interval_s
    midnight_s = to_seconds(local_midnight(now.astimezone(zone).date(), zone))
    from_s = max(midnight_s, int(row.starts_at.timestamp()))
    until_s = int(now.timestamp()) - interval_s
    return from_s, from_s + max(until_s - from_s, 0) // interval_s * interval_s, interval_s


def _held(store: ReadingStore, tenant_id: int, channel_ids: Sequence[int], span: tuple[int, int, int]) -> int:
    """Count the intervals that end with a read: the stamp at an interval's end or inside it is its read."""
    from_s, to_s, interval_s = span
    held = store.stamps_held(tenant_id, channel_ids, from_s + 1, to_s + 1, sources=_PROFILE_SOURCES)
    return sum(len(np.unique((stamps - from_s - 1) // interval_s)) for stamps in held.values())
