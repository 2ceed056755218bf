"""The overview: what there is, what was read today, what entered each site by day, what is wrong."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from wattkeeper.data.alarms.groups import count_open_groups, list_finding_groups
from wattkeeper.data.alarms.queries import count_open_findings
from wattkeeper.data.collection.queries import JobRow, list_jobs
from wattkeeper.data.registry.queries import SiteRow, list_sites
from wattkeeper.interfaces.reads.figures import MILLIWH_PER_KWH, kwh_text, share_pct, sum_or_none
from wattkeeper.interfaces.web.console.reads_overview import (
    DEFAULT_DAYS,
    MOST_DAYS,
    ReadSuccess,
    read_success,
    site_days,
)
from wattkeeper.interfaces.web.console.show import asked_id, asked_instant, main_zone, show
from wattkeeper.interfaces.web.console.visit import Visit, page

FINDINGS_COUNT = 8


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """A site and the energy that entered it yesterday; None: nothing is known."""

    row: SiteRow
    energy_yesterday_kwh: str | None


@page()
def overview(visit: Visit) -> HttpResponse:
    """Show how everything does, at one glance."""
    now = visit.services.now()
    as_of = asked_instant(visit, "as_of", main_zone(visit.tenant_id))
    sites = list_sites(tenant_id=visit.tenant_id)
    success = visit.ask(
        lambda store: read_success(store, tenant_id=visit.tenant_id, now=now), ReadSuccess(0, 0)
    )
    newest = visit.ask_rows(lambda store: site_days(store, tenant_id=visit.tenant_id, now=now, days_count=2))
    yesterday = {days.site_id: days.energy_milliwh[0] for days in newest}
    total_milliwh = sum_or_none(yesterday.values())
    context = {
        "meters_count": sum(site.meters_count for site in sites),
        "answering_count": sum(site.meters_answering_count for site in sites),
        "read_success_pct": share_pct(success.held_count, success.due_count),
        "read_success": success,
        "energy_yesterday_kwh": None if total_milliwh is None else kwh_text(total_milliwh),
        "open_findings_count": count_open_findings(tenant_id=visit.tenant_id),
        "open_groups_count": count_open_groups(tenant_id=visit.tenant_id),
        "groups": list_finding_groups(tenant_id=visit.tenant_id, limit_count=FINDINGS_COUNT).items,
        "sites": [SiteFigures(site, _kwh(yesterday.get(site.site_id))) for site in sites],
        "job": _running_job(visit),
        "as_of": as_of,
        "daily_url": daily_url(as_of),
    }
    return show(visit, "overview.html", context)


def daily_url(as_of: datetime | None, **asked: int) -> str:
    """Return the address of the energy by day as of an instant, or as known now."""
    told = asked if as_of is None else asked | {"as_of": as_of.isoformat()}
    return f"{reverse('console:overview_daily')}?{urlencode(told)}"


@page()
def overview_daily(visit: Visit) -> JsonResponse:
    """Return energy by local day and site, to draw."""
    days_count = min(max(asked_id(visit, "days") or DEFAULT_DAYS, 1), MOST_DAYS)
    now, site_id = visit.services.now(), asked_id(visit, "site")
    as_of = asked_instant(visit, "as_of", main_zone(visit.tenant_id))
    own = {"tenant_id": visit.tenant_id, "days_count": days_count}
    rows = visit.ask_rows(lambda store: site_days(store, **own, now=now, site_id=site_id, as_of=as_of))
    labels = sorted({day for row in rows for day in row.days})
    series = []
    for row in rows:
        energy = dict(zip(row.days, row.energy_milliwh, strict=True))
        values = [energy.get(day) for day in labels]
        series.append(
            {"name": row.name, "energy_kwh": [None if v is None else v / MILLIWH_PER_KWH for v in values]}
        )
    is_empty = all(value is None for row in rows for value in row.energy_milliwh)
    return JsonResponse(
        {
            "labels": [] if is_empty else [day.isoformat() for day in labels],
            "series": [] if is_empty else series,
        }
    )


@page()
def progress(visit: Visit) -> HttpResponse:
    """Return how far the running job is, as a part of a page."""
    return render(visit.request, "console/_progress.html", {"job": _running_job(visit)})


def _running_job(visit: Visit) -> JobRow | None:
    jobs = list_jobs(tenant_id=visit.tenant_id, limit_count=20)
    return next((job for job in jobs if job.is_open), None)


def _kwh(energy_milliwh: int | None) -> str | None:
    return None if energy_milliwh is None else kwh_text(energy_milliwh)
