"""`wattkeeper tariff`: add a version from a file, list, show, contracts."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import spoken
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_one, print_rows

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


@app.command()
def show(code: Annotated[str, typer.Argument(help="the tariff's code")], tenant: TenantOption = "") -> None:
    """Show a tariff with its versions, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.queries import list_tariffs
    from wattkeeper.data.lookups import find_tariff_id

    tariff_id = find_tariff_id(shell.tenant_id, code)
    print_one(list_tariffs(tenant_id=shell.tenant_id, tariff_id=tariff_id)[0])


@app.command()
def contracts(
    usage_point: Annotated[str, typer.Option(help="a usage point's code; without it, all")] = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List by which tariffs usage points are billed."""
    shell = open_shell(tenant)
    from wattkeeper.data.billing.queries import list_contracts
    from wattkeeper.data.lookups import find_usage_point_id

    ids = [find_usage_point_id(shell.tenant_id, usage_point)] if usage_point else None
    rows = list_contracts(tenant_id=shell.tenant_id, usage_point_ids=ids)
    columns = ("contract_id", "usage_point_id", "tariff_code", "starts_at", "ends_at", "tiers_count_on")
    print_rows(rows, columns, as_json=as_json)


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
        raise WattkeeperError("shell.not-json", file=str(file), reason=spoken("no object"))
    return document
