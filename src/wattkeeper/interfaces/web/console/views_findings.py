"""Findings: list, and closing one with a word on why."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingRow, get_finding, list_comments, list_findings
from wattkeeper.data.registry.models import Site
from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT
from wattkeeper.interfaces.web.console.csv_export import at_text, csv_answer
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_work import CommentForm
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    asked_choice,
    asked_id,
    main_zone,
    offset_of,
    pages_of,
    show,
)
from wattkeeper.interfaces.web.console.tables import is_export
from wattkeeper.interfaces.web.console.templatetags.console import rule_text
from wattkeeper.interfaces.web.console.visit import Visit, found, page

ALL_STATES = "ALL"


@page()
def findings(visit: Visit) -> HttpResponse:
    """List findings; at first those that are open."""
    wanted = visit.request.GET.get("state", Finding.State.OPEN)
    known_rules = Finding.objects.filter(tenant_id=visit.tenant_id).values_list("rule", flat=True)
    rules = sorted(set(known_rules.distinct()))
    rule = asked_choice(visit, "rule", rules)
    rows = list_findings(
        tenant_id=visit.tenant_id,
        state=None if wanted == ALL_STATES else asked_choice(visit, "state", Finding.State.values) or "OPEN",
        rule=rule,
        site_id=asked_id(visit, "site"),
        offset_index=0 if is_export(visit) else offset_of(visit),
        limit_count=PAGE_SIZE_MAX_COUNT if is_export(visit) else PAGE_ROWS_COUNT,
    )
    if is_export(visit):
        return _export(rows.items, main_zone(visit.tenant_id))
    context = {
        "pages": pages_of(rows),
        "findings": rows.items,
        "wanted_state": wanted,
        "wanted_rule": rule,
        "wanted_site_id": asked_id(visit, "site"),
        "rules": rules,
        "sites": Site.objects.filter(tenant_id=visit.tenant_id).order_by("code"),
    }
    return show(visit, "findings.html", context)


@page(Role.OPERATOR)
def finding_close(visit: Visit, finding_id: int) -> HttpResponse:
    """Close a finding with a word on why."""
    row = found(get_finding(tenant_id=visit.tenant_id, finding_id=finding_id), "finding", finding_id)

    def close(fields: dict[str, Any]) -> str:
        close_finding(
            actor=visit.actor, now=visit.services.now(), finding_id=finding_id, comment=fields["comment"]
        )
        return reverse("console:findings")

    subject = row.meter_serial_number or row.usage_point_code or row.subject_key
    comments = list_comments(tenant_id=visit.tenant_id, finding_id=finding_id)
    form_page = FormPage(
        title=_("Close the finding"),
        back_url=reverse("console:findings"),
        back_label=_("Findings"),
        button_label=_("Close"),
        make=CommentForm,
        do=close,
        facts=(
            (_("What"), rule_text(row.rule)),
            (_("Where"), subject),
            *((comment.author, comment.text) for comment in comments),
        ),
    )
    return answer_form(visit, form_page)


def _export(rows: Any, zone: str) -> HttpResponse:
    header = [_("What"), _("Rule"), _("Meter"), _("Usage point"), _("Since"), _("State"), _("Evidence")]
    return csv_answer("findings", header, (_cells(row, zone) for row in rows))


def _cells(row: FindingRow, zone: str) -> tuple[object, ...]:
    evidence = " ".join(f"{name}={value}" for name, value in row.evidence.items())
    return (
        rule_text(row.rule),
        row.rule,
        row.meter_serial_number,
        row.usage_point_code,
        at_text(row.starts_at, zone),
        Finding.State(row.state).label,
        evidence,
    )
