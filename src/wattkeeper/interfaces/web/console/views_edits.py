"""Manual edits: list, page, asking for one, the second person, withdrawal, the threshold."""

from decimal import Decimal
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.vee.decide_edit import approve_edit, reject_edit, set_edit_threshold, withdraw_edit
from wattkeeper.actions.vee.edit_values import INTERVALS_MAX_COUNT, edit_values, spread_evenly
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.quantities import unit_of
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.data.vee.queries import EditRow, edit_approval_milliwh, get_edit, list_edits
from wattkeeper.interfaces.reads.intervals import get_series
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_vee import (
    KWH_DIGITS,
    REASONS,
    EditForm,
    NoteForm,
    ThresholdForm,
)
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm
from wattkeeper.interfaces.web.console.show import (
    asked_choice,
    main_zone,
    pages_of,
    show,
)
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, rows_shown, show_table
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BADGES = {"PENDING": "warn", "IN_FORCE": "good"}


@page()
def edits(visit: Visit) -> HttpResponse:
    """List edits, newest first."""
    state = asked_choice(visit, "state", StoredEdit.State.values)
    own = partial(list_edits, tenant_id=visit.tenant_id, state=state)
    page_of, rows = rows_shown(visit, lambda offset, limit: own(offset_index=offset, limit_count=limit))
    table = Table(
        name="edits",
        title=_("Edits"),
        columns=(
            _("Edit"),
            _("Usage point"),
            _("From"),
            _("To"),
            _("Changed energy"),
            _("Unit"),
            _("State"),
            _("Who"),
        ),
        rows=[_cells(row) for row in rows],
        pages=pages_of(page_of),
        add_url=reverse("console:edit_threshold") if visit.actor.can(Role.ADMINISTRATOR) else "",
        add_label=_("Threshold of the second person"),
    )
    return show_table(visit, table, zone=main_zone(visit.tenant_id))


@page()
def edit(visit: Visit, edit_id: int) -> HttpResponse:
    """Show an edit: what it rejects, what it says instead, who stands for it."""
    row = _own(visit, edit_id)
    pairs = zip(row.rejected_milliwh, row.energy_milliwh, strict=True)
    first_s = to_seconds(row.starts_at)
    context = {
        "edit": row,
        "energy_unit": unit_of(row.quantity),
        "badge": BADGES.get(row.state, ""),
        "reason": REASONS.get(row.reason_code, ""),
        "intervals": [
            (from_seconds(first_s + index * row.interval_s), first_s + index * row.interval_s, old, new)
            for index, (old, new) in enumerate(pairs)
        ],
        "is_own": row.author_id == visit.actor.user_id,
    }
    return show(visit, "edit.html", context, zone=row.time_zone)


@page(Role.OPERATOR)
def edit_add(visit: Visit, series_id: int) -> HttpResponse:
    """Ask for an edit of a span of a series."""
    series = found(get_series(tenant_id=visit.tenant_id, series_id=series_id), "series", series_id)
    zone = series.usage_point.site.time_zone

    def add(fields: dict[str, Any]) -> str:
        starts_at, ends_at = fields["starts_at"], fields["ends_at"]
        count, rest = divmod(int((ends_at - starts_at).total_seconds()), series.interval_s)
        if rest or not 0 < count <= INTERVALS_MAX_COUNT:
            raise WattkeeperError(
                "vee.edit-span",
                interval_s=series.interval_s,
                limit_count=INTERVALS_MAX_COUNT,
                field="ends_at",
            )
        edit_id = edit_values(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            series_id=series_id,
            starts_at=starts_at,
            energy_milliwh=spread_evenly(_milliwh(fields["total_kwh"]), count),
            reason_code=fields["reason_code"],
            reason=fields["reason"],
        )
        return reverse("console:edit", args=[edit_id])

    form_page = FormPage(
        title=_("Edit values"),
        back_url=reverse("console:intervals", args=[series_id]),
        back_label=series.usage_point.name,
        button_label=_("Save"),
        make=partial(EditForm, energy_unit=unit_of(series.quantity)),
        do=add,
        lead=_(
            "What was measured stays as it is. The edit stands beside it until it is withdrawn or a different"
            " verified value is measured; a large one needs a second person."
        ),
        zone=zone,
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def edit_approve(visit: Visit, edit_id: int) -> HttpResponse:
    """Approve somebody else's edit."""
    return _decide(visit, edit_id, _("Approve the edit"), approve_edit)


@page(Role.OPERATOR)
def edit_reject(visit: Visit, edit_id: int) -> HttpResponse:
    """Reject somebody else's edit."""
    return _decide(visit, edit_id, _("Reject the edit"), reject_edit, NoteForm)


@page(Role.OPERATOR)
def edit_withdraw(visit: Visit, edit_id: int) -> HttpResponse:
    """Take an edit back."""
    return _decide(visit, edit_id, _("Withdraw the edit"), withdraw_edit)


@page(Role.ADMINISTRATOR)
def edit_threshold(visit: Visit) -> HttpResponse:
    """Set from how much changed energy on an edit needs a second person."""
    now_is = Decimal(edit_approval_milliwh(visit.tenant_id)).scaleb(-KWH_DIGITS).normalize()

    def change(fields: dict[str, Any]) -> str:
        milliwh = _milliwh(fields["threshold"])
        set_edit_threshold(actor=visit.actor, now=visit.services.now(), milliwh=milliwh)
        return reverse("console:edits")

    form_page = FormPage(
        title=_("Threshold of the second person"),
        back_url=reverse("console:edits"),
        back_label=_("Edits"),
        button_label=_("Save"),
        make=partial(ThresholdForm, initial={"threshold": f"{now_is:f}"}),
        do=change,
        lead=_("An edit that changes so much energy or more waits for a second person."),
    )
    return answer_form(visit, form_page)


def _decide(visit: Visit, edit_id: int, title: Any, action: Any, make: Any = ConfirmForm) -> HttpResponse:
    row = _own(visit, edit_id)

    def do(fields: dict[str, Any]) -> str:
        action(actor=visit.actor, now=visit.services.now(), edit_id=edit_id, **fields)
        return reverse("console:edit", args=[edit_id])

    form_page = FormPage(
        title=title,
        back_url=reverse("console:edit", args=[edit_id]),
        back_label=_("Edit"),
        button_label=title,
        make=make,
        do=do,
        zone=row.time_zone,
        facts=(
            (_("Usage point"), row.usage_point_code),
            (_("Changed energy"), f"{as_kwh(row.changed_milliwh)} {unit_of(row.quantity)}"),
        ),
    )
    return answer_form(visit, form_page)


def _cells(row: EditRow) -> tuple[Cell, ...]:
    return (
        Cell(row.edit_id, reverse("console:edit", args=[row.edit_id])),
        Cell(row.usage_point_code, reverse("console:intervals", args=[row.series_id])),
        at_cell(row.starts_at, row.time_zone),
        at_cell(row.ends_at, row.time_zone),
        Cell(as_kwh(row.changed_milliwh), css="number"),
        Cell(unit_of(row.quantity)),
        Cell(StoredEdit.State(row.state).label, badge=BADGES.get(row.state, "")),
        Cell(row.author),
    )


def _own(visit: Visit, edit_id: int) -> EditRow:
    return found(get_edit(tenant_id=visit.tenant_id, edit_id=edit_id), "edit", edit_id)


def _milliwh(kwh: Decimal) -> int:
    return int(kwh.scaleb(KWH_DIGITS))
