"""`wattkeeper import FILE`: NEM12 or CSV, with a progress bar and each wrong row."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import TenantOption, open_shell
from wattkeeper.interfaces.messages import sentence


def import_(
    file: Annotated[Path, typer.Argument(help="a NEM12 or CSV file")],
    site: Annotated[str, typer.Option(help="code of the site for new meters")] = "",
    delimiter: str = ",",
    decimal_mark: str = ".",
    zone: Annotated[str | None, typer.Option(help="zone of times without an offset (CSV)")] = None,
    tenant: TenantOption = "",
) -> None:
    """Import a file of intervals: every good row in, every wrong one named. Twice is once."""
    options = CsvOptions(delimiter=delimiter, decimal_mark=decimal_mark, zone=zone)
    content = _read(file)
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.collection.import_file import import_file
    from wattkeeper.data.lookups import find_site_id

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    errors = Console(stderr=True)
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task(file.name, total=None)
        result = import_file(
            actor=shell.actor,
            now=shell.now,
            services=shell.services,
            content=content,
            label=file.name,
            site_id=find_site_id(shell.tenant_id, site) if site else None,
            options=options,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for error in result.errors:
        text = sentence(error.code, error.params, current_language())
        place = f"{file.name}:{error.line}:{error.column}" if error.line else file.name
        typer.echo(f"{place}: {text} [{error.code}]", err=True)
    typer.echo(f"rows {result.rows_count}, meters {result.meters_count}, errors {len(result.errors)}")
    raise typer.Exit(1 if result.errors else 0)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=str(file), reason=error.strerror) from error
