"""`wattkeeper bill`: run a month, list, show, and the way from a line to intervals, raw reads and frames."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.jobs import do_job
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    Shell,
    TenantOption,
    open_shell,
    parse_instant,
    print_counts,
    print_one,
    print_rows,
)
from wattkeeper.interfaces.messages import sentence

if TYPE_CHECKING:
    from wattkeeper.core.billing.document import Trace
    from wattkeeper.data.billing.queries import BillDetail, BillLineRow

app = typer.Typer(no_args_is_help=True, help="Bills and what they rest on.")
BillId = Annotated[int, typer.Argument(help="the bill's id, as list shows it")]
Position = Annotated[int, typer.Argument(help="the line's position on the bill")]


@app.command()
def run(
    month: Annotated[str, typer.Argument(help="YYYY-MM")],
    usage_point: Annotated[list[str] | None, typer.Option(help="codes; without any, all")] = None,
    accept_estimates: Annotated[
        bool, typer.Option("--accept-estimates", help="issue and propose also what no registers bracket")
    ] = False,
    tenant: TenantOption = "",
) -> None:
    """Bill a month. Again it issues what is not billed yet and counts corrections that await a decision."""
    first, end = parse_month(month)
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.billing.request_billing import request_billing
    from wattkeeper.data.lookups import find_usage_point_id

    job_id = request_billing(
        actor=shell.actor,
        now=shell.now,
        first=first,
        end=end,
        usage_point_ids=[find_usage_point_id(shell.tenant_id, code) for code in usage_point or ()] or None,
        accept_estimates=accept_estimates,
    )
    job = do_job(shell, job_id, month)
    for error in job.errors:
        params = error.get("params") or {}
        text = sentence(error["code"], params, current_language())
        typer.echo(f"{params.get('usage_point', month)}: {text} [{error['code']}]", err=True)
    print_counts(**job.result)
    raise typer.Exit(1 if job.errors else 0)


@app.command("list")
def list_(
    search: str = "",
    state: str | None = None,
    limit: int = 50,
    offset: int = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List bills, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.queries import list_bills

    page = list_bills(
        tenant_id=shell.tenant_id, search=search, state=state, offset_index=offset, limit_count=limit
    )
    columns = ("bill_id", "usage_point_code", "starts_at", "ends_at", "state", "total_minor", "currency")
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def show(bill_id: BillId, tenant: TenantOption = "") -> None:
    """Show a bill with its lines and the document that was issued."""
    print_one(_get(open_shell(tenant), bill_id))


@app.command()
def intervals(
    bill_id: BillId, position: Position, tenant: TenantOption = "", as_json: JsonOption = False
) -> None:
    """List the intervals that a line is made of, as they were when it was billed."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.interfaces.reads.bills import line_intervals

    bill = _get(shell, bill_id)
    line, trace = _line_of(bill, position)
    assert shell.services.store is not None
    found = line_intervals(shell.services.store, tenant_id=shell.tenant_id, bill=bill, line=line, trace=trace)
    rows = [
        {
            "starts_at": row.starts_at,
            "energy_milliwh": None if row.is_missing else row.energy_milliwh,
            "part_milliwh": row.part_milliwh,
            "quality": row.provenance.name,
            "run_id": row.run_id,
        }
        for row in found.rows
    ]
    print_rows(rows, ("starts_at", "energy_milliwh", "part_milliwh", "quality", "run_id"), as_json=as_json)


@app.command()
def trace(
    bill_id: BillId,
    position: Position,
    starts_at: Annotated[str, typer.Argument(help="start of the interval, with its offset")],
    tenant: TenantOption = "",
) -> None:
    """Show the raw reads and frames that one interval of a line rests on."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.interfaces.reads.intervals import get_series
    from wattkeeper.interfaces.reads.trace import trace_interval

    _, way = _line_of(_get(shell, bill_id), position)
    series = get_series(tenant_id=shell.tenant_id, series_id=way.series_id)
    starts_at_s = int(parse_instant(starts_at).timestamp())
    assert shell.services.store is not None
    found = None
    if series is not None:
        found = trace_interval(
            shell.services.store, series=series, starts_at_s=starts_at_s, as_of_run_id=way.run_id
        )
    if found is None:
        raise WattkeeperError("registry.not-found", kind="interval", id=starts_at)
    print_one(found)


def parse_month(text: str) -> tuple[date, date]:
    """Return the first day of a month written YYYY-MM, and of the next.

    :raises WattkeeperError: ``shell.not-a-month``
    """
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise WattkeeperError("shell.not-a-month", text=text) from error
    return first, date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _get(shell: Shell, bill_id: int) -> "BillDetail":
    from wattkeeper.data.billing.queries import get_bill

    bill = get_bill(tenant_id=shell.tenant_id, bill_id=bill_id)
    if bill is None:
        raise WattkeeperError("registry.not-found", kind="bill", id=bill_id)
    return bill


def _line_of(bill: "BillDetail", position: int) -> "tuple[BillLineRow, Trace]":
    from wattkeeper.interfaces.reads.bills import trace_of

    line = next((row for row in bill.lines if row.position == position), None)
    trace = trace_of(line) if line else None
    if line is None or trace is None:
        raise WattkeeperError("registry.not-found", kind="bill-line", id=position)
    return line, trace
