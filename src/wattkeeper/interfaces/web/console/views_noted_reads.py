"""Reads that people noted: withdrawing one, and the second person of a large withdrawal."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.vee.decide_withdrawal import approve_withdrawal, reject_withdrawal
from wattkeeper.actions.vee.withdraw_read import withdraw_read
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE, unit_of
from wattkeeper.data.vee.noted_reads import get_noted, get_waiting, shown
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_vee import NoteForm
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh
from wattkeeper.interfaces.web.console.templatetags.console import at as at_text
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page(Role.OPERATOR)
def noted_read_withdraw(visit: Visit, field_read_id: int) -> HttpResponse:
    """Withdraw what was noted last of a register at an instant."""
    read = found(get_noted(tenant_id=visit.tenant_id, field_read_id=field_read_id), "read", field_read_id)

    def withdraw(fields: dict[str, Any]) -> str:
        withdraw_read(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            meter_id=read.channel.meter_id,
            at=read.measured_at,
            quantity=QUANTITY_OF_READING_TYPE[read.channel.reading_type],
            reason=fields["note"],
        )
        return _meter_url(read.channel.meter_id)

    lead = _(
        "The reading stays on record and counts no more: values become what they were without it, bills by"
        " correction only. A large change waits for a second person."
    )
    return answer_form(visit, _page_of(read, _("Withdraw the reading"), NoteForm, withdraw, lead=lead))


@page(Role.OPERATOR)
def withdrawal_approve(visit: Visit, withdrawal_id: int) -> HttpResponse:
    """Approve somebody else's withdrawal."""

    def approve(_fields: dict[str, Any]) -> None:
        approve_withdrawal(
            actor=visit.actor, now=visit.services.now(), services=visit.services, withdrawal_id=withdrawal_id
        )

    return _decide(visit, withdrawal_id, _("Approve the withdrawal"), ConfirmForm, approve)


@page(Role.OPERATOR)
def withdrawal_reject(visit: Visit, withdrawal_id: int) -> HttpResponse:
    """Reject somebody else's withdrawal."""

    def reject(fields: dict[str, Any]) -> None:
        reject_withdrawal(actor=visit.actor, now=visit.services.now(), withdrawal_id=withdrawal_id, **fields)

    return _decide(visit, withdrawal_id, _("Reject the withdrawal"), NoteForm, reject)


def _decide(visit: Visit, withdrawal_id: int, title: Any, make: Any, act: Any) -> HttpResponse:
    waiting = get_waiting(tenant_id=visit.tenant_id, withdrawal_id=withdrawal_id)
    withdrawal = found(waiting, "withdrawal", withdrawal_id)
    read = withdrawal.field_read

    def do(fields: dict[str, Any]) -> str:
        act(fields)
        return _meter_url(read.channel.meter_id)

    unit = unit_of(QUANTITY_OF_READING_TYPE[read.channel.reading_type])
    facts = (
        (_("Reason"), withdrawal.reason),
        (_("Who"), withdrawal.author.username),
        (_("Changed energy, at most"), f"{as_kwh(withdrawal.changed_milliwh)} {unit}"),
    )
    return answer_form(visit, _page_of(read, title, make, do, facts=facts))


def _page_of(read: Any, title: Any, make: Any, do: Any, *, lead: Any = "", facts: Any = ()) -> FormPage:
    meter = read.channel.meter
    return FormPage(
        title=title,
        back_url=_meter_url(meter.id),
        back_label=meter.serial_number,
        button_label=title,
        make=make,
        do=do,
        lead=lead,
        is_dangerous=True,
        zone=meter.site.time_zone,
        facts=(
            (_("Reading on its display"), shown(read, read.value_count)),
            (_("Measured at"), at_text(read.measured_at, meter.site.time_zone)),
            *facts,
        ),
    )


def _meter_url(meter_id: int) -> str:
    return reverse("console:meter", args=[meter_id])
