"""Jobs with their progress and errors."""

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.queries import JobRow, get_job, list_jobs
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console import texts
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
