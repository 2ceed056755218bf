"""Virtual meters: list, page with the history of formulas, forms with a preview."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.set_formula import set_formula
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.queries import get_site
from wattkeeper.interfaces.reads.intervals import get_series
from wattkeeper.interfaces.reads.virtual import (
    VirtualRow,
    get_virtual,
    list_formulas,
    list_virtual,
    preview_formula,
)
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_virtual import FormulaForm, VirtualMeterForm
from wattkeeper.interfaces.web.console.show import asked_id, main_zone, say, show, slice_pages
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def virtual_meters(visit: Visit) -> HttpResponse:
    """List virtual meters with the formulas in force."""
    search = visit.request.GET.get("q", "").strip()
    rows = list_virtual(tenant_id=visit.tenant_id, now=visit.services.now(), search=search)
    pages = slice_pages(visit, rows)
    table = Table(
        name="virtual-meters",
        title=_("Virtual meters"),
        columns=(_("Code"), _("Name"), _("Site"), _("Formula"), _("Since"), _("Interval, s")),
        rows=[_cells(row) for row in (rows if is_export(visit) else pages.rows)],
        pages=pages,
        search=search,
        add_url=reverse("console:virtual_add") if visit.actor.can(Role.OPERATOR) else "",
        add_label=_("Add a virtual meter"),
    )
    return show_table(visit, table)


@page()
def virtual_meter(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Show a virtual meter: its load profile, the history of its formulas."""
    row = _own(visit, usage_point_id)
    series = (
        get_series(tenant_id=visit.tenant_id, series_id=row.series_id) if row.series_id is not None else None
    )
    context = {"meter": row, "series": series, "formulas": list_formulas(usage_point_id)}
    return show(visit, "virtual.html", context, zone=row.time_zone)


@page(Role.OPERATOR)
def virtual_add(visit: Visit) -> HttpResponse:
    """Add a virtual meter."""

    def add(fields: dict[str, Any]) -> str:
        site = fields.pop("site")
        point_id = add_virtual_meter(actor=visit.actor, now=visit.services.now(), site_id=site.id, **fields)
        return _url(point_id)

    form_page = FormPage(
        title=_("Add a virtual meter"),
        back_url=reverse("console:virtual_meters"),
        back_label=_("Virtual meters"),
        button_label=_("Add"),
        make=partial(VirtualMeterForm, tenant_id=visit.tenant_id, site_id=asked_id(visit, "site")),
        do=add,
        template="virtual_form.html",
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def virtual_formula(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Say what a virtual meter is made of from an instant on."""
    row = _own(visit, usage_point_id)

    def change(fields: dict[str, Any]) -> str:
        set_formula(actor=visit.actor, now=visit.services.now(), usage_point_id=usage_point_id, **fields)
        return _url(usage_point_id)

    form_page = FormPage(
        title=_("Change the formula"),
        back_url=_url(usage_point_id),
        back_label=row.name,
        button_label=_("Save"),
        make=partial(FormulaForm, initial={"formula": row.formula}),
        do=change,
        lead=_("It holds until the next change that is recorded. Empty: the meter ends then."),
        zone=row.time_zone,
        template="virtual_form.html",
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def virtual_preview(visit: Visit) -> HttpResponse:
    """Show what a formula says of the newest days, or why it is none."""
    text = visit.request.POST.get("formula", "")
    site_text = visit.request.POST.get("site", "")
    site = get_site(tenant_id=visit.tenant_id, site_id=int(site_text)) if site_text.isdecimal() else None
    context: dict[str, Any] = {}
    try:
        context["preview"] = visit.ask(
            lambda store: preview_formula(
                store,
                tenant_id=visit.tenant_id,
                text=text,
                zone=site.time_zone if site else main_zone(visit.tenant_id),
                now=visit.services.now(),
            ),
            None,
        )
    except WattkeeperError as error:
        context["problem"] = say(error)
    if visit.store_problem is not None:
        context["problem"] = say(visit.store_problem)
    return render(visit.request, "console/_virtual_preview.html", context)


def _own(visit: Visit, usage_point_id: int) -> VirtualRow:
    row = get_virtual(tenant_id=visit.tenant_id, usage_point_id=usage_point_id, now=visit.services.now())
    return found(row, "virtual-meter", usage_point_id)


def _cells(row: VirtualRow) -> tuple[Cell, ...]:
    return (
        Cell(row.code, _url(row.usage_point_id)),
        Cell(row.name),
        Cell(row.site_code, reverse("console:site", args=[row.site_id])),
        Cell(row.formula, css="code"),
        at_cell(row.since_at, row.time_zone),
        Cell(row.interval_s, css="number"),
    )


def _url(usage_point_id: int) -> str:
    return reverse("console:virtual_meter", args=[usage_point_id])
