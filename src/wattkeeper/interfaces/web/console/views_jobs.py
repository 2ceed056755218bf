"""Jobs with their progress and errors, and the import of files."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.collection.request_import import request_import
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.queries import JobRow, get_job, list_jobs
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console import texts
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_work import ImportForm
from wattkeeper.interfaces.web.console.show import main_zone, show
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, show_table
from wattkeeper.interfaces.web.console.templatetags.console import job_title
from wattkeeper.interfaces.web.console.visit import Visit, found, page

_BADGES = {Job.State.DONE.value: "good", Job.State.FAILED.value: "bad"}


@page()
def jobs(visit: Visit) -> HttpResponse:
    """List the newest jobs."""
    zone = main_zone(visit.tenant_id)
    search = visit.request.GET.get("q", "").strip()
    found_jobs = list_jobs(tenant_id=visit.tenant_id, limit_count=200)
    rows = [row for row in found_jobs if search.casefold() in job_title(row).casefold()]
    table = Table(
        name="jobs",
        title=_("Jobs"),
        columns=(_("What"), _("State"), _("Progress"), _("Errors"), _("Started"), _("Ended")),
        rows=[
            (
                Cell(job_title(row), reverse("console:job", args=[row.job_id])),
                Cell(Job.State(row.state).label, badge=_BADGES.get(row.state, "")),
                Cell(f"{row.done_count} / {row.total_count}", css="number"),
                Cell(len(row.errors), css="number"),
                at_cell(row.started_at, zone),
                at_cell(row.ended_at, zone),
            )
            for row in rows
        ],
        search=search,
        add_url=reverse("console:import") if visit.actor.can(Role.OPERATOR) else "",
        add_label=_("Import a file"),
    )
    return show_table(visit, table)


@page()
def job(visit: Visit, job_id: int) -> HttpResponse:
    """Show how far a job is, and which of its rows were wrong."""
    row = found(get_job(tenant_id=visit.tenant_id, job_id=job_id), "job", job_id)
    context = {
        "job": row,
        "errors": _errors(row),
        "badge": _BADGES.get(row.state, ""),
        "results": [(texts.RESULTS.get(name, name), count) for name, count in row.result.items()],
    }
    return show(visit, "job.html", context)


@page(Role.OPERATOR)
def import_(visit: Visit) -> HttpResponse:
    """Ask for a file of readings to be imported; a job shows how far it is and names each wrong row."""

    def send(fields: dict[str, Any]) -> str:
        site = fields["site"]
        job_id = request_import(
            actor=visit.actor,
            now=visit.services.now(),
            services=visit.services,
            content=fields["file"].chunks(),
            label=fields["file"].name,
            site_id=site.id if site else None,
            options=CsvOptions(
                delimiter=fields["delimiter"],
                decimal_mark=fields["decimal_mark"],
                zone=site.time_zone if site else main_zone(visit.tenant_id),
            ),
        )
        return reverse("console:job", args=[job_id])

    form_page = FormPage(
        title=_("Import a file"),
        back_url=reverse("console:jobs"),
        back_label=_("Jobs"),
        button_label=_("Import"),
        make=partial(ImportForm, tenant_id=visit.tenant_id),
        do=send,
        lead=_("Sending the same file again changes nothing. Each wrong row is named; the others go in."),
    )
    return answer_form(visit, form_page)


def _errors(row: JobRow) -> list[tuple[str, str]]:
    """Return (where, sentence) of each error; where is ``line:column`` in a file."""
    language = get_language() or "en"
    found_errors = []
    for error in row.errors:
        line, column = error.get("line") or 0, error.get("column") or 0
        place = f"{line}:{column}" if line else ""
        params = dict(error.get("params") or {})
        subject = str(params.get("usage_point", ""))
        found_errors.append((place or subject, sentence(str(error.get("code")), params, language)))
    return found_errors
