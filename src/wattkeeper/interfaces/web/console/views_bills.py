"""Bills: list, page, the intervals behind a line, and billing a month."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from wattkeeper.actions.billing.request_billing import request_billing
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.billing.queries import BillDetail, BillRow, get_bill, list_bills
from wattkeeper.data.billing.rebills import list_proposals
from wattkeeper.data.registry.paging import Page
from wattkeeper.interfaces.reads.bills import (
    LineIntervals,
    line_intervals,
    trace_of,
    with_zones,
)
from wattkeeper.interfaces.web.console.csv_export import csv_answer
from wattkeeper.interfaces.web.console.forms_work import MonthForm
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    asked_choice,
    main_zone,
    offset_of,
    pages_of,
    show,
    slice_pages,
)
from wattkeeper.interfaces.web.console.tables import every, is_export
from wattkeeper.interfaces.web.console.templatetags.console import amount, as_kwh, bill_period
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def bills(visit: Visit) -> HttpResponse:
    """List bills."""
    search = visit.request.GET.get("q", "").strip()
    state = asked_choice(visit, "state", Bill.State.values)

    def fetch(offset_index: int, limit_count: int) -> Page[BillRow]:
        return list_bills(
            tenant_id=visit.tenant_id,
            search=search,
            state=state,
            offset_index=offset_index,
            limit_count=limit_count,
        )

    if is_export(visit):
        return _export(with_zones(every(fetch)))
    rows = fetch(offset_of(visit), PAGE_ROWS_COUNT)
    zoned = with_zones(rows.items)
    context = {
        "pages": pages_of(rows),
        "bills": zoned,
        "search": search,
        "state": state,
        "states": Bill.State.choices,
        "last_month": _last_month(visit),
        "proposals_count": list_proposals(tenant_id=visit.tenant_id, state="OPEN", limit_count=1).total_count,
    }
    return show(visit, "bills.html", context)


@page()
def bill(visit: Visit, bill_id: int) -> HttpResponse:
    """Show a bill; its lines lead to their intervals."""
    detail = _own(visit, bill_id)
    reads = [
        {**read, "measured_at": datetime.fromisoformat(read["measured_at"])}
        for read in detail.document.get("register_reads", ())
    ]
    lines = [(line, trace_of(line)) for line in detail.lines]
    correction = Bill.objects.filter(corrects_id=bill_id).first()
    proposals = list_proposals(tenant_id=visit.tenant_id, bill_id=bill_id, limit_count=10).items
    context = {
        "proposals": proposals,
        "reversal": Bill.objects.filter(reverses_id=bill_id).first(),
        "reversed_id": Bill.objects.values_list("reverses_id", flat=True).get(id=bill_id),
        "bill": detail.row,
        "detail": detail,
        "lines": lines,
        "reads": reads,
        "correction": correction,
    }
    return show(visit, "bill.html", context, zone=detail.time_zone)


@page()
def bill_line(visit: Visit, bill_id: int, position: int) -> HttpResponse:
    """Show the intervals that a bill's line is made of."""
    detail = _own(visit, bill_id)
    line = found(next((row for row in detail.lines if row.position == position), None), "bill-line", position)
    trace = found(trace_of(line), "bill-line", position)
    intervals = visit.ask(
        lambda store: line_intervals(store, tenant_id=visit.tenant_id, bill=detail, line=line, trace=trace),
        LineIntervals((), 0, is_shared=False),
    )
    pages = slice_pages(visit, intervals.rows)
    context = {
        "bill": detail.row,
        "detail": detail,
        "line": line,
        "trace": trace,
        "found": intervals,
        "pages": pages,
        "run_id": trace.run_id,
    }
    return show(visit, "bill_line.html", context, zone=detail.time_zone)


@page(Role.OPERATOR)
def run_billing(visit: Visit) -> HttpResponse:
    """Ask for a month of every usage point that has a contract to be billed; a job shows how far it is."""
    form = MonthForm(visit.request.POST)
    if visit.request.method != "POST" or not form.is_valid():
        return redirect("console:bills")
    first, end = form.bounds()
    job_id = request_billing(
        actor=visit.actor,
        now=visit.services.now(),
        first=first,
        end=end,
        accept_estimates=form.cleaned_data["accept_estimates"],
    )
    return redirect("console:job", job_id)


def _own(visit: Visit, bill_id: int) -> BillDetail:
    return found(get_bill(tenant_id=visit.tenant_id, bill_id=bill_id), "bill", bill_id)


def _last_month(visit: Visit) -> str:
    zone = ZoneInfo(main_zone(visit.tenant_id))
    first = visit.services.now().astimezone(zone).date().replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def _export(zoned: list[Any]) -> HttpResponse:
    header = [
        _("Period"),
        _("Usage point"),
        _("Name"),
        _("Customer"),
        _("Energy, kWh"),
        _("Total"),
        _("Currency"),
        _("State"),
        _("Document"),
    ]
    rows = (
        (
            bill_period(item.row, item.time_zone),
            item.row.usage_point_code,
            item.row.usage_point_name,
            item.row.customer_name,
            as_kwh(item.row.energy_milliwh),
            amount(item.row.total_minor, item.row.currency),
            item.row.currency,
            Bill.State(item.row.state).label,
            reverse("console:bill", args=[item.row.bill_id]),
        )
        for item in zoned
    )
    return csv_answer("bills", header, rows)
