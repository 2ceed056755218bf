"""`wattkeeper edit`: manual edits by people, their second person, and the versions of a value."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    Quantity,
    TenantOption,
    as_person,
    open_shell,
    parse_instant,
    print_one,
    print_rows,
)

app = typer.Typer(no_args_is_help=True, help="Manual edits: beside what was measured, never over it.")
EditId = Annotated[int, typer.Argument(help="the edit's id, as list shows it")]
UserOption = Annotated[str, typer.Option("--user", help="who does it; else the key's person")]
MILLIWH_PER_KWH = 10**6


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="PENDING, IN_FORCE, REJECTED or WITHDRAWN")] = None,
    limit: int = 50,
    offset: int = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List edits, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import list_edits

    page = list_edits(tenant_id=shell.tenant_id, state=state, offset_index=offset, limit_count=limit)
    columns = (
        "edit_id",
        "usage_point_code",
        "quantity",
        "starts_at",
        "ends_at",
        "state",
        "author",
        "changed_milliwh",
    )
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def show(edit_id: EditId, tenant: TenantOption = "") -> None:
    """Show an edit."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.queries import get_edit

    row = get_edit(tenant_id=shell.tenant_id, edit_id=edit_id)
    if row is None:
        raise WattkeeperError("registry.not-found", kind="edit", id=edit_id)
    print_one(row)


@app.command()
def add(
    usage_point: Annotated[str, typer.Argument(help="the usage point's code")],
    starts_at: Annotated[str, typer.Argument(help="start of the first interval, with its offset")],
    kwh: Annotated[
        list[str], typer.Argument(help="energy of each interval in kWh, of reactive energy in kvarh, exact")
    ],
    reason_code: Annotated[int, typer.Option(help="AEMO's code; 0 needs a reason")],
    reason: str = "",
    quantity: Quantity = "energy_import",
    user: UserOption = "",
    tenant: TenantOption = "",
) -> None:
    """Edit consecutive intervals, and print the edit's id and state."""
    energies = [_milliwh(text) for text in kwh]
    at = parse_instant(starts_at)
    shell = as_person(open_shell(tenant, with_store=True), user)
    from wattkeeper.actions.vee.edit_values import edit_values
    from wattkeeper.data.lookups import find_series_id
    from wattkeeper.data.vee.queries import get_edit

    edit_id = edit_values(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        series_id=find_series_id(shell.tenant_id, usage_point, quantity),
        starts_at=at,
        energy_milliwh=energies,
        reason_code=reason_code,
        reason=reason,
    )
    print_one(get_edit(tenant_id=shell.tenant_id, edit_id=edit_id))


@app.command()
def approve(edit_id: EditId, user: UserOption = "", tenant: TenantOption = "") -> None:
    """Approve somebody else's edit."""
    shell = as_person(open_shell(tenant), user)
    from wattkeeper.actions.vee.decide_edit import approve_edit

    approve_edit(actor=shell.actor, now=shell.now, edit_id=edit_id)


@app.command()
def reject(edit_id: EditId, note: str, user: UserOption = "", tenant: TenantOption = "") -> None:
    """Reject somebody else's edit, and say why."""
    shell = as_person(open_shell(tenant), user)
    from wattkeeper.actions.vee.decide_edit import reject_edit

    reject_edit(actor=shell.actor, now=shell.now, edit_id=edit_id, note=note)


@app.command()
def withdraw(edit_id: EditId, user: UserOption = "", tenant: TenantOption = "") -> None:
    """Take an edit back."""
    shell = as_person(open_shell(tenant), user)
    from wattkeeper.actions.vee.decide_edit import withdraw_edit

    withdraw_edit(actor=shell.actor, now=shell.now, edit_id=edit_id)


@app.command()
def threshold(
    kwh: Annotated[
        str | None, typer.Argument(help="kWh, of reactive energy as many kvarh; without it, print what it is")
    ] = None,
    tenant: TenantOption = "",
) -> None:
    """Show or set from how much changed energy on an edit needs a second person."""
    shell = open_shell(tenant)
    from wattkeeper.actions.vee.decide_edit import set_edit_threshold
    from wattkeeper.data.vee.queries import edit_approval_milliwh

    if kwh is not None:
        set_edit_threshold(actor=shell.actor, now=shell.now, milliwh=_milliwh(kwh))
    own = edit_approval_milliwh(shell.tenant_id)
    typer.echo(f"{(Decimal(own) / MILLIWH_PER_KWH).normalize():f} kWh")


@app.command()
def versions(
    usage_point: Annotated[str, typer.Argument(help="the usage point's code")],
    starts_at: Annotated[str, typer.Argument(help="start of the interval, with its offset")],
    quantity: Quantity = "energy_import",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List every version of an interval's value, newest first."""
    at_s = int(parse_instant(starts_at).timestamp())
    shell = open_shell(tenant, with_store=True)
    from wattkeeper.data.lookups import find_series_id
    from wattkeeper.interfaces.reads.intervals import get_series
    from wattkeeper.interfaces.reads.versions import interval_history

    series_id = find_series_id(shell.tenant_id, usage_point, quantity)
    series = get_series(tenant_id=shell.tenant_id, series_id=series_id)
    assert series is not None
    assert shell.services.store is not None
    history = interval_history(shell.services.store, series=series, starts_at_s=at_s)
    rows = [
        {
            "energy_milliwh": None if version.row.is_missing else version.row.energy_milliwh,
            "interval_s": version.interval_s,
            "quality": version.row.provenance.name,
            "method": version.row.method,
            "run_id": version.row.run_id,
            "known_from": version.known_from,
            "rule_set": version.rule_set,
        }
        for version in history.versions
    ]
    print_rows(rows, tuple(rows[0]) if rows else ("energy_milliwh",), as_json=as_json)


def _milliwh(text: str) -> int:
    """Return whole milliwatt-hours of a decimal number of kilowatt-hours."""
    try:
        exact = Decimal(text) * MILLIWH_PER_KWH
    except InvalidOperation as error:
        raise WattkeeperError("shell.not-energy", text=text) from error
    if not exact.is_finite() or exact != int(exact):
        raise WattkeeperError("shell.not-energy", text=text)
    return int(exact)
