"""`wattkeeper meter`: add, edit, copy, retire, delete; install, remove, exchange; reads; list and show."""

import re
from typing import Annotated, Any

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    Quantity,
    Shell,
    TenantOption,
    as_person,
    given,
    open_shell,
    open_shell_with_store_if_any,
    parse_instant,
    parse_pairs,
    print_one,
    print_rows,
    read_secret,
)

app = typer.Typer(no_args_is_help=True, help="Meters.")
Serial = Annotated[str, typer.Argument(help="the meter's serial number")]
At = Annotated[str, typer.Option(help="when, such as 2026-11-01T10:07:00+08:00")]
UserOption = Annotated[str, typer.Option("--user", help="who does it; else the key's person")]
WithdrawalId = Annotated[int, typer.Argument(help="the withdrawal's id, as noted-reads shows it")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="NAME=@FILE with the key's digits, or NAME=HEX; sealed at once, never shown"),
]
Settings = Annotated[list[str] | None, typer.Option("--setting", help="NAME=VALUE of the driver")]


@app.command("list")
def list_(
    search: str = "",
    state: str | None = None,
    family: str | None = None,
    sort: str = "serial_number",
    limit: int = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List meters."""
    shell = open_shell(tenant)
    from wattkeeper.data.registry.meters import MeterFilter, list_meters

    page = list_meters(
        tenant_id=shell.tenant_id,
        now=shell.now,
        only=MeterFilter(search=search, state=state, family=family),
        sort=sort,
        limit_count=limit,
    )
    columns = ("serial_number", "family", "state", "site_code", "usage_point_code", "is_answering")
    print_rows(page.items, columns, as_json=as_json)


@app.command()
def show(serial_number: Serial, tenant: TenantOption = "") -> None:
    """Show everything known of a meter."""
    shell = open_shell(tenant)
    from wattkeeper.data.registry.meters import get_meter

    meter_id = _id_of(shell, serial_number)
    print_one(get_meter(tenant_id=shell.tenant_id, meter_id=meter_id, now=shell.now))


@app.command()
def add(
    serial_number: Serial,
    site: Annotated[str, typer.Option(help="the site's code")],
    family: Annotated[str, typer.Option(help="the driver; none for meters read by files")] = "",
    link: Annotated[str | None, typer.Option(help="the link's name")] = None,
    address: str = "",
    make_model: str = "",
    interval_s: int = 900,
    memory_days: int = 62,
    relay: bool = False,
    setting: Settings = None,
    key: Keys = None,
    tenant: TenantOption = "",
) -> None:
    """Add a meter to the stock of a site."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.add_meter import add_meter
    from wattkeeper.data.lookups import find_link_id, find_site_id

    meter_id = add_meter(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        site_id=find_site_id(shell.tenant_id, site),
        serial_number=serial_number,
        family=family,
        link_id=None if link is None else find_link_id(shell.tenant_id, link),
        address=address,
        make_model=make_model,
        interval_s=interval_s,
        memory_days=memory_days,
        has_relay=relay,
        settings=_settings(setting),
        keys=_secrets(key),
    )
    typer.echo(meter_id)


@app.command()
def edit(
    serial_number: Serial,
    new_serial_number: str | None = None,
    family: str | None = None,
    link: str | None = None,
    address: str | None = None,
    make_model: str | None = None,
    interval_s: int | None = None,
    memory_days: int | None = None,
    relay: bool | None = None,
    setting: Settings = None,
    key: Keys = None,
    tenant: TenantOption = "",
) -> None:
    """Change fields of a meter; replace keys."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.edit_meter import edit_meter
    from wattkeeper.data.lookups import find_link_id

    fields = given(
        serial_number=new_serial_number,
        family=family,
        link_id=None if link is None else find_link_id(shell.tenant_id, link),
        address=address,
        make_model=make_model,
        interval_s=interval_s,
        memory_days=memory_days,
        has_relay=relay,
        settings=None if setting is None else _settings(setting),
    )
    edit_meter(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        keys=_secrets(key),
        **fields,
    )


@app.command()
def copy(serial_number: Serial, new_serial_number: str, address: str, tenant: TenantOption = "") -> None:
    """Copy a meter without its keys and installations."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.copy_meter import copy_meter

    copy_id = copy_meter(
        actor=shell.actor,
        now=shell.now,
        meter_id=_id_of(shell, serial_number),
        serial_number=new_serial_number,
        address=address,
    )
    typer.echo(copy_id)


@app.command()
def retire(serial_number: Serial, at: At, tenant: TenantOption = "") -> None:
    """Retire a meter; its readings stay."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.retire_meter import retire_meter

    meter_id = _id_of(shell, serial_number)
    retire_meter(actor=shell.actor, now=shell.now, meter_id=meter_id, at=parse_instant(at))


@app.command()
def delete(serial_number: Serial, tenant: TenantOption = "") -> None:
    """Delete a meter that was never read."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.delete_meter import delete_meter

    delete_meter(actor=shell.actor, now=shell.now, meter_id=_id_of(shell, serial_number))


@app.command()
def install(
    serial_number: Serial,
    usage_point: str,
    at: At,
    initial_read: str | None = None,
    tenant: TenantOption = "",
) -> None:
    """Install a meter at a usage point."""
    shell = open_shell_with_store_if_any(tenant)
    from wattkeeper.actions.registry.install_meter import install_meter
    from wattkeeper.data.lookups import find_usage_point_id

    install_meter(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        usage_point_id=find_usage_point_id(shell.tenant_id, usage_point),
        at=parse_instant(at),
        initial_read=initial_read,
    )


@app.command()
def remove(serial_number: Serial, at: At, final_read: str | None = None, tenant: TenantOption = "") -> None:
    """Remove a meter from its usage point."""
    shell = open_shell_with_store_if_any(tenant)
    from wattkeeper.actions.registry.remove_meter import remove_meter

    remove_meter(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        at=parse_instant(at),
        final_read=final_read,
    )


@app.command()
def exchange(
    serial_number: Serial,
    new_serial_number: str,
    at: At,
    final_read: Annotated[str, typer.Option(help="what the old meter's display showed")],
    initial_read: Annotated[str, typer.Option(help="what the new meter's display showed")],
    tenant: TenantOption = "",
) -> None:
    """Exchange a meter for another."""
    shell = open_shell_with_store_if_any(tenant)
    from wattkeeper.actions.registry.exchange_meter import exchange_meter

    exchange_meter(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        new_meter_id=_id_of(shell, new_serial_number),
        at=parse_instant(at),
        final_read=final_read,
        initial_read=initial_read,
    )


@app.command()
def note_read(
    serial_number: Serial,
    read: Annotated[str, typer.Argument(help="what the display showed")],
    at: At,
    quantity: Quantity = "energy_import",
    set_to: Annotated[str | None, typer.Option(help="what somebody set the register to then")] = None,
    reason: str = "",
    tenant: TenantOption = "",
) -> None:
    """Note what a register showed; noted again for the same instant, it corrects."""
    shell = open_shell_with_store_if_any(tenant)
    from wattkeeper.actions.registry import note_read as verb

    verb.note_read(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        at=parse_instant(at),
        read=read,
        quantity=quantity,
        set_to=set_to,
        reason=reason,
    )


@app.command()
def noted_reads(
    serial_number: Serial, limit: int = 50, tenant: TenantOption = "", as_json: JsonOption = False
) -> None:
    """List what was noted of a meter's registers, and what was withdrawn."""
    shell = open_shell(tenant)
    from wattkeeper.data.vee.noted_reads import list_noted

    rows = list_noted(tenant_id=shell.tenant_id, meter_id=_id_of(shell, serial_number), limit_count=limit)
    columns = ("measured_at", "quantity", "read", "set_to", "is_withdrawn", "withdrawal_id", "state")
    print_rows(rows, columns, as_json=as_json)


@app.command()
def withdraw_read(
    serial_number: Serial,
    at: At,
    reason: Annotated[str, typer.Option(help="why it counts no more")],
    quantity: Quantity = "energy_import",
    user: UserOption = "",
    tenant: TenantOption = "",
) -> None:
    """Withdraw a noted reading: all is as if it had never been noted. Print the withdrawal's id."""
    shell = as_person(open_shell(tenant, with_store=True), user)
    from wattkeeper.actions.vee import withdraw_read as verb

    withdrawal_id = verb.withdraw_read(
        actor=shell.actor,
        now=shell.now,
        services=shell.services,
        meter_id=_id_of(shell, serial_number),
        at=parse_instant(at),
        quantity=quantity,
        reason=reason,
    )
    typer.echo(withdrawal_id)


@app.command()
def approve_withdrawal(withdrawal_id: WithdrawalId, user: UserOption = "", tenant: TenantOption = "") -> None:
    """Approve somebody else's withdrawal of a noted reading."""
    shell = as_person(open_shell_with_store_if_any(tenant), user)
    from wattkeeper.actions.vee import decide_withdrawal as verb

    verb.approve_withdrawal(
        actor=shell.actor, now=shell.now, services=shell.services, withdrawal_id=withdrawal_id
    )


@app.command()
def reject_withdrawal(
    withdrawal_id: WithdrawalId, note: str, user: UserOption = "", tenant: TenantOption = ""
) -> None:
    """Reject somebody else's withdrawal of a noted reading, and say why."""
    shell = as_person(open_shell(tenant), user)
    from wattkeeper.actions.vee import decide_withdrawal as verb

    verb.reject_withdrawal(actor=shell.actor, now=shell.now, withdrawal_id=withdrawal_id, note=note)


def _id_of(shell: Shell, serial_number: str) -> int:
    from wattkeeper.data.lookups import find_meter_id

    return find_meter_id(shell.tenant_id, serial_number)


def _settings(texts: list[str] | None) -> dict[str, Any]:
    """Return settings; whole numbers of up to nine digits as numbers, all else as text."""
    return {
        name: int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,8}", text) else text
        for name, text in parse_pairs(texts or []).items()
    }


def _secrets(texts: list[str] | None) -> dict[str, bytes] | None:
    """Return keys by name; from files, since others of the machine see what stands in a command.

    :raises WattkeeperError: ``shell.not-a-pair``, which repeats none of it; ``shell.file-unreadable``
    """
    if texts is None:
        return None
    try:
        pairs = parse_pairs(texts)
    except WattkeeperError as error:
        raise WattkeeperError("shell.not-a-pair", text="--key") from error
    digits = {name: read_secret(text[1:]) if text.startswith("@") else text for name, text in pairs.items()}
    try:
        return {name: bytes.fromhex(text) for name, text in digits.items()}
    except ValueError as error:
        raise WattkeeperError("shell.not-a-pair", text="--key") from error
