"""`wattkeeper site`: add, edit, copy, retire, list."""

from typing import Annotated

import typer

from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, given, open_shell, print_rows

app = typer.Typer(no_args_is_help=True, help="Places with usage points.")
Code = Annotated[str, typer.Argument(help="the site's code")]


@app.command("list")
def list_(search: str = "", tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List sites."""
    shell = open_shell(tenant)
    from wattkeeper.data.registry.queries import list_sites

    rows = list_sites(tenant_id=shell.tenant_id, search=search)
    columns = ("code", "name", "kind", "time_zone", "meters_count", "meters_answering_count")
    print_rows(rows, columns, as_json=as_json)


@app.command()
def add(
    code: Code,
    name: str,
    kind: Annotated[str, typer.Option(help="RESIDENTIAL, INDUSTRIAL or COMMERCIAL")] = "COMMERCIAL",
    time_zone: Annotated[str, typer.Option(help="an IANA zone")] = "UTC",
    address: str = "",
    tenant: TenantOption = "",
) -> None:
    """Add a site."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.add_site import add_site

    fields = given(code=code, name=name, kind=kind, time_zone=time_zone, address=address)
    typer.echo(add_site(actor=shell.actor, now=shell.now, **fields))


@app.command()
def edit(
    code: Code,
    new_code: str | None = None,
    name: str | None = None,
    kind: str | None = None,
    time_zone: str | None = None,
    address: str | None = None,
    tenant: TenantOption = "",
) -> None:
    """Change fields of a site."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.edit_site import edit_site
    from wattkeeper.data.lookups import find_site_id

    fields = given(code=new_code, name=name, kind=kind, time_zone=time_zone, address=address)
    edit_site(actor=shell.actor, now=shell.now, site_id=find_site_id(shell.tenant_id, code), **fields)


@app.command()
def copy(code: Code, new_code: str, new_name: str, tenant: TenantOption = "") -> None:
    """Copy a site without its usage points."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.copy_site import copy_site
    from wattkeeper.data.lookups import find_site_id

    site_id = find_site_id(shell.tenant_id, code)
    typer.echo(copy_site(actor=shell.actor, now=shell.now, site_id=site_id, code=new_code, name=new_name))


@app.command()
def retire(code: Code, tenant: TenantOption = "") -> None:
    """Retire a site."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.retire_site import retire_site
    from wattkeeper.data.lookups import find_site_id

    retire_site(actor=shell.actor, now=shell.now, site_id=find_site_id(shell.tenant_id, code))
