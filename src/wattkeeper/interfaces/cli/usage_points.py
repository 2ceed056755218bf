"""`wattkeeper usage-point`: add, edit, copy, retire, list; multiplier and tariff by date."""

from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    TenantOption,
    given,
    open_shell,
    parse_instant,
    print_rows,
)

app = typer.Typer(no_args_is_help=True, help="Where energy is delivered and metered.")
Code = Annotated[str, typer.Argument(help="the usage point's code")]
At = Annotated[str, typer.Option(help="since when, such as 2026-11-01T10:07:00+08:00")]


@app.command("list")
def list_(search: str = "", limit: int = 100, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List usage points."""
    shell = open_shell(tenant)
    from wattkeeper.data.registry.queries import list_usage_points

    page = list_usage_points(tenant_id=shell.tenant_id, now=shell.now, search=search, limit_count=limit)
    columns = ("code", "name", "kind", "site_code", "customer_name", "meter_serial_number")
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def add(
    code: Code,
    name: str,
    site: Annotated[str, typer.Option(help="the site's code")],
    kind: Annotated[str, typer.Option(help="CUSTOMER, MAIN or SUB")] = "CUSTOMER",
    customer_name: str = "",
    power_max_w: int = 20_000,
    protected: bool = False,
    tenant: TenantOption = "",
) -> None:
    """Add a usage point."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.add_usage_point import add_usage_point
    from wattkeeper.data.lookups import find_site_id

    usage_point_id = add_usage_point(
        actor=shell.actor,
        now=shell.now,
        site_id=find_site_id(shell.tenant_id, site),
        code=code,
        name=name,
        kind=kind,
        customer_name=customer_name,
        power_max_w=power_max_w,
        is_protected=protected,
    )
    typer.echo(usage_point_id)


@app.command()
def edit(
    code: Code,
    new_code: str | None = None,
    name: str | None = None,
    kind: str | None = None,
    customer_name: str | None = None,
    power_max_w: int | None = None,
    protected: bool | None = None,
    tenant: TenantOption = "",
) -> None:
    """Change fields of a usage point."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
    from wattkeeper.data.lookups import find_usage_point_id

    fields = given(
        code=new_code,
        name=name,
        kind=kind,
        customer_name=customer_name,
        power_max_w=power_max_w,
        is_protected=protected,
    )
    usage_point_id = find_usage_point_id(shell.tenant_id, code)
    edit_usage_point(actor=shell.actor, now=shell.now, usage_point_id=usage_point_id, **fields)


@app.command()
def copy(code: Code, new_code: str, new_name: str, tenant: TenantOption = "") -> None:
    """Copy a usage point without its customer and meter."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.copy_usage_point import copy_usage_point
    from wattkeeper.data.lookups import find_usage_point_id

    usage_point_id = find_usage_point_id(shell.tenant_id, code)
    copy_id = copy_usage_point(
        actor=shell.actor, now=shell.now, usage_point_id=usage_point_id, code=new_code, name=new_name
    )
    typer.echo(copy_id)


@app.command()
def retire(code: Code, tenant: TenantOption = "") -> None:
    """Retire a usage point."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.retire_usage_point import retire_usage_point
    from wattkeeper.data.lookups import find_usage_point_id

    usage_point_id = find_usage_point_id(shell.tenant_id, code)
    retire_usage_point(actor=shell.actor, now=shell.now, usage_point_id=usage_point_id)


@app.command("erase-customer")
def erase_customer_(
    code: Code,
    yes: Annotated[bool, typer.Option("--yes", help="it cannot be brought back")] = False,
    tenant: TenantOption = "",
) -> None:
    """Erase the customer's name and contacts and what was said of findings; readings and bills stay."""
    if not yes:
        raise WattkeeperError("shell.not-sure")
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.erase_customer import erase_customer
    from wattkeeper.data.lookups import find_usage_point_id

    usage_point_id = find_usage_point_id(shell.tenant_id, code)
    erase_customer(actor=shell.actor, now=shell.now, usage_point_id=usage_point_id)


@app.command()
def multiplier(
    code: Code, numerator: int, at: At, denominator: int = 1, reason: str = "", tenant: TenantOption = ""
) -> None:
    """Change the multiplier (CT x PT) from an instant on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.change_multiplier import change_multiplier
    from wattkeeper.data.lookups import find_usage_point_id

    change_multiplier(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        at=parse_instant(at),
        numerator=numerator,
        denominator=denominator,
        reason=reason,
    )


@app.command()
def feed(
    code: Code,
    at: At,
    parent: Annotated[str, typer.Argument(help="the other one's code; none: nobody knows")] = "",
    tenant: TenantOption = "",
) -> None:
    """Say through which other usage point this one is fed from an instant on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.set_topology import set_topology
    from wattkeeper.data.lookups import find_usage_point_id

    set_topology(
        actor=shell.actor,
        now=shell.now,
        child_id=find_usage_point_id(shell.tenant_id, code),
        parent_id=find_usage_point_id(shell.tenant_id, parent) if parent else None,
        at=parse_instant(at),
    )


@app.command("end-contract")
def end_contract_(code: Code, at: At, tenant: TenantOption = "") -> None:
    """End this usage point's contract at an instant: from then on nobody is billed."""
    shell = open_shell(tenant)
    from wattkeeper.actions.tariffs.end_contract import end_contract
    from wattkeeper.data.lookups import find_usage_point_id

    end_contract(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        at=parse_instant(at),
    )


@app.command("reopen-contract")
def reopen_contract_(
    code: Code,
    until: Annotated[str, typer.Option(help="another end; none: it goes on until another begins")] = "",
    tenant: TenantOption = "",
) -> None:
    """Let this usage point's contract that ended go on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.tariffs.reopen_contract import reopen_contract
    from wattkeeper.data.lookups import find_usage_point_id

    reopen_contract(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        until=parse_instant(until) if until else None,
    )


@app.command("withdraw-contract")
def withdraw_contract_(
    code: Code,
    contract_id: Annotated[int, typer.Argument(help="its id, as `tariff contracts` lists it")],
    before_goes_on: Annotated[
        bool, typer.Option("--before-goes-on", help="the contract before it holds in its place")
    ] = False,
    tenant: TenantOption = "",
) -> None:
    """Take away a contract of this usage point that nothing was billed under."""
    shell = open_shell(tenant)
    from wattkeeper.actions.tariffs.withdraw_contract import withdraw_contract
    from wattkeeper.data.lookups import find_usage_point_id

    withdraw_contract(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        contract_id=contract_id,
        before_goes_on=before_goes_on,
    )


@app.command()
def contract(
    code: Code,
    tariff: str,
    at: At,
    same_customer: Annotated[
        bool, typer.Option("--same-customer", help="as of the contract until then: tiers count on")
    ] = False,
    tenant: TenantOption = "",
) -> None:
    """Bill this usage point by a tariff from an instant on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.tariffs.set_contract import set_contract
    from wattkeeper.data.lookups import find_tariff_id, find_usage_point_id

    set_contract(
        actor=shell.actor,
        now=shell.now,
        usage_point_id=find_usage_point_id(shell.tenant_id, code),
        tariff_id=find_tariff_id(shell.tenant_id, tariff),
        at=parse_instant(at),
        is_same_customer=same_customer,
    )
