"""`wattkeeper mapping`: guess, save, show, list and remove how the columns of a file say intervals."""

from pathlib import Path
from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.mapping_detect import Detection
from wattkeeper.formats.table_head import detect_content
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows
from wattkeeper.interfaces.cli.tools.convert import read_mapping

app = typer.Typer(no_args_is_help=True, help="Mappings: how the columns of a file say intervals.")
Name = Annotated[str, typer.Argument(help="the mapping's name")]


@app.command()
def guess(
    file: Annotated[Path, typer.Argument(help="a CSV file or workbook")],
    output: Annotated[str, typer.Option("--output", "-o", help="where to write the mapping's JSON")] = "",
) -> None:
    """Show the first rows, a guess at their mapping, and what of it must be confirmed by a person."""
    detection = _detect(file)
    for cells in detection.preview:
        typer.echo(" | ".join(cells), err=True)
    typer.echo(f"? {', '.join(detection.questions) or '-'}", err=True)
    text = detection.mapping.to_json()
    if output:
        Path(output).write_text(text + "\n", "utf-8")
    else:
        typer.echo(text)


@app.command()
def save(
    name: Name,
    file: Annotated[str, typer.Argument(help="the mapping's JSON file")],
    tenant: TenantOption = "",
) -> None:
    """Keep a mapping under a name, in place of one that had it."""
    mapping = read_mapping(file)
    shell = open_shell(tenant)
    from wattkeeper.actions.collection.mappings import save_mapping

    save_mapping(actor=shell.actor, now=shell.now, name=name, mapping=mapping)


@app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List the saved mappings."""
    shell = open_shell(tenant)
    from wattkeeper.actions.collection.mappings import list_mappings

    print_rows(list_mappings(tenant_id=shell.tenant_id), ("name", "changed_at"), as_json=as_json)


@app.command()
def show(name: Name, tenant: TenantOption = "") -> None:
    """Print the JSON of a saved mapping."""
    shell = open_shell(tenant)
    from wattkeeper.actions.collection.mappings import get_mapping

    typer.echo(get_mapping(tenant_id=shell.tenant_id, name=name).to_json())


@app.command()
def remove(name: Name, tenant: TenantOption = "") -> None:
    """Remove a saved mapping."""
    shell = open_shell(tenant)
    from wattkeeper.actions.collection.mappings import remove_mapping

    remove_mapping(actor=shell.actor, now=shell.now, name=name)


def _detect(file: Path) -> Detection:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=str(file), reason=error.strerror) from error
    return detect_content(content)
