"""Rebill proposals: bills whose values changed, the old figures beside the new ones, the decision."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.billing.propose_rebills import approve_rebill, reject_rebill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import RebillProposal
from wattkeeper.data.billing.rebills import ProposalRow, get_proposal, list_proposals
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_vee import ApproveForm, RejectForm
from wattkeeper.interfaces.web.console.show import (
    asked_choice,
    main_zone,
    pages_of,
    say,
    show,
)
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, rows_shown, show_table
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh, money
from wattkeeper.interfaces.web.console.visit import Visit, found, page
from wattkeeper.interfaces.web.problems import status_of

STALE = "billing.proposal-stale"
_PARTS_LEAD = _(
    "The bill is reversed line by line and one is issued for each part of its period that has a contract."
)
_NONE_LEAD = _("The bill is reversed line by line; nothing replaces it: no contract holds in its period.")
BADGES = {"OPEN": "warn", "APPROVED": "good"}


@page()
def rebills(visit: Visit) -> HttpResponse:
    """List proposals, newest first."""
    state = asked_choice(visit, "state", RebillProposal.State.values)
    own = partial(list_proposals, tenant_id=visit.tenant_id, state=state)
    page_of, rows = rows_shown(visit, lambda offset, limit: own(offset_index=offset, limit_count=limit))
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
    return _show(visit, _own(visit, proposal_id))


@page(Role.OPERATOR)
def rebill_approve(visit: Visit, proposal_id: int) -> HttpResponse:
    """Reverse the bill and issue what replaces it."""
    row = _own(visit, proposal_id)

    def approve(fields: dict[str, Any]) -> str:
        new_ids = approve_rebill(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            proposal_id=proposal_id,
            **fields,
        )
        if len(new_ids) == 1:
            return reverse("console:bill", args=new_ids)
        return reverse("console:rebill", args=[proposal_id])

    make = partial(ApproveForm, initial={"version": row.version})
    lead = _("The bill is reversed line by line and another is issued. Neither is ever changed afterwards.")
    if row.parts is not None:
        lead = _PARTS_LEAD if row.parts else _NONE_LEAD
    return _decide(visit, row, _page(row, _("Approve the correction"), make, approve, lead))


@page(Role.OPERATOR)
def rebill_reject(visit: Visit, proposal_id: int) -> HttpResponse:
    """Let the bill stay as it is."""
    row = _own(visit, proposal_id)

    def reject(fields: dict[str, Any]) -> str:
        reject_rebill(actor=visit.actor, now=visit.services.now(), proposal_id=proposal_id, **fields)
        return reverse("console:rebill", args=[proposal_id])

    make = partial(RejectForm, initial={"version": row.version})
    lead = _("The bill stays as it is by these values. Should they change again, it is proposed again.")
    return _decide(visit, row, _page(row, _("Reject the correction"), make, reject, lead))


def _decide(visit: Visit, row: ProposalRow, form_page: FormPage) -> HttpResponse:
    """Return the form; where the figures are no more those that it showed, the proposal with the new ones."""

    def do(fields: dict[str, Any]) -> str | HttpResponse:
        try:
            return form_page.do(fields)
        except WattkeeperError as error:
            if error.code != STALE:
                raise
            return _show(visit, _own(visit, row.proposal_id), say(error), status_of(error))

    return answer_form(visit, replace(form_page, do=do))


def _show(visit: Visit, row: ProposalRow, warning: str = "", status: int = 200) -> HttpResponse:
    context = {
        "proposal": row,
        "badge": BADGES.get(row.state, ""),
        "warning": warning,
        "held": sentence(row.held_code, row.held_params, visit.request.LANGUAGE_CODE)
        if row.held_code
        else "",
        "parts": [{**part, "last": _last_day(part).isoformat()} for part in row.parts or ()],
        "energy_difference_milliwh": row.energy_milliwh - row.old_energy_milliwh,
    }
    return show(visit, "rebill.html", context, zone=row.time_zone, status=status)


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
            (_("Billed"), _billed_text(row)),
            (_("Now"), _now_text(row)),
            *((_("Part of the period"), _part_text(row, part)) for part in row.parts or ()),
        ),
    )


def _cells(row: ProposalRow) -> tuple[Cell, ...]:
    return (
        Cell(row.proposal_id, reverse("console:rebill", args=[row.proposal_id])),
        Cell(row.usage_point_code, reverse("console:bill", args=[row.bill_id])),
        at_cell(row.starts_at, row.time_zone),
        at_cell(row.ends_at, row.time_zone),
        Cell(_billed_text(row), css="number"),
        Cell(_now_text(row), css="number"),
        Cell(RebillProposal.State(row.state).label, badge=BADGES.get(row.state, "")),
        at_cell(row.raised_at, row.time_zone),
    )


def _figures(total: str, energy_milliwh: int) -> str:
    return f"{total} ({as_kwh(energy_milliwh)} kWh)"


def _billed_text(row: ProposalRow) -> str:
    return _figures(money(row.old_total_minor, row.currency), row.old_energy_milliwh)


def _now_text(row: ProposalRow) -> str:
    total = "–" if row.total_minor is None else money(row.total_minor, row.currency)
    return _figures(total, row.energy_milliwh)


def _part_text(row: ProposalRow, part: Mapping[str, Any]) -> str:
    total = "–" if part["total_minor"] is None else money(part["total_minor"], row.currency)
    return f"{part['first']} – {_last_day(part)}: {total}"


def _last_day(part: Mapping[str, Any]) -> date:
    return date.fromisoformat(part["end"]) - timedelta(days=1)


def _own(visit: Visit, proposal_id: int) -> ProposalRow:
    row = get_proposal(tenant_id=visit.tenant_id, proposal_id=proposal_id)
    return found(row, "rebill-proposal", proposal_id)
