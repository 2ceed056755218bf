"""Commands: the list, asking for one with its confirmation, and following it to its read-back."""

from typing import Any

from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from wattkeeper.actions.commands.request_command import request_command
from wattkeeper.actions.commands.set_kill_switch import set_kill_switch
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.commands.models import Command
from wattkeeper.data.commands.queries import get_command, get_cut_calendar, is_stopped, list_commands
from wattkeeper.data.registry.models import Meter, UsagePoint
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console import texts
from wattkeeper.interfaces.web.console.form_page import FormPage, Text, answer_form
from wattkeeper.interfaces.web.console.forms_work import CommandForm, ConfirmForm
from wattkeeper.interfaces.web.console.reads_commands import (
    badge_of,
    get_installed_meter,
    is_open,
    way_of,
)
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    Pages,
    asked_choice,
    offset_of,
    page_number,
    show,
)
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def commands(visit: Visit) -> HttpResponse:
    """List commands, newest first."""
    search = visit.request.GET.get("q", "").strip()
    state = asked_choice(visit, "state", [state.value for state in State])
    rows = list_commands(tenant_id=visit.tenant_id, search=search, state=state)
    offset = 0 if is_export(visit) else offset_of(visit)
    total = rows.count()
    size = total if is_export(visit) else PAGE_ROWS_COUNT
    stopped = is_stopped(tenant_id=visit.tenant_id)
    may_switch = visit.actor.can(Role.ADMINISTRATOR if stopped else Role.OPERATOR)
    table = Table(
        name="commands",
        title=_("Commands"),
        columns=(_("Command"), _("Meter"), _("State"), _("Reason"), _("Requested by"), _("Requested at")),
        rows=[_cells(row) for row in rows[offset : offset + size]],
        pages=Pages((), page_number(visit), max(-(-total // PAGE_ROWS_COUNT), 1), total),
        search=search,
        add_url=reverse("console:kill_switch") if may_switch else "",
        add_label=_("Let disconnects go again …") if stopped else _("Stop every disconnect …"),
        lead=_("Every disconnect is stopped.") if stopped else "",
    )
    return show_table(visit, table)


@page(Role.OPERATOR)
def command_new(visit: Visit, meter_id: int, kind: str) -> HttpResponse:
    """Ask for a disconnect or reconnect: who is concerned, why, and that it is the right one."""
    if kind not in {known.value for known in Kind}:
        raise Http404
    now = visit.services.now()
    installed = get_installed_meter(tenant_id=visit.tenant_id, meter_id=meter_id, now=now)
    meter, point = found(installed, "meter", meter_id)

    def request(fields: dict[str, Any]) -> str:
        command_id = request_command(
            actor=visit.actor,
            now=visit.services.now(),
            meter_id=meter_id,
            kind=kind,
            reason=fields["reason"],
            idempotency_key=fields["idempotency_key"],
        )
        return reverse("console:command", args=[command_id])

    form_page = FormPage(
        title=str(texts.COMMANDS[kind]),
        back_url=reverse("console:meter", args=[meter_id]),
        back_label=meter.serial_number,
        button_label=_("Disconnect now") if kind == Kind.DISCONNECT.value else _("Arm for reconnection"),
        make=CommandForm,
        do=request,
        lead=_lead(kind),
        is_dangerous=kind == Kind.DISCONNECT.value,
        zone=meter.site.time_zone,
        facts=_facts(visit, meter, point, kind),
    )
    return answer_form(visit, form_page)


@page()
def command(visit: Visit, command_id: int) -> HttpResponse:
    """Show how far a command is, and what was read back."""
    row = found(get_command(tenant_id=visit.tenant_id, command_id=command_id), "command", command_id)
    steps = list(row.steps.order_by("id"))
    language = getattr(visit.request, "LANGUAGE_CODE", "en")
    params = steps[-1].detail if steps else {}
    context = {
        "command": row,
        "steps": steps,
        "way": way_of(row),
        "is_open": is_open(row),
        "state_class": badge_of(row.state),
        "refusal_text": sentence(row.refusal_code, params, language) if row.refusal_code else "",
    }
    return show(visit, "command.html", context, zone=row.meter.site.time_zone)


@page(Role.OPERATOR)
def kill_switch(visit: Visit) -> HttpResponse:
    """Stop every disconnect of the tenant, or let them go again."""
    stopped = is_stopped(tenant_id=visit.tenant_id)

    def switch(_fields: dict[str, Any]) -> str:
        set_kill_switch(actor=visit.actor, now=visit.services.now(), is_on=not stopped)
        return reverse("console:commands")

    form_page = FormPage(
        title=_("Let disconnects go again") if stopped else _("Stop every disconnect"),
        back_url=reverse("console:commands"),
        back_label=_("Commands"),
        button_label=_("Let them go") if stopped else _("Stop them"),
        make=ConfirmForm,
        do=switch,
        lead=_("No disconnect leaves while they are stopped; only an administrator lets them go again."),
        is_dangerous=not stopped,
    )
    return answer_form(visit, form_page)


def _cells(row: Command) -> tuple[Cell, ...]:
    return (
        Cell(texts.COMMANDS[row.kind], reverse("console:command", args=[row.id])),
        Cell(row.meter.serial_number, reverse("console:meter", args=[row.meter_id])),
        Cell(texts.STATES[row.state], badge=badge_of(row.state)),
        Cell(row.reason),
        Cell(row.requested_by.username),
        at_cell(row.requested_at, row.meter.site.time_zone),
    )


def _lead(kind: str) -> str:
    if kind == Kind.DISCONNECT.value:
        return _("The supply of this customer is switched off. A relay is not a safety isolator.")
    return _("The switch is armed; somebody closes it with the button at the meter.")


def _facts(visit: Visit, meter: Meter, point: UsagePoint | None, kind: str) -> tuple[tuple[Text, Text], ...]:
    facts: list[tuple[Text, Text]] = [(_("Meter"), meter.serial_number), (_("Site"), meter.site.name)]
    if point is not None:
        facts += [
            (_("Usage point"), f"{point.code} · {point.name}"),
            (_("Customer"), point.customer_name or "–"),
            (_("Protected supply"), _("yes: a disconnect is refused") if point.is_protected else _("no")),
        ]
    if kind == Kind.DISCONNECT.value:
        facts.append((_("Disconnects may leave"), _hours(visit, meter)))
    return tuple(facts)


def _hours(visit: Visit, meter: Meter) -> str:
    calendar = get_cut_calendar(tenant_id=visit.tenant_id)
    words = {
        "opens": f"{calendar.opens:%H:%M}",
        "closes": f"{calendar.closes:%H:%M}",
        "zone": meter.site.time_zone,
    }
    if calendar.is_any_day:
        return _("any day from %(opens)s to %(closes)s, %(zone)s") % words
    return _("on weekdays from %(opens)s to %(closes)s, %(zone)s") % words
