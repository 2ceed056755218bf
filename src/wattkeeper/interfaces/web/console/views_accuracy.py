"""Standing comparisons of meters: how does one know that a meter is right?"""

from decimal import Decimal
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check, retire_accuracy_check
from wattkeeper.actions.virtual.judge_accuracy import judge_accuracy
from wattkeeper.core.vee.accuracy import WHOLE
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.virtual.accuracy import AccuracyRow, get_check, list_checks, list_results
from wattkeeper.interfaces.web.console import texts
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_virtual import AccuracyForm
from wattkeeper.interfaces.web.console.forms_work import ConfirmForm
from wattkeeper.interfaces.web.console.show import asked_choice, show, slice_pages
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, is_export, show_table
from wattkeeper.interfaces.web.console.templatetags.console import as_percent
from wattkeeper.interfaces.web.console.visit import Visit, found, page

BADGES = {"within": "good", "outside": "bad", "undecided": "warn", "no-load": ""}


@page()
def accuracy_checks(visit: Visit) -> HttpResponse:
    """List comparisons with what their newest reports say."""
    verdict = asked_choice(visit, "verdict", list(texts.VERDICTS))
    search = visit.request.GET.get("q", "").strip()
    rows = [
        row
        for row in list_checks(tenant_id=visit.tenant_id, verdict=verdict)
        if search.casefold() in f"{row.main_code} {row.main_name} {row.reference_code or ''}".casefold()
    ]
    pages = slice_pages(visit, rows)
    table = Table(
        name="accuracy",
        title=_("Accuracy of meters"),
        columns=(
            _("Meter at"),
            _("Compared with"),
            _("Verdict"),
            _("Error, %"),
            _("Allowed, %"),
            _("Hidden by steps, %"),
            _("Sure, %"),
            _("Steps"),
            _("Up to"),
        ),
        rows=[_cells(row) for row in (rows if is_export(visit) else pages.rows)],
        pages=pages,
        search=search,
        add_url=reverse("console:accuracy_add") if visit.actor.can(Role.OPERATOR) else "",
        add_label=_("Add a comparison"),
        lead=_("Each meter beside its check meter or the sum of its sub-meters, judged every day."),
    )
    return show_table(visit, table)


@page()
def accuracy_check(visit: Visit, check_id: int) -> HttpResponse:
    """Show a comparison: its newest report by load, and the reports before."""
    row = _own(visit, check_id)
    results = list_results(check_id)
    newest = results[0] if results else None
    context = {
        "check": row,
        "newest": newest,
        "badge": BADGES[newest.verdict] if newest else "",
        "verdict": texts.VERDICTS[newest.verdict] if newest else "",
        "bands": [_band(band) for band in newest.bands] if newest else [],
        "results": slice_pages(
            visit, [(result, texts.VERDICTS[result.verdict], BADGES[result.verdict]) for result in results]
        ),
    }
    return show(visit, "accuracy_check.html", {**context, "pages": context["results"]}, zone=row.time_zone)


@page(Role.OPERATOR)
def accuracy_add(visit: Visit) -> HttpResponse:
    """Add a comparison."""

    def add(fields: dict[str, Any]) -> str:
        main, reference = fields.pop("main"), fields.pop("reference")
        check_id = add_accuracy_check(
            actor=visit.actor,
            now=visit.services.now(),
            main_id=main.id,
            reference_id=reference.id if reference else None,
            **fields,
        )
        return _url(check_id)

    form_page = FormPage(
        title=_("Add a comparison"),
        back_url=reverse("console:accuracy_checks"),
        back_label=_("Accuracy of meters"),
        button_label=_("Add"),
        make=partial(AccuracyForm, tenant_id=visit.tenant_id),
        do=add,
    )
    return answer_form(visit, form_page)


@require_POST
@page(Role.OPERATOR)
def accuracy_judge(visit: Visit, check_id: int) -> HttpResponse:
    """Judge a comparison now."""
    _own(visit, check_id)
    now = visit.services.now()
    visit.ask(lambda store: judge_accuracy(store, tenant_id=visit.tenant_id, now=now, check_id=check_id), 0)
    return redirect(_url(check_id))


@page(Role.OPERATOR)
def accuracy_retire(visit: Visit, check_id: int) -> HttpResponse:
    """End a comparison."""
    row = _own(visit, check_id)

    def retire(_fields: dict[str, Any]) -> str:
        retire_accuracy_check(actor=visit.actor, now=visit.services.now(), check_id=check_id)
        return reverse("console:accuracy_checks")

    form_page = FormPage(
        title=_("End the comparison"),
        back_url=_url(check_id),
        back_label=row.main_name,
        button_label=_("End"),
        make=ConfirmForm,
        do=retire,
        is_dangerous=True,
        zone=row.time_zone,
    )
    return answer_form(visit, form_page)


def _own(visit: Visit, check_id: int) -> AccuracyRow:
    return found(get_check(tenant_id=visit.tenant_id, check_id=check_id), "accuracy-check", check_id)


def _band(band: dict[str, Any]) -> dict[str, Any]:
    """Return a band with its shares in per cent."""
    load = band["load_permille"]
    shares = {
        name: as_percent(band[f"{name}_ppm"]) for name in ("error", "limit", "uncertainty", "confidence")
    }
    return {
        **band,
        **shares,
        "load": gettext("all loads") if load == WHOLE else f"≥ {Decimal(load).scaleb(-1)} %",
        "verdict_text": texts.VERDICTS[band["verdict"]],
        "badge": BADGES[band["verdict"]],
    }


def _cells(row: AccuracyRow) -> tuple[Cell, ...]:
    result = row.result
    reference_url = reverse("console:usage_point", args=[row.reference_id]) if row.reference_id else ""
    head = (
        Cell(f"{row.main_code} {row.main_name}", _url(row.check_id)),
        Cell(row.reference_code or gettext("its sub-meters"), reference_url),
    )
    if result is None:
        return (*head, Cell(gettext("Not judged yet"), badge=""), *(Cell("") for _column in range(6)))
    shares = (result.error_ppm, result.limit_ppm, result.uncertainty_ppm, result.confidence_ppm)
    return (
        *head,
        Cell(texts.VERDICTS[result.verdict], badge=BADGES[result.verdict]),
        *(Cell(as_percent(share_ppm), css="number") for share_ppm in shares),
        Cell(result.steps_count, css="number"),
        at_cell(result.to_at, row.time_zone),
    )


def _url(check_id: int) -> str:
    return reverse("console:accuracy_check", args=[check_id])
