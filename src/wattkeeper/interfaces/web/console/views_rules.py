"""How values are judged: rule sets, groups of series, and which group by what from which day on."""

import json
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set, withdraw_assignment
from wattkeeper.actions.vee.groups import add_group, put_in_group
from wattkeeper.core.vee.registry import RULES
from wattkeeper.core.vee.rule_set_json import parse_rule_set
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.lookups import find_series_ids
from wattkeeper.data.vee.models import EVERYONE, GroupMember
from wattkeeper.data.vee.queries import GroupRow, list_assignments, list_groups, list_rule_sets
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_vee import AssignForm, MembersForm, RuleSetForm, SeriesGroupForm
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm
from wattkeeper.interfaces.web.console.show import asked_id, main_zone, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page

MEMBERS_SHOWN_COUNT = 500


@page()
def rules(visit: Visit) -> HttpResponse:
    """Show which group is judged by what from when on, the groups and the rule sets."""
    rows = list_assignments(tenant_id=visit.tenant_id)
    if is_export(visit):
        return show_table(visit, _assignments_table(visit))
    context = {
        "assignments": rows,
        "groups": [row for row in list_groups(tenant_id=visit.tenant_id) if row.code != EVERYONE],
        "rule_sets": list_rule_sets(tenant_id=visit.tenant_id),
        "everyone": EVERYONE,
    }
    return show(visit, "rules.html", context)


@page()
def rule_set(visit: Visit, rule_set_id: int) -> HttpResponse:
    """Show every rule with what this set makes of it."""
    rows = list_rule_sets(tenant_id=visit.tenant_id, rule_set_id=rule_set_id)
    row = found(rows[0] if rows else None, "rule-set", rule_set_id)
    own = parse_rule_set(row.document)
    judged = [
        (rule, own.severity_of(rule.code).value, own.parameters_of(rule).items(), rule.code in own.settings)
        for rule in RULES
    ]
    context = {
        "rule_set": row,
        "rules": judged,
        "document": _text(row.document),
        "estimation": own.estimation,
    }
    return show(visit, "rule_set.html", context)


@page(Role.ADMINISTRATOR)
def rule_set_add(visit: Visit) -> HttpResponse:
    """Add a rule set, perhaps like another."""
    like_id = asked_id(visit, "like")
    like = list_rule_sets(tenant_id=visit.tenant_id, rule_set_id=like_id) if like_id is not None else []
    document = like[0].document if like else {"code": "", "rules": {}, "estimation": {}}

    def add(fields: dict[str, Any]) -> str:
        now = visit.services.now()
        return reverse("console:rule_set", args=[add_rule_set(actor=visit.actor, now=now, **fields)])

    return _form(
        visit,
        _("Add a rule set"),
        partial(RuleSetForm, initial={"document": _text(document)}),
        add,
        _("Add"),
        lead=_("It never changes afterwards: another rule becomes another set under another code."),
    )


@page(Role.ADMINISTRATOR)
def rule_assign(visit: Visit) -> HttpResponse:
    """Judge a group by a rule set from a day on."""

    def assign(fields: dict[str, Any]) -> str:
        chosen = fields.pop("rule_set")
        rule_set_id = None if chosen is None else chosen.id
        assign_rule_set(actor=visit.actor, now=visit.services.now(), rule_set_id=rule_set_id, **fields)
        return reverse("console:rules")

    return _form(
        visit,
        _("Assign a rule set"),
        partial(AssignForm, tenant_id=visit.tenant_id),
        assign,
        _("Assign"),
        lead=_("It holds until the group's next one. What is thereby judged otherwise is derived again."),
    )


@page(Role.ADMINISTRATOR)
def rule_withdraw(visit: Visit, assignment_id: int) -> HttpResponse:
    """Take an assignment back."""
    rows = [row for row in list_assignments(tenant_id=visit.tenant_id) if row.assignment_id == assignment_id]
    row = found(rows[0] if rows else None, "assignment", assignment_id)

    def withdraw(_fields: dict[str, Any]) -> str:
        withdraw_assignment(actor=visit.actor, now=visit.services.now(), assignment_id=assignment_id)
        return reverse("console:rules")

    facts = (
        (_("Group"), _group_text(row.group_code)),
        (_("Rule set"), row.rule_set_code or "–"),
        (_("From the day"), row.starts_date.isoformat()),
    )
    return _form(
        visit,
        _("Withdraw an assignment"),
        ConfirmForm,
        withdraw,
        _("Withdraw"),
        lead=_("What is thereby judged otherwise is derived again."),
        facts=facts,
    )


@page(Role.ADMINISTRATOR)
def series_group_add(visit: Visit) -> HttpResponse:
    """Add a group of series."""

    def add(fields: dict[str, Any]) -> str:
        group_id = add_group(actor=visit.actor, now=visit.services.now(), **fields)
        return reverse("console:series_group", args=[group_id])

    return _form(visit, _("Add a group of series"), SeriesGroupForm, add, _("Add"))


@page()
def series_group(visit: Visit, group_id: int) -> HttpResponse:
    """List the series of a group."""
    group = _own_group(visit, group_id)
    members = GroupMember.objects.filter(group_id=group_id, withdrawn_at__isnull=True)
    rows = members.select_related("series__usage_point").order_by("series__usage_point__code", "series_id")
    zone = main_zone(visit.tenant_id)
    shown = rows if is_export(visit) else rows[:MEMBERS_SHOWN_COUNT]
    table = Table(
        name="series-group",
        title=group.name or group.code,
        columns=(_("Usage point"), _("Name"), _("Quantity"), _("Since")),
        rows=[
            (
                Cell(
                    row.series.usage_point.code,
                    reverse("console:usage_point", args=[row.series.usage_point_id]),
                ),
                Cell(row.series.usage_point.name),
                Cell(row.series.quantity),
                at_cell(row.recorded_at, zone),
            )
            for row in shown
        ],
        add_url=reverse("console:series_group_put", args=[group_id]) if _may_administer(visit) else "",
        add_label=_("Put in or take out"),
        lead=gettext("%(count)s series") % {"count": group.members_count},
    )
    return show_table(visit, table, zone=zone)


@page(Role.ADMINISTRATOR)
def series_group_put(visit: Visit, group_id: int) -> HttpResponse:
    """Put series of usage points into a group, or take them out."""
    group = _own_group(visit, group_id)

    def put(fields: dict[str, Any]) -> str:
        series_ids = [own for code in fields["codes"] for own in find_series_ids(visit.tenant_id, code)]
        into = None if fields["leaves"] else group_id
        put_in_group(actor=visit.actor, now=visit.services.now(), series_ids=series_ids, group_id=into)
        return reverse("console:series_group", args=[group_id])

    return _form(visit, _("Put in or take out"), MembersForm, put, _("Save"), lead=group.name or group.code)


def _form(
    visit: Visit,
    title: Any,
    make: Any,
    do: Any,
    button: Any,
    *,
    lead: Any = "",
    facts: tuple[tuple[Any, Any], ...] = (),
) -> HttpResponse:
    form_page = FormPage(
        title=title,
        back_url=reverse("console:rules"),
        back_label=_("Rules"),
        button_label=button,
        make=make,
        do=do,
        lead=lead,
        facts=facts,
    )
    return answer_form(visit, form_page)


def _assignments_table(visit: Visit) -> Table:
    zone = main_zone(visit.tenant_id)
    return Table(
        name="rules",
        title=_("Rules"),
        columns=(_("Group"), _("From the day"), _("Rule set"), _("Recorded"), _("Who")),
        rows=[
            (
                Cell(row.group_code),
                Cell(row.starts_date),
                Cell(row.rule_set_code or ""),
                at_cell(row.recorded_at, zone),
                Cell(row.made_by),
            )
            for row in list_assignments(tenant_id=visit.tenant_id)
        ],
    )


def _own_group(visit: Visit, group_id: int) -> GroupRow:
    rows = [row for row in list_groups(tenant_id=visit.tenant_id) if row.group_id == group_id]
    return found(rows[0] if rows else None, "series-group", group_id)


def _group_text(code: str) -> str:
    return gettext("Every series") if code == EVERYONE else code


def _may_administer(visit: Visit) -> bool:
    return visit.actor.can(Role.ADMINISTRATOR)


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)
