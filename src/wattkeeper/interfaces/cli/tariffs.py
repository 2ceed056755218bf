"""`wattkeeper tariff`: add a version from a file, list."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows

app = typer.Typer(no_args_is_help=True, help="Tariffs by version.")


@app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List tariffs."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.queries import list_tariffs

    print_rows(list_tariffs(tenant_id=shell.tenant_id), ("code", "name"), as_json=as_json)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="a tariff document, JSON")],
    name: str = "",
    tenant: TenantOption = "",
) -> None:
    """Add a tariff, or the next version of one."""
    document = read_document(file)
    shell = open_shell(tenant)
    from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version

    typer.echo(add_tariff_version(actor=shell.actor, now=shell.now, name=name, document=document))


def read_document(file: Path) -> dict[str, Any]:
    """Return a JSON document.

    :raises WattkeeperError: ``shell.file-unreadable``, ``shell.not-json``
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=str(file), reason=error.strerror) from error
    except ValueError as error:
        raise WattkeeperError("shell.not-json", file=str(file), reason=str(error)) from error
    if not isinstance(document, dict):
        raise WattkeeperError("shell.not-json", file=str(file), reason="no object")
    return document
