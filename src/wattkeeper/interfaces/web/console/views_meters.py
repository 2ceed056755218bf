"""The meter list and a meter's page."""

from collections.abc import Iterator

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from wattkeeper.data.alarms.queries import list_events
from wattkeeper.data.billing.queries import list_bills
from wattkeeper.data.commands.queries import list_commands
from wattkeeper.data.registry.meters import SORTS, MeterDetail, MeterFilter, MeterRow, get_meter, list_meters
from wattkeeper.data.registry.models import Meter, Series, Site
from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT
from wattkeeper.data.vee.noted_reads import list_noted
from wattkeeper.interfaces.reads.bills import with_zones
from wattkeeper.interfaces.reads.intervals import IntervalRow, get_series, newest_intervals
from wattkeeper.interfaces.web.console.csv_export import at_text, csv_answer
from wattkeeper.interfaces.web.console.reads_meter import NewestValues, findings_around, newest_values
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    asked_choice,
    asked_id,
    offset_of,
    pages_of,
    show,
)
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BILLS_COUNT, COMMANDS_COUNT, EVENTS_COUNT, NOTED_COUNT = 12, 5, 20, 12
DEFAULT_SORT = "serial_number"


@page()
def meters(visit: Visit) -> HttpResponse:
    """List meters: searched, narrowed, sorted."""
    only, sort = _asked(visit)
    rows = list_meters(
        tenant_id=visit.tenant_id,
        now=visit.services.now(),
        only=only,
        sort=sort,
        offset_index=offset_of(visit),
        limit_count=PAGE_ROWS_COUNT,
    )
    sites = list(Site.objects.filter(tenant_id=visit.tenant_id).order_by("code"))
    context = {
        "pages": pages_of(rows),
        "only": only,
        "sort": sort,
        "sites": sites,
        "zones": {site.id: site.time_zone for site in sites},
        "states": Meter.State.choices,
    }
    return show(visit, "meters.html", context)


@page()
def meters_csv(visit: Visit) -> HttpResponse:
    """Return the same list as a file, whole."""
    header = [
        _("Serial number"),
        _("Make and model"),
        _("Site"),
        _("Usage point"),
        _("Name"),
        _("Customer"),
        _("State"),
        _("Answering"),
        _("Last answer"),
        _("Link"),
        _("Address"),
    ]
    zones = dict(Site.objects.filter(tenant_id=visit.tenant_id).values_list("id", "time_zone"))
    answers = {True: _("yes"), False: _("no"), None: ""}
    rows = (
        (
            row.serial_number,
            row.make_model,
            row.site_name,
            row.usage_point_code,
            row.usage_point_name,
            row.customer_name,
            Meter.State(row.state).label,
            answers[row.is_answering],
            at_text(row.answered_at, zones[row.site_id]),
            row.link_name,
            row.address,
        )
        for row in _all_rows(visit)
    )
    return csv_answer("meters", header, rows)


@page()
def meter(visit: Visit, meter_id: int) -> HttpResponse:
    """Show a meter: what it says now, its load profile, what happened to it."""
    now = visit.services.now()
    detail = found(get_meter(tenant_id=visit.tenant_id, meter_id=meter_id, now=now), "meter", meter_id)
    series = _series(visit, detail)
    point_id = detail.row.usage_point_id
    bills = (
        list_bills(tenant_id=visit.tenant_id, usage_point_id=point_id, limit_count=BILLS_COUNT).items
        if point_id is not None
        else ()
    )
    newest = _newest(visit, detail)
    context = {
        "meter": detail.row,
        "detail": detail,
        "newest": newest,
        "series": series,
        "noted": list_noted(tenant_id=visit.tenant_id, meter_id=meter_id, limit_count=NOTED_COUNT),
        "own_id": visit.actor.user_id,
        "intervals": _newest_intervals(visit, series),
        "commands": list_commands(tenant_id=visit.tenant_id).filter(meter_id=meter_id)[:COMMANDS_COUNT],
        "events": list_events(tenant_id=visit.tenant_id, meter_id=meter_id, limit_count=EVENTS_COUNT),
        "bills": with_zones(bills),
        "findings": findings_around(tenant_id=visit.tenant_id, meter_id=meter_id, usage_point_id=point_id),
    }
    return show(visit, "meter.html", context, zone=detail.time_zone)


@page()
def meter_live(visit: Visit, meter_id: int) -> HttpResponse:
    """Return a meter's live values, as a part of its page."""
    now = visit.services.now()
    detail = found(get_meter(tenant_id=visit.tenant_id, meter_id=meter_id, now=now), "meter", meter_id)
    context = {"newest": _newest(visit, detail), "detail": detail, "meter": detail.row}
    with timezone.override(detail.time_zone):
        return render(visit.request, "console/_live.html", context)


def _asked(visit: Visit) -> tuple[MeterFilter, str]:
    query = visit.request.GET
    sort = query.get("sort", DEFAULT_SORT)
    only = MeterFilter(
        search=query.get("q", "").strip(),
        site_id=asked_id(visit, "site"),
        link_id=asked_id(visit, "link"),
        state=asked_choice(visit, "state", Meter.State.values),
        is_answering={"yes": True, "no": False}.get(query.get("answering", "")),
    )
    return only, sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT


def _all_rows(visit: Visit) -> Iterator[MeterRow]:
    only, sort = _asked(visit)
    offset, total = 0, 1
    while offset < total:
        part = list_meters(
            tenant_id=visit.tenant_id,
            now=visit.services.now(),
            only=only,
            sort=sort,
            offset_index=offset,
            limit_count=PAGE_SIZE_MAX_COUNT,
        )
        yield from part.items
        offset, total = offset + PAGE_SIZE_MAX_COUNT, part.total_count


def _series(visit: Visit, detail: MeterDetail) -> Series | None:
    if detail.series_id is None:
        return None
    return get_series(tenant_id=visit.tenant_id, series_id=detail.series_id)


def _newest(visit: Visit, detail: MeterDetail) -> NewestValues:
    return visit.ask(
        lambda store: newest_values(store, tenant_id=visit.tenant_id, channels=detail.channels),
        NewestValues(),
    )


def _newest_intervals(visit: Visit, series: Series | None) -> list[IntervalRow]:
    if series is None:
        return []
    now = visit.services.now()
    return visit.ask_rows(lambda store: newest_intervals(store, series=series, now=now))
