"""Sites and usage points as lists and pages show them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db.models import Q, QuerySet

from wattkeeper.data.registry.main_series import find_main_series
from wattkeeper.data.registry.meters import get_multiplier
from wattkeeper.data.registry.models import Installation, Meter, Site, Topology, UsagePoint
from wattkeeper.data.registry.paging import Page, read_page
from wattkeeper.data.sealing.words import matching


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site and how its meters do."""

    site_id: int
    code: str
    name: str
    kind: str
    time_zone: str
    address: str
    retired_at: datetime | None
    usage_points_count: int
    meters_count: int
    meters_answering_count: int
    findings_open_count: int


@dataclass(frozen=True, slots=True)
class UsagePointRow:
    """A usage point, with the meter that is there now."""

    usage_point_id: int
    code: str
    name: str
    kind: str
    site_id: int
    site_code: str
    customer_name: str
    is_protected: bool
    power_max_w: int
    retired_at: datetime | None
    meter_id: int | None
    meter_serial_number: str | None
    series_id: int | None


@dataclass(frozen=True, slots=True)
class UsagePointDetail:
    """A usage point's page: its meters over time, its multiplier now, what it feeds and is fed by."""

    row: UsagePointRow
    time_zone: str
    multiplier: Fraction
    meters: tuple[tuple[int, str, datetime, datetime | None], ...]  # meter id, serial, from, to
    parent_id: int | None
    children_ids: tuple[int, ...]
    series_ids: Mapping[str, int]  # by quantity


def list_sites(*, tenant_id: int, search: str = "", with_retired: bool = False) -> list[SiteRow]:
    """Return every site with its counts."""
    query = Site.objects.filter(tenant_id=tenant_id)
    if not with_retired:
        query = query.filter(retired_at__isnull=True)
    if search:
        query = query.filter(Q(code__icontains=search) | Q(name__icontains=search))
    return _site_rows(query.order_by("code"))


def get_site(*, tenant_id: int, site_id: int) -> SiteRow | None:
    """Return one site, None where the tenant has none of that id."""
    rows = _site_rows(Site.objects.filter(tenant_id=tenant_id, id=site_id))
    return rows[0] if rows else None


def list_usage_points(
    *,
    tenant_id: int,
    now: datetime,
    search: str = "",
    site_id: int | None = None,
    with_retired: bool = False,
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[UsagePointRow]:
    """Return one page of usage points, by code."""
    query = UsagePoint.objects.filter(tenant_id=tenant_id).select_related("site")
    if site_id is not None:
        query = query.filter(site_id=site_id)
    if not with_retired:
        query = query.filter(retired_at__isnull=True)
    for word in search.split():
        query = query.filter(Q(code__icontains=word) | matching(UsagePoint, tenant_id=tenant_id, text=word))
    rows = query.order_by("code")
    return read_page(
        rows, lambda page: _point_rows(page, now), offset_index=offset_index, limit_count=limit_count
    )


def get_usage_point(*, tenant_id: int, usage_point_id: int, now: datetime) -> UsagePointDetail | None:
    """Return one usage point, None where the tenant has none of that id."""
    point = UsagePoint.objects.select_related("site").filter(tenant_id=tenant_id, id=usage_point_id).first()
    if point is None:
        return None
    installed = point.installations.select_related("meter").order_by("-starts_at")
    feeding = Topology.objects.filter(_current(now))
    return UsagePointDetail(
        row=_point_rows([point], now)[0],
        time_zone=point.site.time_zone,
        multiplier=get_multiplier(point.id, now),
        meters=tuple(
            (row.meter_id, row.meter.serial_number, row.starts_at, row.ends_at) for row in installed
        ),
        parent_id=feeding.filter(child_id=point.id).values_list("parent_id", flat=True).first(),
        children_ids=tuple(
            feeding.filter(parent_id=point.id).order_by("child_id").values_list("child_id", flat=True)
        ),
        series_ids=dict(point.series.order_by("quantity").values_list("quantity", "id")),
    )


def _site_rows(query: QuerySet[Site]) -> list[SiteRow]:
    sites = list(query)
    ids = [site.id for site in sites]
    installed = Meter.objects.filter(site_id__in=ids, state=Meter.State.INSTALLED)
    points = Counter(
        UsagePoint.objects.filter(site_id__in=ids, retired_at__isnull=True).values_list("site_id", flat=True)
    )
    meters = Counter(installed.values_list("site_id", flat=True))
    answering = Counter(installed.filter(status__is_answering=True).values_list("site_id", flat=True))
    findings = Counter(
        UsagePoint.objects.filter(site_id__in=ids, findings__state="OPEN").values_list("site_id", flat=True)
    )
    return [
        SiteRow(
            site.id,
            site.code,
            site.name,
            site.kind,
            site.time_zone,
            site.address,
            site.retired_at,
            points[site.id],
            meters[site.id],
            answering[site.id],
            findings[site.id],
        )
        for site in sites
    ]


def _point_rows(points: list[UsagePoint], now: datetime) -> list[UsagePointRow]:
    ids = [point.id for point in points]
    installed = {
        row.usage_point_id: row.meter
        for row in Installation.objects.filter(_current(now), usage_point_id__in=ids).select_related("meter")
    }
    series = find_main_series(ids)
    return [
        UsagePointRow(
            usage_point_id=point.id,
            code=point.code,
            name=point.name,
            kind=point.kind,
            site_id=point.site_id,
            site_code=point.site.code,
            customer_name=point.customer_name,
            is_protected=point.is_protected,
            power_max_w=point.power_max_w,
            retired_at=point.retired_at,
            meter_id=installed[point.id].id if point.id in installed else None,
            meter_serial_number=installed[point.id].serial_number if point.id in installed else None,
            series_id=series.get(point.id),
        )
        for point in points
    ]


def _current(now: datetime) -> Q:
    return Q(starts_at__lte=now) & (Q(ends_at__isnull=True) | Q(ends_at__gt=now))
