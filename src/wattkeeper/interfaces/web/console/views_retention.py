"""How long readings stay: shown, set, and what would go by it."""

from functools import partial
from typing import Any

from django import forms
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.operations.keep_retention import Due, list_due
from wattkeeper.actions.operations.set_retention import LEAST_MONTHS_COUNT, MOST_MONTHS_COUNT, set_retention
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import Retention
from wattkeeper.data.collection.retention import own_rules
from wattkeeper.interfaces.reads.archived import month_text
from wattkeeper.interfaces.reads.held import held_text
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.tables import Cell, Table, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page

STEPS = {"archive": _("Into the archive"), "destroy": _("Destroyed")}


class RetentionForm(forms.Form):
    """Months beside the running one; empty: for good."""

    store_months_count = forms.IntegerField(
        label=_("Months in the store"),
        required=False,
        min_value=1,
        max_value=MOST_MONTHS_COUNT,
        help_text=_("Beside the running one. Empty: for good."),
    )
    file_months_count = forms.IntegerField(
        label=_("Months until the files are destroyed"),
        required=False,
        min_value=1,
        max_value=MOST_MONTHS_COUNT,
        help_text=_("Counted from the same month. Empty: never."),
    )


@page(Role.ADMINISTRATOR)
def retention(visit: Visit) -> HttpResponse:
    """Show how long frames, reads and values stay."""
    table = Table(
        name="retention",
        title=_("Retention"),
        columns=(_("What"), _("Months in the store"), _("Months until the files are destroyed")),
        rows=[
            (
                Cell(Retention.Kind(rule.kind).label, reverse("console:retention_edit", args=[rule.kind])),
                Cell(_months(rule.store_months_count, _("For good")), css="number"),
                Cell(_months(rule.file_months_count, _("Never")), css="number"),
            )
            for rule in own_rules(visit.tenant_id)
        ],
        add_url=reverse("console:retention_due"),
        add_label=_("What would go now"),
        lead=_(
            "Months that are older go from the store into the archive, and its files are destroyed where that"
            " is set. Days and months of energy, bills and findings stay. What is still needed is held."
        ),
    )
    return show_table(visit, table)


@page(Role.ADMINISTRATOR)
def retention_due(visit: Visit) -> HttpResponse:
    """Show which months would go, and what holds the others."""
    language = get_language() or "en"
    try:
        rows = list_due(services=visit.services, now=visit.services.now(), tenant_id=visit.tenant_id)
    except WattkeeperError as error:
        rows, visit.store_problem = [], error
    table = Table(
        name="retention-due",
        title=_("What would go now"),
        columns=(_("Month"), _("Step"), _("What"), _("Table"), _("Rows"), _("Held by")),
        rows=[_cells(row, language) for row in rows],
        lead=_("What is not held goes within hours, one month at a time."),
    )
    return show_table(visit, table)


@page(Role.ADMINISTRATOR)
def retention_edit(visit: Visit, kind: str) -> HttpResponse:
    """Set how long readings of a kind stay."""
    rules = {rule.kind: rule for rule in own_rules(visit.tenant_id)}
    rule = found(rules.get(kind), "page", 0)

    def change(fields: dict[str, Any]) -> str:
        set_retention(actor=visit.actor, now=visit.services.now(), kind=kind, **fields)
        return reverse("console:retention")

    form_page = FormPage(
        title=Retention.Kind(kind).label,
        back_url=reverse("console:retention"),
        back_label=_("Retention"),
        button_label=_("Save"),
        make=partial(
            RetentionForm,
            initial={
                "store_months_count": rule.store_months_count,
                "file_months_count": rule.file_months_count,
            },
        ),
        do=change,
        lead=_("What was destroyed cannot be brought back, except from a backup."),
        facts=((_("At least"), str(LEAST_MONTHS_COUNT[Retention.Kind(kind)])),),
    )
    return answer_form(visit, form_page)


def _months(count: int | None, otherwise: Any) -> Any:
    return otherwise if count is None else count


def _cells(row: Due, language: str) -> tuple[Cell, ...]:
    return (
        Cell(month_text(row.month)),
        Cell(STEPS[row.step]),
        Cell(Retention.Kind(row.kind).label),
        Cell(row.table, css="code"),
        Cell(row.rows_count, css="number"),
        Cell(held_text(row, language)),
    )
