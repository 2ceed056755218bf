"""`wattkeeper link`: add, edit, copy, retire, list."""

from typing import Annotated
from urllib.parse import parse_qsl

import typer

from wattkeeper.core.kernel.endpoints import MARK, TOKEN
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.shell import (
    JsonOption,
    TenantOption,
    given,
    open_shell,
    print_rows,
    read_secret,
)

app = typer.Typer(no_args_is_help=True, help="Lines to devices.")
Name = Annotated[str, typer.Argument(help="the link's name")]
_ENDPOINT_HELP = (
    "host:port; mqtts://host:port; listen://host:port?from=… or ?token=PACKET;"
    " with a password or packet: @FILE that holds it all, or - for standard input"
)
HeadendOption = Annotated[str, typer.Option(help="the head-end process that reads it")]


@app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List links."""
    shell = open_shell(tenant)
    from wattkeeper.data.collection.queries import list_links

    columns = ("name", "site_code", "transport", "endpoint", "headend", "is_up", "error_code", "meters_count")
    print_rows(list_links(tenant_id=shell.tenant_id), columns, as_json=as_json)


@app.command()
def add(
    name: Name,
    endpoint: Annotated[str, typer.Argument(help=_ENDPOINT_HELP)],
    site: Annotated[str, typer.Option(help="the site's code")],
    transport: Annotated[str, typer.Option(help="TCP, MQTT or PULSE_TCP")] = "TCP",
    timeout_ms: int = 2000,
    retries: int = 2,
    poll_s: int = 900,
    headend: HeadendOption = "main",
    tenant: TenantOption = "",
) -> None:
    """Add a link."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.add_link import add_link
    from wattkeeper.data.lookups import find_site_id

    link_id = add_link(
        actor=shell.actor,
        now=shell.now,
        site_id=find_site_id(shell.tenant_id, site),
        name=name,
        transport=transport,
        endpoint=_endpoint(endpoint),
        timeout_ms=timeout_ms,
        retries_count=retries,
        poll_s=poll_s,
        headend=headend,
    )
    typer.echo(link_id)


@app.command()
def edit(
    name: Name,
    new_name: str | None = None,
    endpoint: Annotated[str | None, typer.Option(help=_ENDPOINT_HELP)] = None,
    transport: str | None = None,
    timeout_ms: int | None = None,
    retries: int | None = None,
    poll_s: int | None = None,
    headend: HeadendOption | None = None,
    tenant: TenantOption = "",
) -> None:
    """Change fields of a link."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.edit_link import edit_link
    from wattkeeper.data.lookups import find_link_id

    fields = given(
        name=new_name,
        endpoint=None if endpoint is None else _endpoint(endpoint),
        transport=transport,
        timeout_ms=timeout_ms,
        retries_count=retries,
        poll_s=poll_s,
        headend=headend,
    )
    edit_link(actor=shell.actor, now=shell.now, link_id=find_link_id(shell.tenant_id, name), **fields)


@app.command()
def copy(
    name: Name,
    new_name: str,
    endpoint: Annotated[str, typer.Argument(help=_ENDPOINT_HELP)],
    tenant: TenantOption = "",
) -> None:
    """Copy a link without its meters."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.copy_link import copy_link
    from wattkeeper.data.lookups import find_link_id

    link_id = find_link_id(shell.tenant_id, name)
    to = _endpoint(endpoint)
    typer.echo(copy_link(actor=shell.actor, now=shell.now, link_id=link_id, name=new_name, endpoint=to))


@app.command()
def retire(name: Name, tenant: TenantOption = "") -> None:
    """Retire a link."""
    shell = open_shell(tenant)
    from wattkeeper.actions.registry.retire_link import retire_link
    from wattkeeper.data.lookups import find_link_id

    retire_link(actor=shell.actor, now=shell.now, link_id=find_link_id(shell.tenant_id, name))


def _endpoint(text: str) -> str:
    """Return an endpoint; no password or packet is taken from the command, which others of the machine see.

    Their mark is: what it stands for is stored.

    :raises WattkeeperError: ``shell.password-in-command``; ``shell.file-unreadable``
    """
    if text == "-" or text.startswith("@"):
        return read_secret(text.removeprefix("@"))
    head, _, options = text.partition("?")
    userinfo, _, place = head.rpartition("@")
    is_cut = not userinfo and "@" in options and not place.rpartition(":")[2].isdigit()  # a `?` in a password
    secret = (head if is_cut else userinfo).rpartition("://")[2].partition(":")[2]
    packets = {value for name, value in parse_qsl(options) if name == TOKEN}
    if not {secret, *packets} <= {"", MARK}:
        raise WattkeeperError("shell.password-in-command")
    return text
