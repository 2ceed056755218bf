"""Findings: those of one rule at one meter together, each of them, and closing them with a word on why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Self

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.actions.findings.close_findings import close_findings
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.groups import (
    FindingGroup,
    GroupKey,
    find_open,
    list_finding_groups,
    newest_finding_id,
)
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingRow, get_finding, list_comments, list_findings
from wattkeeper.data.registry.models import Site
from wattkeeper.data.registry.paging import Page
from wattkeeper.interfaces.evidence import tell_evidence
from wattkeeper.interfaces.web.console.csv_export import at_text, csv_answer
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_work import CloseGroupsForm, CommentForm
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    asked_choice,
    asked_id,
    asked_instant,
    main_zone,
    offset_of,
    pages_of,
    show,
)
from wattkeeper.interfaces.web.console.tables import every, is_export
from wattkeeper.interfaces.web.console.templatetags.console import evidence_text, rule_text, subject_text
from wattkeeper.interfaces.web.console.visit import Visit, found, page

ALL_STATES = "ALL"
_FACTS_MAX_COUNT = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which findings are asked for; at first those that are open."""

    state: str | None
    rule: str | None
    site_id: int | None
    search: str
    as_of: datetime | None

    @classmethod
    def of(cls, visit: Visit, rules: Sequence[str]) -> Self:
        """Return what the query of a page asks for."""
        is_all = visit.request.GET.get("state") == ALL_STATES
        state = asked_choice(visit, "state", Finding.State.values) or Finding.State.OPEN
        search = visit.request.GET.get("q", "").strip()
        return cls(
            None if is_all else state,
            asked_choice(visit, "rule", rules),
            asked_id(visit, "site"),
            search,
            asked_instant(visit, "as_of", main_zone(visit.tenant_id)),
        )


@page()
def findings(visit: Visit) -> HttpResponse:
    """List findings, those of one rule at one meter together; or each of them, of one group or of all."""
    known_rules = Finding.objects.filter(tenant_id=visit.tenant_id).values_list("rule", flat=True)
    rules = sorted(set(known_rules.distinct()))
    wanted = Wanted.of(visit, rules)
    group = GroupKey.parse(visit.request.GET.get("group", ""))
    common = {
        "wanted": wanted,
        "as_of": wanted.as_of,
        "may_edit": wanted.as_of is None and visit.actor.can(Role.OPERATOR),
        "wanted_state": wanted.state or ALL_STATES,
        "rules": rules,
        "sites": Site.objects.filter(tenant_id=visit.tenant_id).order_by("code"),
    }
    if group is not None or visit.request.GET.get("view") == "each":
        return _each(visit, wanted, group, common)
    return _groups(visit, wanted, common)


def _groups(visit: Visit, wanted: Wanted, common: dict[str, Any]) -> HttpResponse:
    fetch = partial(_fetch_groups, visit, wanted)
    if is_export(visit):
        return _export_groups(every(fetch), main_zone(visit.tenant_id))
    rows = fetch(offset_of(visit), PAGE_ROWS_COUNT)
    up_to_id = newest_finding_id(tenant_id=visit.tenant_id)
    return show(
        visit,
        "findings.html",
        {**common, "pages": pages_of(rows), "groups": rows.items, "up_to_id": up_to_id},
    )


def _each(visit: Visit, wanted: Wanted, group: GroupKey | None, common: dict[str, Any]) -> HttpResponse:
    def fetch(offset_index: int, limit_count: int) -> Page[FindingRow]:
        return list_findings(
            tenant_id=visit.tenant_id,
            state=wanted.state,
            rule=wanted.rule,
            site_id=wanted.site_id,
            group=group,
            as_of=wanted.as_of,
            offset_index=offset_index,
            limit_count=limit_count,
        )

    if is_export(visit):
        return _export(every(fetch), main_zone(visit.tenant_id))
    rows = fetch(offset_of(visit), PAGE_ROWS_COUNT)
    context = {**common, "pages": pages_of(rows), "findings": rows.items, "group": group}
    return show(visit, "findings_each.html", context)


def _fetch_groups(visit: Visit, wanted: Wanted, offset_index: int, limit_count: int) -> Page[FindingGroup]:
    return list_finding_groups(
        tenant_id=visit.tenant_id,
        state=wanted.state,
        rule=wanted.rule,
        site_id=wanted.site_id,
        search=wanted.search,
        as_of=wanted.as_of,
        offset_index=offset_index,
        limit_count=limit_count,
    )


@page(Role.OPERATOR)
def findings_close(visit: Visit) -> HttpResponse:
    """Close groups of findings: those that were ticked, or all that a filter shows."""
    keys = _asked_keys(visit)
    up_to_id = asked_id(visit, "up_to_id") or 0

    def close(fields: dict[str, Any]) -> str:
        close_findings(
            actor=visit.actor,
            now=visit.services.now(),
            keys=keys,
            up_to_id=fields["up_to_id"],
            comment=fields["comment"],
        )
        return reverse("console:findings")

    form_page = FormPage(
        title=_("Close findings"),
        back_url=reverse("console:findings"),
        back_label=_("Findings"),
        button_label=_("Close"),
        make=partial(CloseGroupsForm, initial={"keys": " ".join(map(str, keys)), "up_to_id": up_to_id}),
        do=close,
        facts=tuple(_facts_of(visit, keys)),
    )
    return answer_form(visit, form_page)


@page(Role.OPERATOR)
def finding_close(visit: Visit, finding_id: int) -> HttpResponse:
    """Close a finding with a word on why."""
    row = found(get_finding(tenant_id=visit.tenant_id, finding_id=finding_id), "finding", finding_id)

    def close(fields: dict[str, Any]) -> str:
        close_finding(
            actor=visit.actor, now=visit.services.now(), finding_id=finding_id, comment=fields["comment"]
        )
        return reverse("console:findings")

    subject = row.meter_serial_number or row.usage_point_code or subject_text(row.subject_key)
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
            *evidence_text(row.evidence),
            *((comment.author, comment.text) for comment in comments),
        ),
    )
    return answer_form(visit, form_page)


def _export(rows: Any, zone: str) -> HttpResponse:
    header = [_("What"), _("Rule"), _("Meter"), _("Usage point"), _("Since"), _("State"), _("Evidence")]
    return csv_answer("findings", header, (_cells(row, zone) for row in rows))


def _cells(row: FindingRow, zone: str) -> tuple[object, ...]:
    told = tell_evidence(row.evidence, get_language() or "en", partial(at_text, zone=zone))
    return (
        rule_text(row.rule),
        row.rule,
        row.meter_serial_number,
        row.usage_point_code,
        at_text(row.starts_at, zone),
        Finding.State(row.state).label,
        "; ".join(f"{name}: {value}" for name, value in told),
    )


def _export_groups(groups: Sequence[FindingGroup], zone: str) -> HttpResponse:
    header = [
        _("What"),
        _("Rule"),
        _("Meter"),
        _("Usage point"),
        _("Findings"),
        _("Open"),
        _("From"),
        _("To"),
    ]
    rows = (
        (
            rule_text(group.key.rule),
            group.key.rule,
            group.meter_serial_number or subject_text(group.key.subject_key),
            group.usage_point_code,
            group.findings_count,
            group.open_count,
            at_text(group.first_at, zone),
            at_text(group.last_at, zone),
        )
        for group in groups
    )
    return csv_answer("findings", header, rows)


def _asked_keys(visit: Visit) -> list[GroupKey]:
    """Return the groups to close: posted, ticked, or all that the filter shows."""
    request = visit.request
    if request.method == "POST":
        texts = request.POST.get("keys", "").split()
    elif "all" in request.GET:
        rules = list(
            Finding.objects.filter(tenant_id=visit.tenant_id).values_list("rule", flat=True).distinct()
        )
        return [group.key for group in every(partial(_fetch_groups, visit, Wanted.of(visit, rules)))]
    else:
        texts = request.GET.getlist("key")
    return [key for key in map(GroupKey.parse, texts) if key is not None]


def _facts_of(visit: Visit, keys: Sequence[GroupKey]) -> Iterator[tuple[str, str]]:
    """Yield what is going to be closed: the groups by rule, and how many findings those are."""
    for rule, count in Counter(key.rule for key in keys).most_common(_FACTS_MAX_COUNT):
        yield rule_text(rule), _("%(count)s groups") % {"count": count}
    newest_id = asked_id(visit, "up_to_id") or int(visit.request.POST.get("up_to_id") or 0)
    found_count = find_open(tenant_id=visit.tenant_id, keys=keys, up_to_id=newest_id).count()
    yield _("Findings"), str(found_count)
