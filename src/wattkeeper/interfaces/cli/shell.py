"""What every verb of the shell needs: who acts, with what, and how answers are printed."""

import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from wattkeeper.bootstrap import data_folder, make_clock, open_store, setup_django
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import spoken

if TYPE_CHECKING:
    from wattkeeper.actions.actor import Actor
    from wattkeeper.actions.services import Services

TenantOption = Annotated[str, typer.Option("--tenant", help="the organisation, where there are several")]
Quantity = Annotated[
    str, typer.Option(help="energy_import, energy_export, energy_reactive_import or energy_reactive_export")
]
AsOfOption = Annotated[str, typer.Option(help="as known at an instant, with its offset")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]


@dataclass(frozen=True, slots=True)
class Shell:
    """The machine's own operator at work: full rights in one tenant, named by the system's user."""

    actor: "Actor"
    services: "Services"

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.services.now()

    @property
    def tenant_id(self) -> int:
        """The tenant acted in."""
        return self.actor.tenant_id


def open_shell(tenant: str = "", *, with_store: bool = False) -> Shell:
    """Return the shell of a tenant; `with_store` where readings are written or read.

    :raises WattkeeperError: ``registry.tenant-*``, ``store.not-running``, ``schema.*``
    """
    setup_django()
    from wattkeeper.actions.actor import Actor
    from wattkeeper.actions.services import Services
    from wattkeeper.data.accounts.models import Role
    from wattkeeper.data.lookups import find_tenant_id
    from wattkeeper.data.upgrades.schema import require_served

    require_served()
    actor = Actor(find_tenant_id(tenant or None), None, getpass.getuser(), Role.ADMINISTRATOR, "cli")
    services = Services(now=make_clock().now, data_folder=data_folder())
    if with_store:
        from wattkeeper.bootstrap.measured import measured_by

        store = open_store()
        services = replace(services, store=store, measured=measured_by(store, services.now))
    return Shell(actor, services)


def as_person(shell: Shell, username: str) -> Shell:
    """Return the shell of a person: named and proven by password, or by the key in ``WATTKEEPER_API_KEY``.

    :raises WattkeeperError: ``shell.person-needed``, ``accounts.log-in-refused``, ``accounts.too-many-tries``
    """
    from wattkeeper.actions.accounts.log_in import log_in
    from wattkeeper.actions.actor import Actor
    from wattkeeper.data.accounts.queries import find_user_of_key

    token = os.environ.get("WATTKEEPER_API_KEY", "")
    if username:
        password = ask_secret(f"{username}: ")
        user = log_in(username=username, password=password, address="shell", now=shell.now)
    elif token:
        found = find_user_of_key(token)
        if found is None:
            raise WattkeeperError("accounts.log-in-refused")
        user = found
    else:
        raise WattkeeperError("shell.person-needed")
    if user.tenant_id != shell.tenant_id:
        raise WattkeeperError("accounts.log-in-refused")
    return Shell(Actor.of_user(user, origin="cli"), shell.services)


def open_shell_with_store_if_any(tenant: str = "") -> Shell:
    """Return a shell whose reads off displays are delivered at once if the store runs, else by the worker."""
    try:
        return open_shell(tenant, with_store=True)
    except WattkeeperError as error:
        if error.code != "store.not-running":
            raise
        return open_shell(tenant)


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def parse_date(text: str) -> date:
    """Return a local date.

    :raises WattkeeperError: ``shell.not-a-date``
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WattkeeperError("shell.not-a-date", text=text) from error


def parse_instant(text: str) -> datetime:
    """Return an instant written with its offset.

    :raises WattkeeperError: ``shell.not-an-instant``
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise WattkeeperError("shell.not-an-instant", text=text) from error
    if instant.tzinfo is None:
        raise WattkeeperError("shell.not-an-instant", text=text)
    return instant


def asked_instant(text: str) -> datetime | None:
    """Return the instant that an option names, None where it is not given.

    :raises WattkeeperError: ``shell.not-an-instant``
    """
    return parse_instant(text) if text else None


def parse_pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary.

    :raises WattkeeperError: ``shell.not-a-pair``
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise WattkeeperError("shell.not-a-pair", text=text)
        pairs[name] = value
    return pairs


def ask_secret(prompt: str) -> str:
    """Return a line without its end: typed unseen at a terminal, else the next one of standard input."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def read_secret(name: str) -> str:
    """Return what a file says that others of the machine must not see in a command; ``-``: standard input.

    At a terminal a line is asked for, which is not shown.

    :raises WattkeeperError: ``shell.file-unreadable``
    """
    try:
        if name == "-" and sys.stdin.isatty():
            return ask_secret(spoken("Secret, not shown:") + " ").strip()
        return (sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", "")
        raise WattkeeperError("shell.file-unreadable", file=name, reason=reason) from error


def print_rows(rows: Sequence[object], columns: Sequence[str], *, as_json: bool, nothing: str = "") -> None:
    """Print rows as a table of some columns, or as JSON with all; `nothing` says that there are none."""
    plain = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
    if as_json:
        typer.echo(json.dumps(plain, default=_plain, ensure_ascii=False))
        return
    if not plain:
        typer.echo(nothing or spoken("There are none."))
        return
    table = Table(*(Column(spoken(name), overflow="fold") for name in columns))
    for row in plain:
        if isinstance(row, Mapping):
            table.add_row(*(_cell(row.get(column)) for column in columns))
    Console().print(table)


def print_one(row: object) -> None:
    """Print one thing with everything that is known of it, as JSON."""
    plain = asdict(row) if is_dataclass(row) and not isinstance(row, type) else row
    typer.echo(json.dumps(plain, default=_plain, ensure_ascii=False, indent=2))


def print_counts(**counts: int) -> None:
    """Print how many of what a command dealt with."""
    typer.echo(", ".join(f"{spoken(name)} {count}" for name, count in counts.items()))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return spoken("yes") if value else spoken("no")
    return _plain(value) if isinstance(value, datetime | Fraction) else str(value)
