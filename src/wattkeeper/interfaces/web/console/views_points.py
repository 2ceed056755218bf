"""Usage points: list and page."""

from itertools import zip_longest
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.contracts import find_billed
from wattkeeper.data.billing.queries import list_bills, list_contracts
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT
from wattkeeper.data.registry.quantities import unit_of
from wattkeeper.data.registry.queries import (
    UsagePointDetail,
    UsagePointRow,
    get_usage_point,
    list_usage_points,
)
from wattkeeper.interfaces.reads.bills import with_zones
from wattkeeper.interfaces.reads.intervals import get_series, newest_intervals
from wattkeeper.interfaces.web.console import texts
from wattkeeper.interfaces.web.console.reads_meter import findings_around
from wattkeeper.interfaces.web.console.show import PAGE_ROWS_COUNT, asked_id, offset_of, pages_of, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BILLS_COUNT = 12


@page()
def usage_points(visit: Visit) -> HttpResponse:
    """List usage points."""
    search = visit.request.GET.get("q", "").strip()
    rows = list_usage_points(
        tenant_id=visit.tenant_id,
        now=visit.services.now(),
        search=search,
        site_id=asked_id(visit, "site"),
        offset_index=0 if is_export(visit) else offset_of(visit),
        limit_count=PAGE_SIZE_MAX_COUNT if is_export(visit) else PAGE_ROWS_COUNT,
    )
    may_edit = visit.actor.can(Role.OPERATOR)
    table = Table(
        name="usage-points",
        title=_("Usage points"),
        columns=(_("Code"), _("Name"), _("Customer"), _("Kind"), _("Site"), _("Meter")),
        rows=[_cells(row) for row in rows.items],
        pages=pages_of(rows),
        search=search,
        add_url=reverse("console:usage_point_add") if may_edit else "",
        add_label=_("Add a usage point"),
    )
    return show_table(visit, table)


@page()
def usage_point(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Show a usage point: its load profile, its meters over time, its bills."""
    now = visit.services.now()
    known: dict[str, Any] = {"tenant_id": visit.tenant_id, "usage_point_id": usage_point_id}
    detail = found(get_usage_point(**known, now=now), "usage-point", usage_point_id)
    row = UsagePoint.objects.select_related("site").get(id=usage_point_id)
    series_id = detail.row.series_id
    series = get_series(tenant_id=visit.tenant_id, series_id=series_id) if series_id is not None else None
    contracts = list_contracts(tenant_id=visit.tenant_id, usage_point_ids=[usage_point_id])
    nexts = (each.starts_at for each in contracts[1:])
    context = {
        "usage_point": row,
        "detail": detail,
        "series": series,
        "intervals": visit.ask_rows(lambda store: newest_intervals(store, series=series, now=now))
        if series
        else [],
        "energy_head": texts.ENERGY_HEADS[unit_of(series.quantity)] if series else "",
        "multipliers": row.multipliers.order_by("-starts_at"),
        "parent": _parent(detail),
        "children": UsagePoint.objects.filter(id__in=detail.children_ids).order_by("code"),
        "contracts": contracts,
        "withdrawable": {each.id for each in row.contracts.all() if find_billed(each) is None},
        "has_ended": any(
            each.ends_at not in (None, next_at) for each, next_at in zip_longest(contracts, nexts)
        ),
        "bills": with_zones(list_bills(**known, limit_count=BILLS_COUNT).items),
        "findings": findings_around(**known),
    }
    return show(visit, "usage_point.html", context, zone=detail.time_zone)


def _parent(detail: UsagePointDetail) -> UsagePoint | None:
    return None if detail.parent_id is None else UsagePoint.objects.get(id=detail.parent_id)


def _cells(row: UsagePointRow) -> tuple[Cell, ...]:
    meter_url = reverse("console:meter", args=[row.meter_id]) if row.meter_id is not None else ""
    return (
        Cell(row.code, reverse("console:usage_point", args=[row.usage_point_id])),
        Cell(row.name),
        Cell(row.customer_name),
        Cell(UsagePoint.Kind(row.kind).label),
        Cell(row.site_code, reverse("console:site", args=[row.site_id])),
        Cell(row.meter_serial_number or "", meter_url),
    )
