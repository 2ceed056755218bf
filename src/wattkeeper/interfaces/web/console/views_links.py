"""Links to devices: list and forms."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.copy_link import copy_link
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.actions.registry.retire_link import retire_link
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import Link
from wattkeeper.data.collection.queries import LinkRow, list_links
from wattkeeper.data.registry.models import Site
from wattkeeper.interfaces.web.console.form_page import About, FormPage, answer_about, answer_form
from wattkeeper.interfaces.web.console.forms import LinkForm, with_site
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm, CopyLinkForm
from wattkeeper.interfaces.web.console.show import asked_id, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def links(visit: Visit) -> HttpResponse:
    """List links and how each does."""
    search = visit.request.GET.get("q", "").strip()
    zones = dict(Site.objects.filter(tenant_id=visit.tenant_id).values_list("id", "time_zone"))
    rows = [
        row for row in list_links(tenant_id=visit.tenant_id) if search.casefold() in _searched(row).casefold()
    ]
    table = Table(
        name="links",
        title=_("Links"),
        columns=(
            _("Name"),
            _("Site"),
            _("Transport"),
            _("Endpoint"),
            _("Meters"),
            _("State"),
            _("Since"),
        ),
        rows=[_cells(row, zones[row.site_id]) for row in rows],
        search=search,
        add_url=reverse("console:link_add") if visit.actor.can(Role.OPERATOR) else "",
        add_label=_("Add a link"),
    )
    return show_table(visit, table)


@page()
def link(visit: Visit, link_id: int) -> HttpResponse:
    """Show a link."""
    row = _own(visit, link_id)
    known = list_links(tenant_id=visit.tenant_id, link_id=link_id)[0]
    context = {"link": row, "endpoint": known.endpoint, "meters_count": known.meters_count}
    return show(visit, "link.html", context, zone=row.site.time_zone)


@page(Role.OPERATOR)
def link_add(visit: Visit) -> HttpResponse:
    """Add a link at a site."""

    def make(**sent: Any) -> LinkForm:
        form = LinkForm(**sent)
        with_site(form, visit.tenant_id, asked_id(visit, "site"))
        return form

    def add(fields: dict[str, Any]) -> str:
        site = fields.pop("site")
        return _url(add_link(actor=visit.actor, now=visit.services.now(), site_id=site.id, **fields))

    return answer_form(
        visit,
        FormPage(
            title=_("Add a link"),
            back_url=reverse("console:links"),
            back_label=_("Links"),
            button_label=_("Add"),
            make=make,
            do=add,
        ),
    )


@page(Role.OPERATOR)
def link_edit(visit: Visit, link_id: int) -> HttpResponse:
    """Edit a link."""
    row = _own(visit, link_id)

    def edit(fields: dict[str, Any]) -> str:
        edit_link(actor=visit.actor, now=visit.services.now(), link_id=link_id, **fields)
        return _url(link_id)

    return answer_about(
        visit, _about(row), _("Edit the link"), _("Save"), partial(LinkForm, instance=row), edit
    )


@page(Role.OPERATOR)
def link_copy(visit: Visit, link_id: int) -> HttpResponse:
    """Add a link like this one."""
    row = _own(visit, link_id)

    def copy(fields: dict[str, Any]) -> str:
        return _url(copy_link(actor=visit.actor, now=visit.services.now(), link_id=link_id, **fields))

    return answer_about(visit, _about(row), _("Copy the link"), _("Copy"), CopyLinkForm, copy)


@page(Role.OPERATOR)
def link_retire(visit: Visit, link_id: int) -> HttpResponse:
    """Retire a link without meters."""
    row = _own(visit, link_id)

    def retire(_fields: dict[str, Any]) -> str:
        retire_link(actor=visit.actor, now=visit.services.now(), link_id=link_id)
        return reverse("console:links")

    return answer_about(
        visit, _about(row), _("Retire the link"), _("Retire"), ConfirmForm, retire, is_dangerous=True
    )


def _about(row: Link) -> About:
    return About(_url(row.id), row.name, row.site.time_zone)


def _cells(row: LinkRow, zone: str) -> tuple[Cell, ...]:
    state = {
        True: (gettext("Up"), "good"),
        False: (gettext("Down"), "bad"),
        None: (gettext("Not tried yet"), ""),
    }
    text, badge = state[row.is_up]
    return (
        Cell(row.name, _url(row.link_id)),
        Cell(row.site_code, reverse("console:site", args=[row.site_id])),
        Cell(Link.Transport(row.transport).label),
        Cell(row.endpoint),
        Cell(row.meters_count, f"{reverse('console:meters')}?link={row.link_id}", css="number"),
        Cell(text, badge=badge),
        at_cell(row.changed_at, zone),
    )


def _searched(row: LinkRow) -> str:
    return f"{row.name} {row.site_code} {row.endpoint}"


def _own(visit: Visit, link_id: int) -> Link:
    rows = Link.objects.select_related("site").filter(tenant_id=visit.tenant_id, id=link_id)
    return found(rows.first(), "link", link_id)


def _url(link_id: int) -> str:
    return reverse("console:link", args=[link_id])
