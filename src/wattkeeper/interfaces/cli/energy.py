"""`wattkeeper energy`: energy of a node and of its parts; `wattkeeper group`: areas, feeders, customers."""

from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import (
    AsOfOption,
    JsonOption,
    TenantOption,
    asked_instant,
    given,
    open_shell,
    parse_date,
    parse_instant,
    print_rows,
)

group_app = typer.Typer(no_args_is_help=True, help="Areas, feeders and customers that energy is added up by.")
KindArgument = Annotated[str, typer.Argument(help="AREA, FEEDER or CUSTOMER")]
COLUMNS = (
    "key",
    "code",
    "name",
    "energy_milliwh",
    "due_count",
    "known_count",
    "estimated_count",
    "missing_count",
)


def energy(
    first: Annotated[str, typer.Argument(help="the first local date")],
    last: Annotated[str, typer.Argument(help="the last local date")],
    by: Annotated[str, typer.Option(help="site, area, feeder or customer")] = "site",
    node: Annotated[str, typer.Option(help="tenant, site-3, group-5, point-7 or rest")] = "tenant",
    per: Annotated[str, typer.Option(help="hour, day or month; months are whole")] = "day",
    kind: Annotated[list[str] | None, typer.Option(help="of usage points; CUSTOMER unless said")] = None,
    periods: Annotated[bool, typer.Option("--periods", help="by period instead of by part")] = False,
    as_of: AsOfOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add up the energy of a node and of its direct parts."""
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.data.virtual.nodes import node_of_key
    from wattkeeper.interfaces.reads.aggregation import CUSTOMERS, Question, add_up, day_after
    from wattkeeper.interfaces.reads.node_rows import is_of_tenant, part_rows, period_rows

    number = node_of_key(node)
    if not is_of_tenant(shell.tenant_id, number):
        raise WattkeeperError("registry.not-found", kind="node", id=node)
    end = day_after(parse_date(last))
    question = Question(by, number, per, parse_date(first), end, tuple(kind or CUSTOMERS))
    assert shell.services.store is not None
    sums = add_up(
        shell.services.store,
        tenant_id=shell.tenant_id,
        question=question,
        now=shell.now,
        as_of=asked_instant(as_of),
    )
    rows = period_rows(sums) if periods else part_rows(shell.tenant_id, sums)
    print_rows(rows, ("period", *COLUMNS[3:]) if periods else COLUMNS, as_json=as_json)


@group_app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List areas, feeders and customers."""
    shell = open_shell(tenant)
    from wattkeeper.data.virtual.models import Node

    known = Node.objects.filter(tenant_id=shell.tenant_id).order_by("kind", "code")
    rows = [{"id": row.id, "kind": row.kind, "code": row.code, "name": row.name} for row in known]
    print_rows(rows, ("id", "kind", "code", "name"), as_json=as_json)


@group_app.command()
def add(kind: KindArgument, code: str, name: str, tenant: TenantOption = "") -> None:
    """Add a group and print its id."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.nodes import add_node

    typer.echo(add_node(actor=shell.actor, now=shell.now, kind=kind.upper(), code=code, name=name))


@group_app.command()
def edit(
    kind: KindArgument,
    code: str,
    new_code: str | None = None,
    name: str | None = None,
    tenant: TenantOption = "",
) -> None:
    """Change the code or name of a group."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.nodes import edit_node

    node_id = _group_id(shell.tenant_id, kind, code)
    edit_node(actor=shell.actor, now=shell.now, node_id=node_id, **given(code=new_code, name=name))


@group_app.command()
def belong(
    belonging: Annotated[str, typer.Argument(help="area, site, feeder-point or customer-point")],
    part: Annotated[str, typer.Argument(help="the code of what belongs to the group")],
    at: Annotated[str, typer.Option("--at", help="since when, with its offset")],
    group: Annotated[str, typer.Option("--group", help="the group's code; none: it leaves")] = "",
    tenant: TenantOption = "",
) -> None:
    """Say which area, feeder or customer something belongs to from an instant on."""
    shell = open_shell(tenant)
    from wattkeeper.actions.virtual.nodes import BELONGINGS, set_belonging
    from wattkeeper.data.lookups import find_site_id, find_usage_point_id

    if belonging not in BELONGINGS:
        raise WattkeeperError("registry.not-found", kind="belonging", id=belonging)
    whole_kind = BELONGINGS[belonging].whole_kind
    if belonging == "site":
        part_id = find_site_id(shell.tenant_id, part)
    elif belonging == "area":
        part_id = _group_id(shell.tenant_id, whole_kind, part)
    else:
        part_id = find_usage_point_id(shell.tenant_id, part)
    set_belonging(
        actor=shell.actor,
        now=shell.now,
        belonging=belonging,
        part_id=part_id,
        whole_id=_group_id(shell.tenant_id, whole_kind, group) if group else None,
        at=parse_instant(at),
    )


def _group_id(tenant_id: int, kind: str, code: str) -> int:
    from wattkeeper.data.virtual.models import Node

    row = Node.objects.filter(tenant_id=tenant_id, kind=kind.upper(), code=code).first()
    if row is None:
        raise WattkeeperError("registry.not-found", kind="group", id=code)
    return row.id
