"""Sites: list, page, forms."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.copy_site import copy_site
from wattkeeper.actions.registry.edit_site import edit_site
from wattkeeper.actions.registry.retire_site import retire_site
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.queries import list_links
from wattkeeper.data.registry.models import Site
from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT
from wattkeeper.data.registry.queries import get_site, list_sites, list_usage_points
from wattkeeper.interfaces.web.console.form_page import About, FormPage, answer_about, answer_form
from wattkeeper.interfaces.web.console.forms import SiteForm
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm, CopyForm
from wattkeeper.interfaces.web.console.show import asked_instant, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, show_table
from wattkeeper.interfaces.web.console.views_overview import daily_url
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def sites(visit: Visit) -> HttpResponse:
    """List sites."""
    search = visit.request.GET.get("q", "").strip()
    rows = list_sites(tenant_id=visit.tenant_id, search=search)
    may_edit = visit.actor.can(Role.OPERATOR)
    table = Table(
        name="sites",
        title=_("Sites"),
        columns=(
            _("Code"),
            _("Name"),
            _("Kind"),
            _("Time zone"),
            _("Usage points"),
            _("Meters"),
            _("Answering"),
            _("Open findings"),
        ),
        rows=[
            (
                Cell(row.code, _url(row.site_id)),
                Cell(row.name),
                Cell(Site.Kind(row.kind).label),
                Cell(row.time_zone),
                Cell(row.usage_points_count, css="number"),
                Cell(row.meters_count, f"{reverse('console:meters')}?site={row.site_id}", css="number"),
                Cell(row.meters_answering_count, css="number"),
                Cell(row.findings_open_count, css="number"),
            )
            for row in rows
        ],
        search=search,
        add_url=reverse("console:site_add") if may_edit else "",
        add_label=_("Add a site"),
    )
    return show_table(visit, table)


@page()
def site(visit: Visit, site_id: int) -> HttpResponse:
    """Show a site: its energy by day, its usage points, its links."""
    row = found(get_site(tenant_id=visit.tenant_id, site_id=site_id), "site", site_id)
    points = list_usage_points(
        tenant_id=visit.tenant_id,
        now=visit.services.now(),
        site_id=site_id,
        limit_count=PAGE_SIZE_MAX_COUNT,
    )
    links = list_links(tenant_id=visit.tenant_id, site_id=site_id)
    as_of = asked_instant(visit, "as_of", row.time_zone)
    context = {
        "site": row,
        "usage_points": points.items,
        "points_count": points.total_count,
        "links": links,
        "as_of": as_of,
        "daily_url": daily_url(as_of, site=site_id),
    }
    return show(visit, "site.html", context, zone=row.time_zone)


@page(Role.OPERATOR)
def site_add(visit: Visit) -> HttpResponse:
    """Add a site."""

    def add(fields: dict[str, Any]) -> str:
        return _url(add_site(actor=visit.actor, now=visit.services.now(), **fields))

    make = partial(SiteForm, initial={"time_zone": "Asia/Shanghai"})
    return answer_form(
        visit,
        FormPage(
            title=_("Add a site"),
            back_url=reverse("console:sites"),
            back_label=_("Sites"),
            button_label=_("Add"),
            make=make,
            do=add,
        ),
    )


@page(Role.OPERATOR)
def site_edit(visit: Visit, site_id: int) -> HttpResponse:
    """Edit a site."""
    row = _own(visit, site_id)

    def edit(fields: dict[str, Any]) -> str:
        edit_site(actor=visit.actor, now=visit.services.now(), site_id=site_id, **fields)
        return _url(site_id)

    return answer_about(
        visit, _about(row), _("Edit the site"), _("Save"), partial(SiteForm, instance=row), edit
    )


@page(Role.OPERATOR)
def site_copy(visit: Visit, site_id: int) -> HttpResponse:
    """Add a site like this one."""
    row = _own(visit, site_id)

    def copy(fields: dict[str, Any]) -> str:
        return _url(copy_site(actor=visit.actor, now=visit.services.now(), site_id=site_id, **fields))

    lead = _("The copy has the same kind, time zone and address, and no usage points.")
    return answer_about(visit, _about(row), _("Copy the site"), _("Copy"), CopyForm, copy, lead=lead)


@page(Role.OPERATOR)
def site_retire(visit: Visit, site_id: int) -> HttpResponse:
    """Retire a site whose usage points and links all are."""
    row = _own(visit, site_id)

    def retire(_fields: dict[str, Any]) -> str:
        retire_site(actor=visit.actor, now=visit.services.now(), site_id=site_id)
        return _url(site_id)

    lead = _("Everything about it stays readable.")
    return answer_about(
        visit,
        _about(row),
        _("Retire the site"),
        _("Retire"),
        ConfirmForm,
        retire,
        lead=lead,
        is_dangerous=True,
    )


def _about(row: Site) -> About:
    return About(_url(row.id), row.name, row.time_zone)


def _own(visit: Visit, site_id: int) -> Site:
    return found(Site.objects.filter(tenant_id=visit.tenant_id, id=site_id).first(), "site", site_id)


def _url(site_id: int) -> str:
    return reverse("console:site", args=[site_id])
