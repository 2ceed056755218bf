"""Rebill proposals: bills whose values changed, the old figures beside the new ones, the decision."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.billing.propose_rebills import approve_rebill, reject_rebill
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import RebillProposal
from wattkeeper.data.billing.rebills import ProposalRow, get_proposal, list_proposals
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_vee import ApproveForm, NoteForm
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    asked_choice,
    main_zone,
    offset_of,
    pages_of,
    show,
)
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, every, is_export, show_table
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh, money
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BADGES = {"OPEN": "warn", "APPROVED": "good"}


@page()
def rebills(visit: Visit) -> HttpResponse:
    """List proposals, newest first."""
    state = asked_choice(visit, "state", RebillProposal.State.values)
    own = partial(list_proposals, tenant_id=visit.tenant_id, state=state)
    page_of = own(offset_index=offset_of(visit), limit_count=PAGE_ROWS_COUNT)
    rows = (
        every(lambda offset, limit: own(offset_index=offset, limit_count=limit))
        if is_export(visit)
        else page_of.items
    )
    table = Table(
        name="rebill-proposals",
        title=_("Rebill proposals"),
        columns=(
            _("Proposal"),
            _("Usage point"),
            _("From"),
            _("To"),
            _("Billed"),
            _("Now"),
            _("State"),
            _("Raised"),
        ),
        rows=[_cells(row) for row in rows],
        pages=pages_of(page_of),
    )
    return show_table(visit, table, zone=main_zone(visit.tenant_id))


@page()
def rebill(visit: Visit, proposal_id: int) -> HttpResponse:
    """Show a proposal."""
    row = _own(visit, proposal_id)
    context = {
        "proposal": row,
        "badge": BADGES.get(row.state, ""),
        "held": sentence(row.held_code, {}, visit.request.LANGUAGE_CODE) if row.held_code else "",
        "energy_difference_milliwh": row.energy_milliwh - row.old_energy_milliwh,
    }
    return show(visit, "rebill.html", context, zone=row.time_zone)


@page(Role.OPERATOR)
def rebill_approve(visit: Visit, proposal_id: int) -> HttpResponse:
    """Reverse the bill and issue the new one."""
    row = _own(visit, proposal_id)

    def approve(fields: dict[str, Any]) -> str:
        new_id = approve_rebill(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            proposal_id=proposal_id,
            **fields,
        )
        return reverse("console:bill", args=[new_id])

    make = partial(ApproveForm, initial={"data_version": row.data_version})
    lead = _("The bill is reversed line by line and another is issued. Neither is ever changed afterwards.")
    return answer_form(visit, _page(row, _("Approve the correction"), make, approve, lead))


@page(Role.OPERATOR)
def rebill_reject(visit: Visit, proposal_id: int) -> HttpResponse:
    """Let the bill stay as it is."""
    row = _own(visit, proposal_id)

    def reject(fields: dict[str, Any]) -> str:
        reject_rebill(actor=visit.actor, now=visit.services.now(), proposal_id=proposal_id, **fields)
        return reverse("console:rebill", args=[proposal_id])

    lead = _("The bill stays as it is by these values. Should they change again, it is proposed again.")
    return answer_form(visit, _page(row, _("Reject the correction"), NoteForm, reject, lead))


def _page(row: ProposalRow, title: Any, make: Any, do: Any, lead: Any) -> FormPage:
    return FormPage(
        title=title,
        back_url=reverse("console:rebill", args=[row.proposal_id]),
        back_label=_("Rebill proposal"),
        button_label=title,
        make=make,
        do=do,
        lead=lead,
        zone=row.time_zone,
        facts=(
            (_("Usage point"), row.usage_point_code),
            (_("Billed"), money(row.old_total_minor, row.currency)),
            (_("Now"), _now_text(row)),
        ),
    )


def _cells(row: ProposalRow) -> tuple[Cell, ...]:
    return (
        Cell(row.proposal_id, reverse("console:rebill", args=[row.proposal_id])),
        Cell(row.usage_point_code, reverse("console:bill", args=[row.bill_id])),
        at_cell(row.starts_at, row.time_zone),
        at_cell(row.ends_at, row.time_zone),
        Cell(
            f"{money(row.old_total_minor, row.currency)} ({as_kwh(row.old_energy_milliwh)} kWh)", css="number"
        ),
        Cell(f"{_now_text(row)} ({as_kwh(row.energy_milliwh)} kWh)", css="number"),
        Cell(RebillProposal.State(row.state).label, badge=BADGES.get(row.state, "")),
        at_cell(row.raised_at, row.time_zone),
    )


def _figures(total: str, energy_milliwh: int) -> str:
    return f"{total} ({as_kwh(energy_milliwh)} kWh)"


def _now_text(row: ProposalRow) -> str:
    return "–" if row.total_minor is None else money(row.total_minor, row.currency)


def _own(visit: Visit, proposal_id: int) -> ProposalRow:
    row = get_proposal(tenant_id=visit.tenant_id, proposal_id=proposal_id)
    return found(row, "rebill-proposal", proposal_id)
