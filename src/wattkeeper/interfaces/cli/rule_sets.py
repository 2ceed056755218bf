"""`wattkeeper rule-set`: rule sets, groups of series, and which group is judged by what from which day on."""

from pathlib import Path
from typing import Annotated

import typer

from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    Shell,
    TenantOption,
    open_shell,
    parse_date,
    print_one,
    print_rows,
)
from wattkeeper.interfaces.cli.tariffs import read_document

app = typer.Typer(no_args_is_help=True, help="How values are judged: rule sets with effective dates.")
EVERYONE, NOBODY = "*", "none"
Code = Annotated[str, typer.Argument(help="the rule set's code")]
GroupOption = Annotated[str, typer.Option("--group", help="a group's code; * is every series")]


@app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List rule sets, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import list_rule_sets

    rows = list_rule_sets(tenant_id=shell.tenant_id)
    print_rows(rows, ("code", "assignments_count", "recorded_at", "made_by"), as_json=as_json)


@app.command()
def show(code: Code, tenant: TenantOption = "") -> None:
    """Show a rule set: only where it differs from the rules' own defaults."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import list_rule_sets

    rule_set_id = _rule_set_id(shell, code)
    print_one(list_rule_sets(tenant_id=shell.tenant_id, rule_set_id=rule_set_id)[0])


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="a rule set, JSON with code, rules and estimation")],
    tenant: TenantOption = "",
) -> None:
    """Add a rule set; it never changes afterwards."""
    document = read_document(file)
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.add_rule_set import add_rule_set

    typer.echo(add_rule_set(actor=shell.actor, now=shell.now, document=document))


@app.command()
def assignments(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List which group is judged by what from which local day on."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import list_assignments

    columns = ("assignment_id", "group_code", "starts_date", "rule_set_code", "recorded_at", "made_by")
    print_rows(list_assignments(tenant_id=shell.tenant_id), columns, as_json=as_json)


@app.command()
def assign(
    code: Annotated[str, typer.Argument(help="a rule set's code; none: of its own no more")],
    starts: Annotated[str, typer.Argument(help="the first local day, YYYY-MM-DD")],
    group: GroupOption = EVERYONE,
    tenant: TenantOption = "",
) -> None:
    """Judge a group by a rule set from a local day on, until its next assignment."""
    starts_date = parse_date(starts)
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.assign_rule_set import assign_rule_set

    typer.echo(
        assign_rule_set(
            actor=shell.actor,
            now=shell.now,
            starts_date=starts_date,
            group_code=group,
            rule_set_id=None if code == NOBODY else _rule_set_id(shell, code),
        )
    )


@app.command()
def withdraw(assignment_id: int, tenant: TenantOption = "") -> None:
    """Take an assignment back, and print how many series are judged otherwise."""
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.assign_rule_set import withdraw_assignment

    typer.echo(withdraw_assignment(actor=shell.actor, now=shell.now, assignment_id=assignment_id))


@app.command()
def groups(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List groups of series."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import list_groups

    rows = list_groups(tenant_id=shell.tenant_id)
    print_rows(rows, ("code", "name", "members_count"), as_json=as_json)


@app.command("add-group")
def add_group_(code: str, name: str = "", tenant: TenantOption = "") -> None:
    """Add an empty group."""
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.groups import add_group

    typer.echo(add_group(actor=shell.actor, now=shell.now, code=code, name=name))


@app.command()
def put(
    group: Annotated[str, typer.Argument(help="the group's code; none: out of any")],
    usage_points: Annotated[list[str], typer.Argument(help="codes of usage points")],
    tenant: TenantOption = "",
) -> None:
    """Put all series of usage points into a group, and print how many are judged otherwise."""
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.groups import put_in_group
    from wattkeeper.data.lookups import find_series_group_id, find_series_ids

    series_ids = [own for code in usage_points for own in find_series_ids(shell.tenant_id, code)]
    group_id = None if group == NOBODY else find_series_group_id(shell.tenant_id, group)
    typer.echo(put_in_group(actor=shell.actor, now=shell.now, series_ids=series_ids, group_id=group_id))


def _rule_set_id(shell: Shell, code: str) -> int:
    from wattkeeper.data.lookups import find_rule_set_id

    return find_rule_set_id(shell.tenant_id, code)
