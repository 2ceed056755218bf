"""`wattkeeper import FILE`: NEM12 or CSV, with a progress bar and each wrong row."""

from pathlib import Path
from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.interfaces.cli.jobs import do_job
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
    content = _read(file)
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.actions.collection.request_import import request_import
    from wattkeeper.data.lookups import find_site_id

    job_id = request_import(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        content=[content],
        label=file.name,
        site_id=find_site_id(shell.tenant_id, site) if site else None,
        options=CsvOptions(delimiter=delimiter, decimal_mark=decimal_mark, zone=zone),
    )
    job = do_job(shell, job_id, file.name)
    for error in job.errors:
        text = sentence(error["code"], error.get("params") or {}, current_language())
        place = f"{file.name}:{error['line']}:{error['column']}" if error.get("line") else file.name
        typer.echo(f"{place}: {text} [{error['code']}]", err=True)
    typer.echo(", ".join(f"{name} {count}" for name, count in job.result.items()))
    raise typer.Exit(1 if job.errors else 0)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=str(file), reason=error.strerror) from error
