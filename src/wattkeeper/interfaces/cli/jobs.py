"""`wattkeeper job`: list, show; and how the shell does a job itself, or watches a worker do it."""

import time
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import JsonOption, Shell, TenantOption, open_shell, print_one, print_rows

if TYPE_CHECKING:
    from wattkeeper.data.collection.queries import JobRow

app = typer.Typer(no_args_is_help=True, help="Long work in the background.")
LOOK_PERIOD_S = 0.5


@app.command("list")
def list_(kind: str | None = None, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List the newest jobs."""
    shell = open_shell(tenant)
    from wattkeeper.data.collection.queries import list_jobs

    columns = ("job_id", "kind", "label", "state", "done_count", "total_count", "started_at", "ended_at")
    print_rows(list_jobs(tenant_id=shell.tenant_id, kind=kind), columns, as_json=as_json)


@app.command()
def show(job_id: int, tenant: TenantOption = "") -> None:
    """Show how far a job is, what came of it, and which rows were wrong."""
    print_one(_get(open_shell(tenant), job_id))


def do_job(shell: Shell, job_id: int, title: str) -> "JobRow":
    """Do a queued job here with a progress bar, or watch the worker that took it first; return how it ended.

    What has to be tried again is tried here too, where no worker comes first. Interrupted here, it goes on in
    the worker.
    """
    from wattkeeper.actions.jobs.run_job import run_job

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        while True:
            run_job(
                services=shell.services,
                job_id=job_id,
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
            row = _get(shell, job_id)
            bar.update(task, completed=row.done_count, total=row.total_count or None)
            if not row.is_open:
                return row
            time.sleep(LOOK_PERIOD_S)


def _get(shell: Shell, job_id: int) -> "JobRow":
    from wattkeeper.data.collection.queries import get_job

    row = get_job(tenant_id=shell.tenant_id, job_id=job_id)
    if row is None:
        raise WattkeeperError("registry.not-found", kind="job", id=job_id)
    return row
