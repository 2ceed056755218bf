"""`wattkeeper import FILE`: any format, with a progress bar and each wrong row; tried only, where asked."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.csv_intervals import CsvOptions, written_so
from wattkeeper.formats.mapping import Mapping
from wattkeeper.formats.table_head import encoding_told
from wattkeeper.interfaces.cli.jobs import do_job
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import Shell, TenantOption, open_shell, print_counts, print_rows
from wattkeeper.interfaces.cli.tools.convert import (
    DecimalMarkOption,
    DelimiterOption,
    EncodingOption,
    ZoneOption,
    read_mapping,
    read_whole,
)
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.reads.imports import ABOUT, about_block

if TYPE_CHECKING:
    from wattkeeper.actions.collection.import_file import ImportResult


def import_(
    file: Annotated[
        Path,
        typer.Argument(help="CSV, Excel, NEM12, NEM13, Green Button, IEC 61968-9, MSCONS, gzip or a zip"),
    ],
    site: Annotated[
        str, typer.Option(help="code of the site for new meters; none: one for files of their zone")
    ] = "",
    mapping: Annotated[str, typer.Option(help="a saved mapping's name, or its JSON file")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be stored, and store nothing")
    ] = False,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing/--good-rows", help="store nothing if a row is wrong")
    ] = False,
    delimiter: DelimiterOption = "",
    decimal_mark: DecimalMarkOption = "",
    zone: ZoneOption = None,
    encoding: EncodingOption = "",
    tenant: TenantOption = "",
) -> None:
    """Import a file of intervals: every good row in, or all or none; every wrong one named. Twice is once."""
    content = read_whole(str(file))
    shell = open_shell(tenant, with_store=True)
    own = find_mapping(shell, mapping) if mapping else None
    options = written_so(own, delimiter=delimiter, decimal_mark=decimal_mark, zone=zone, encoding=encoding)
    from wattkeeper.actions.collection.request_import import request_import
    from wattkeeper.data.lookups import find_site_id

    site_id = find_site_id(shell.tenant_id, site) if site else None
    if dry_run:
        _try(shell, content, file, site_id, options)
    job_id = request_import(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        content=[content],
        label=file.name,
        site_id=site_id,
        options=options,
        is_whole=all_or_nothing,
    )
    del content  # the job reads what was kept of it
    job = do_job(shell, job_id, file.name)
    errors = [
        (one.get("line", 0), one.get("column", 0), one["code"], one.get("params") or {}) for one in job.errors
    ]
    _print_errors(file, errors)
    print_counts(**job.result)
    if all_or_nothing and job.errors and not job.result.get("rows"):
        raise WattkeeperError("imports.not-whole", count=len(job.errors))
    raise typer.Exit(1 if job.errors else 0)


def find_mapping(shell: Shell, name: str) -> Mapping:
    """Return a saved mapping, or that of a JSON file.

    :raises WattkeeperError: ``mapping.*``, ``shell.file-unreadable``
    """
    if name.endswith(".json"):
        return read_mapping(name)
    from wattkeeper.actions.collection.mappings import get_mapping

    return get_mapping(tenant_id=shell.tenant_id, name=name)


def _try(
    shell: Shell, content: bytes, file: Path, site_id: int | None, options: CsvOptions | Mapping
) -> None:
    """Print what would become of the file, and exit."""
    from wattkeeper.actions.collection.import_file import try_import

    result: ImportResult
    result, blocks = try_import(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        content=content,
        label=file.name,
        site_id=site_id,
        options=options,
    )
    if encoding := encoding_told(content, options.encoding):
        typer.echo(f"encoding: {encoding}", err=True)
    print_rows([about_block(block) for block in blocks], ABOUT, as_json=False)
    _print_errors(file, [(one.line, one.column, one.code, one.params) for one in result.errors])
    print_counts(rows=result.rows_count, meters=result.meters_count, errors=len(result.errors))
    raise typer.Exit(1 if result.errors else 0)


def _print_errors(file: Path, errors: Iterable[tuple[int, int, str, dict[str, Any]]]) -> None:
    for line, column, code, params in errors:
        inside = f"{file.name}!{params['member']}" if "member" in params else file.name
        place = f"{inside}:{line}:{column}" if line else inside
        typer.echo(f"{place}: {sentence(code, params, current_language())} [{code}]", err=True)
