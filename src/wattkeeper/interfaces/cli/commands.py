"""`wattkeeper command`: disconnect, reconnect, show, list, stop, policy. A person asks for each command."""

import time as clock
from datetime import time
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from wattkeeper.core.commands.states import IS_FINAL, Kind, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    Shell,
    TenantOption,
    as_person,
    open_shell,
    print_one,
    print_rows,
)
from wattkeeper.interfaces.messages import sentence

if TYPE_CHECKING:
    from wattkeeper.data.commands.models import Command

app = typer.Typer(no_args_is_help=True, help="Supplies switched off and armed for switching on.")
LOOK_PERIOD_S = 0.5
Serial = Annotated[str, typer.Argument(help="the meter's serial number")]
Reason = Annotated[str, typer.Option(help="why")]
Person = Annotated[
    str,
    typer.Option(
        "--user", help="who asks; without it WATTKEEPER_API_KEY says who. The password is asked for"
    ),
]
Key = Annotated[str, typer.Option(help="the same key is the same command; made up where none is given")]
Wait = Annotated[int, typer.Option("--wait-s", help="follow it for so many seconds")]


@app.command()
def disconnect(
    serial_number: Serial,
    reason: Reason,
    user: Person = "",
    key: Key = "",
    wait_s: Wait = 0,
    tenant: TenantOption = "",
) -> None:
    """Switch a supply off."""
    _request(Kind.DISCONNECT, serial_number, reason, user, key, wait_s, tenant)


@app.command()
def reconnect(
    serial_number: Serial,
    reason: Reason,
    user: Person = "",
    key: Key = "",
    wait_s: Wait = 0,
    tenant: TenantOption = "",
) -> None:
    """Arm a switch; somebody closes it with the button at the meter."""
    _request(Kind.RECONNECT, serial_number, reason, user, key, wait_s, tenant)


@app.command()
def show(command_id: int, wait_s: Wait = 0, tenant: TenantOption = "") -> None:
    """Show a command with its steps; exit 0 unless it was refused, failed or came too late."""
    _follow(open_shell(tenant), command_id, wait_s)


@app.command("list")
def list_(
    state: str | None = None, search: str = "", tenant: TenantOption = "", as_json: JsonOption = False
) -> None:
    """List commands, newest first."""
    shell = open_shell(tenant)
    from wattkeeper.data.commands.queries import list_commands

    rows = [_plain(row) for row in list_commands(tenant_id=shell.tenant_id, search=search, state=state)[:500]]
    columns = ("command_id", "kind", "serial_number", "state", "reason", "requested_by", "requested_at")
    print_rows(rows, columns, as_json=as_json)


@app.command()
def stop(tenant: TenantOption = "") -> None:
    """Stop every disconnect at once."""
    _set_kill_switch(tenant, is_on=True)


@app.command("let-go")
def let_go(tenant: TenantOption = "") -> None:
    """Let disconnects go again."""
    _set_kill_switch(tenant, is_on=False)


@app.command()
def policy(
    opens: Annotated[str, typer.Option(help="HH:MM, local time of the site")] = "",
    closes: Annotated[str, typer.Option(help="HH:MM, before which they leave")] = "",
    any_day: Annotated[bool, typer.Option("--any-day", help="on weekends too")] = False,
    tenant: TenantOption = "",
) -> None:
    """Show when disconnects may leave, or set it."""
    shell = open_shell(tenant)
    from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
    from wattkeeper.data.commands.queries import get_cut_calendar, is_stopped

    if opens or closes:
        hours = {"opens": _parse_hour(opens), "closes": _parse_hour(closes)}
        set_cut_policy(actor=shell.actor, now=shell.now, is_any_day=any_day, **hours)
    calendar = get_cut_calendar(tenant_id=shell.tenant_id)
    print_one(
        {
            "opens": str(calendar.opens),
            "closes": str(calendar.closes),
            "is_any_day": calendar.is_any_day,
            "is_stopped": is_stopped(tenant_id=shell.tenant_id),
        }
    )


def _request(
    kind: Kind, serial_number: str, reason: str, user: str, key: str, wait_s: int, tenant: str
) -> None:
    shell = as_person(open_shell(tenant), user)
    from wattkeeper.actions.commands.request_command import request_command
    from wattkeeper.data.lookups import find_meter_id

    command_id = request_command(
        actor=shell.actor,
        now=shell.now,
        meter_id=find_meter_id(shell.tenant_id, serial_number),
        kind=kind.value,
        reason=reason,
        idempotency_key=f"cli-{shell.actor.user_id}-{key or uuid4().hex}"[:80],
    )
    _follow(shell, command_id, wait_s)


def _follow(shell: Shell, command_id: int, wait_s: int) -> None:
    from wattkeeper.data.commands.queries import get_command

    until_s = clock.monotonic() + wait_s
    while True:
        row = get_command(tenant_id=shell.tenant_id, command_id=command_id)
        if row is None:
            raise WattkeeperError("registry.not-found", kind="command", id=command_id)
        state = State(row.state)
        if state in IS_FINAL or clock.monotonic() >= until_s:
            break
        clock.sleep(LOOK_PERIOD_S)
    steps = list(row.steps.order_by("id").values("at", "from_state", "to_state", "detail"))
    print_one({**_plain(row), "steps": steps})
    if row.refusal_code:
        text = sentence(row.refusal_code, steps[-1]["detail"] if steps else {}, current_language())
        typer.echo(f"{text} [{row.refusal_code}]", err=True)
    is_lost = (state in IS_FINAL and state is not State.VERIFIED) or state is State.QUARANTINED
    raise typer.Exit(1 if is_lost else 0)


def _set_kill_switch(tenant: str, *, is_on: bool) -> None:
    shell = open_shell(tenant)
    from wattkeeper.actions.commands.set_kill_switch import set_kill_switch

    set_kill_switch(actor=shell.actor, now=shell.now, is_on=is_on)


def _plain(row: "Command") -> dict[str, object]:
    relay_code = row.relay_state_code
    return {
        "command_id": row.id,
        "kind": row.kind,
        "serial_number": row.meter.serial_number,
        "state": row.state,
        "reason": row.reason,
        "refusal_code": row.refusal_code,
        "requested_by": row.requested_by.username,
        "requested_at": row.requested_at,
        "valid_until": row.valid_until,
        "relay_state": None if relay_code is None else RelayState(relay_code).name,
        "read_back_at": row.read_back_at,
    }


def _parse_hour(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise WattkeeperError("shell.not-an-hour", text=text) from error
