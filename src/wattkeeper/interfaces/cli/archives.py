"""`wattkeeper archive`: old months out of the readings store into files, and back; how long they stay."""

from dataclasses import asdict
from typing import Annotated

import typer

from wattkeeper.bootstrap import data_folder
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import current_language, spoken
from wattkeeper.interfaces.cli.own_store import store_of
from wattkeeper.interfaces.cli.progress import ProgressLine
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows
from wattkeeper.interfaces.reads.held import held_text

app = typer.Typer(no_args_is_help=True, help="Old months in files.")
COLUMNS = ("table", "month", "rows_count", "file_bytes", "file_sha256")
MonthArgument = Annotated[str, typer.Argument(help="a month, as in 2026-03 (UTC)")]


@app.callback()
def begin() -> None:
    """Archive verbs."""


@app.command()
def before(
    month: MonthArgument,
    keep: Annotated[bool, typer.Option("--keep", help="leave the months in the store too")] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write every month before this one to a file, prove the file, and only then remove the month."""
    with store_of(data_folder()), ProgressLine() as line:
        shell = open_shell(tenant, with_store=True)
        from wattkeeper.actions.operations.archive_months import archive_months

        done = archive_months(
            actor=shell.actor,
            now=shell.now,
            services=shell.services,
            before_month=parse_month(month),
            keeps_rows=keep,
            on_progress=line,
        )
        rows = list(done)
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command()
def restore(
    first: MonthArgument, last: MonthArgument, tenant: TenantOption = "", as_json: JsonOption = False
) -> None:
    """Put archived months back into the store, bit for bit."""
    with store_of(data_folder()), ProgressLine() as line:
        shell = open_shell(tenant, with_store=True)
        from wattkeeper.actions.operations.archive_months import restore_months

        done = restore_months(
            actor=shell.actor,
            now=shell.now,
            services=shell.services,
            from_month=parse_month(first),
            to_month=parse_month(last),
            on_progress=line,
        )
        rows = list(done)
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """Show what is archived, and what was destroyed."""
    from wattkeeper.actions.operations.places import Places
    from wattkeeper.store.archive import is_removed, list_destroyed, list_manifests

    folder = Places.of(data_folder()).archive
    rows = [
        asdict(found) | {"state": "archive" if is_removed(folder, found) else "store"}
        for found in list_manifests(folder)
    ]
    rows += [asdict(found) | {"state": "destroyed"} for found in list_destroyed(folder)]
    print_rows(rows, (*COLUMNS, "state"), as_json=as_json)


@app.command()
def retention(
    kind: Annotated[str, typer.Argument(help="FRAMES, READS or VALUES; without it, print all")] = "",
    months: Annotated[
        int | None, typer.Option(help="months beside the running one that stay in the store")
    ] = None,
    file_months: Annotated[
        int | None, typer.Option(help="after how many months the files are destroyed; else never")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="keep them for good")] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show or set how long frames, reads and values stay; for good unless it is set."""
    shell = open_shell(tenant)
    from wattkeeper.actions.operations.set_retention import set_retention
    from wattkeeper.data.collection.retention import own_rules

    if (kind or off or months or file_months) and (not kind or off == (months is not None)):
        raise WattkeeperError("shell.retention-what")
    if kind:
        set_retention(
            actor=shell.actor,
            now=shell.now,
            kind=kind.upper(),
            store_months_count=months,
            file_months_count=file_months,
        )
    columns = ("kind", "store_months_count", "file_months_count")
    print_rows(own_rules(shell.tenant_id), columns, as_json=as_json)


@app.command()
def due(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """Show which months would go by what is set, and what holds the others; nothing is changed."""
    with store_of(data_folder()):
        shell = open_shell(tenant, with_store=True)
        from wattkeeper.actions.operations.keep_retention import list_due

        found = list_due(services=shell.services, now=shell.now, tenant_id=shell.tenant_id)
    said = current_language()
    rows = [asdict(row) | {"held_by": held_text(row, said)} for row in found]
    columns = ("month", "step", "kind", "table", "rows_count", "held_by")
    print_rows(found if as_json else rows, columns, as_json=as_json, nothing=spoken("No month is due."))


def parse_month(text: str) -> int:
    """Return a month written as year and number, as yyyymm.

    :raises WattkeeperError: ``shell.not-a-month``
    """
    year, sign, month = text.partition("-")
    if not sign or not (year + month).isdigit() or len(year) != 4 or not 1 <= int(month) <= 12:
        raise WattkeeperError("shell.not-a-month", text=text)
    return int(year) * 100 + int(month)
