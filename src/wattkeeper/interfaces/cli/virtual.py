"""`wattkeeper virtual`: virtual meters and their formulas."""

from typing import Annotated

import typer

from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    TenantOption,
    open_shell,
    parse_instant,
    print_one,
    print_rows,
)

app = typer.Typer(no_args_is_help=True, help="Meters whose values a formula makes.")
Code = Annotated[str, typer.Argument(help="the virtual meter's code")]
FormulaText = Annotated[str, typer.Argument(help="such as '[MAIN] - subs([MAIN])'")]
At = Annotated[str, typer.Option("--at", help="since when it holds, with its offset")]
SiteOption = Annotated[str, typer.Option("--site", help="the site's code")]


@app.command("list")
def list_(search: str = "", tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List virtual meters with the formulas in force."""
    shell = open_shell(tenant)
    from wattkeeper.interfaces.reads.virtual import list_virtual

    rows = list_virtual(tenant_id=shell.tenant_id, now=shell.now, search=search)
    print_rows(rows, ("code", "name", "site_code", "formula", "since_at", "interval_s"), as_json=as_json)


@app.command()
def show(code: Code, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List the formulas of a virtual meter, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.lookups import find_usage_point_id
    from wattkeeper.interfaces.reads.virtual import list_formulas

    rows = list_formulas(find_usage_point_id(shell.tenant_id, code))
    print_rows(rows, ("formula", "starts_at", "ends_at", "recorded_at", "made_by"), as_json=as_json)


@app.command()
def add(
    code: Code,
    name: str,
    formula: FormulaText,
    at: At,
    site: SiteOption,
    interval_s: Annotated[int | None, typer.Option(help="else the shortest that all parts fit into")] = None,
    tenant: TenantOption = "",
) -> None:
    """Add a virtual meter and print the id of its usage point."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
    from wattkeeper.data.lookups import find_site_id

    typer.echo(
        add_virtual_meter(
            actor=shell.actor,
            now=shell.now,
            site_id=find_site_id(shell.tenant_id, site),
            code=code,
            name=name,
            formula=formula,
            at=parse_instant(at),
            interval_s=interval_s,
        )
    )


@app.command("formula")
def change_formula(code: Code, formula: FormulaText, at: At, tenant: TenantOption = "") -> None:
    """Say what a virtual meter is made of from an instant on; an empty text: nothing."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.set_formula import set_formula
    from wattkeeper.data.lookups import find_usage_point_id

    set_formula(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        formula=formula,
        at=parse_instant(at),
    )


@app.command("try")
def try_(formula: FormulaText, site: SiteOption, tenant: TenantOption = "") -> None:
    """Print what a formula says of the last seven days; nothing is kept."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.data.lookups import find_site_id
    from wattkeeper.data.registry.queries import get_site
    from wattkeeper.interfaces.reads.virtual import preview_formula

    row = get_site(tenant_id=shell.tenant_id, site_id=find_site_id(shell.tenant_id, site))
    assert row is not None
    assert shell.services.store is not None
    print_one(
        preview_formula(
            shell.services.store,
            tenant_id=shell.tenant_id,
            text=formula,
            zone=row.time_zone,
            now=shell.now,
        )
    )
