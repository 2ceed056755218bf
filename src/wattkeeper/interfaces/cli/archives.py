"""`wattkeeper archive`: old months out of the readings store into files, and back."""

from typing import Annotated

import typer

from wattkeeper.bootstrap import data_folder
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.own_store import store_of
from wattkeeper.interfaces.cli.progress import ProgressLine
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows

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
    """Show what is archived."""
    from wattkeeper.actions.operations.places import Places
    from wattkeeper.store.archive import list_manifests

    print_rows(list_manifests(Places.of(data_folder()).archive), COLUMNS, as_json=as_json)


def parse_month(text: str) -> int:
    """Return a month written as year and number, as yyyymm.

    :raises WattkeeperError: ``shell.not-a-month``
    """
    year, sign, month = text.partition("-")
    if not sign or not (year + month).isdigit() or len(year) != 4 or not 1 <= int(month) <= 12:
        raise WattkeeperError("shell.not-a-month", text=text)
    return int(year) * 100 + int(month)
