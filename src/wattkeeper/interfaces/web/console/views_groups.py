"""Areas, feeders and customers: list, page with what belongs to them and when, forms."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.virtual.nodes import add_node, edit_node, set_belonging
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.virtual.models import AreaInArea, Node, PointOfCustomer, PointOnFeeder, SiteInArea
from wattkeeper.data.virtual.nodes import Sort, key_of, number_of
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_virtual import PARTS, BelongingForm, GroupEditForm, GroupForm
from wattkeeper.interfaces.web.console.show import show, slice_pages
from wattkeeper.interfaces.web.console.tables import Cell, Table, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BELONGINGS_OF = {
    Node.Kind.AREA.value: ("site", "area"),
    Node.Kind.FEEDER.value: ("feeder-point",),
    Node.Kind.CUSTOMER.value: ("customer-point",),
}
_FACTS = (SiteInArea, AreaInArea, PointOnFeeder, PointOfCustomer)


@page()
def groups(visit: Visit) -> HttpResponse:
    """List areas, feeders and customers."""
    search = visit.request.GET.get("q", "").strip()
    known = Node.objects.filter(tenant_id=visit.tenant_id).order_by("kind", "code")
    rows = [row for row in known if search.casefold() in f"{row.code} {row.name}".casefold()]
    pages = slice_pages(visit, rows)
    table = Table(
        name="groups",
        title=_("Areas, feeders and customers"),
        columns=(_("Code"), _("Name"), _("Kind"), _("Energy")),
        rows=[_cells(row) for row in (rows if is_export(visit) else pages.rows)],
        pages=pages,
        search=search,
        add_url=reverse("console:group_add") if visit.actor.can(Role.OPERATOR) else "",
        add_label=_("Add a group"),
    )
    return show_table(visit, table)


@page()
def group(visit: Visit, group_id: int) -> HttpResponse:
    """Show a group: what belongs to it, and when."""
    row = _own(visit, group_id)
    members = [
        (fact.part.code, fact.part, fact.starts_at, fact.ends_at)
        for model in _FACTS
        for fact in model._default_manager.filter(whole=row).select_related("part").order_by("-starts_at")
    ]
    context = {
        "group": row,
        "kind": Node.Kind(row.kind).label,
        "key": key_of(number_of(Sort.GROUP, row.id)),
        "members": members,
        "belongings": [(name, PARTS[name]) for name in BELONGINGS_OF[row.kind]],
    }
    return show(visit, "group.html", context)


@page(Role.OPERATOR)
def group_add(visit: Visit) -> HttpResponse:
    """Add a group."""

    def add(fields: dict[str, Any]) -> str:
        return _url(add_node(actor=visit.actor, now=visit.services.now(), **fields))

    form_page = FormPage(
        title=_("Add a group"),
        back_url=reverse("console:groups"),
        back_label=_("Areas, feeders and customers"),
        button_label=_("Add"),
        make=GroupForm,
        do=add,
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def group_edit(visit: Visit, group_id: int) -> HttpResponse:
    """Change a group's code or name."""
    row = _own(visit, group_id)

    def edit(fields: dict[str, Any]) -> str:
        edit_node(
            actor=visit.actor,
            now=visit.services.now(),
            node_id=group_id,
            code=fields["code"],
            name=fields["name"],
        )
        return _url(group_id)

    form_page = FormPage(
        title=_("Edit the group"),
        back_url=_url(group_id),
        back_label=row.name,
        button_label=_("Save"),
        make=partial(GroupEditForm, initial={"code": row.code, "name": row.name}),
        do=edit,
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def group_belong(visit: Visit, group_id: int, belonging: str) -> HttpResponse:
    """Say what belongs to a group, or no longer does, from an instant on."""
    row = _own(visit, group_id)
    if belonging not in BELONGINGS_OF[row.kind]:
        raise WattkeeperError("registry.not-found", kind="belonging", id=belonging)

    def belong(fields: dict[str, Any]) -> str:
        set_belonging(
            actor=visit.actor,
            now=visit.services.now(),
            belonging=belonging,
            part_id=fields["part"].id,
            whole_id=None if fields["leaves"] else group_id,
            at=fields["at"],
        )
        return _url(group_id)

    form_page = FormPage(
        title=_("Say what belongs to it"),
        back_url=_url(group_id),
        back_label=row.name,
        button_label=_("Save"),
        make=partial(BelongingForm, tenant_id=visit.tenant_id, group=row, belonging=belonging),
        do=belong,
        lead=_("It holds until the next change that is recorded. What lies before its date stays as it was."),
    )
    return answer_form(visit, form_page)


def _own(visit: Visit, group_id: int) -> Node:
    return found(Node.objects.filter(tenant_id=visit.tenant_id, id=group_id).first(), "group", group_id)


def _cells(row: Node) -> tuple[Cell, ...]:
    tree = "?tree=" + row.kind.lower()
    energy_url = reverse("console:energy_node", args=[key_of(number_of(Sort.GROUP, row.id))])
    return (
        Cell(row.code, _url(row.id)),
        Cell(row.name),
        Cell(Node.Kind(row.kind).label),
        Cell(_("Energy"), energy_url + tree),
    )


def _url(group_id: int) -> str:
    return reverse("console:group", args=[group_id])
