"""`wattkeeper user`: add, list, password, key, role."""

from typing import Annotated

import typer

from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, given, open_shell, print_rows

app = typer.Typer(no_args_is_help=True, help="People and the keys of their programs.")
Username = Annotated[str, typer.Argument(help="the user name")]


@app.command("list")
def list_(tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """List people."""
    shell = open_shell(tenant)
    from wattkeeper.data.accounts.queries import list_users

    columns = ("username", "role", "language", "is_active", "last_login_at")
    print_rows(list_users(tenant_id=shell.tenant_id), columns, as_json=as_json)


@app.command()
def add(
    username: Username,
    role: Annotated[str, typer.Option(help="VIEWER, OPERATOR or ADMINISTRATOR")] = "VIEWER",
    language: Annotated[str, typer.Option(help="en or zh-hans")] = "",
    tenant: TenantOption = "",
) -> None:
    """Create a person with a random password, printed this once."""
    shell = open_shell(tenant)
    from wattkeeper.actions.accounts.create_user import create_user
    from wattkeeper.actions.accounts.passwords import make_password

    password = make_password()
    create_user(
        actor=shell.actor, now=shell.now, username=username, password=password, role=role, language=language
    )
    typer.echo(password)


@app.command()
def edit(
    username: Username,
    role: str | None = None,
    language: str | None = None,
    active: bool | None = None,
    tenant: TenantOption = "",
) -> None:
    """Change a person's role, language or whether they may log in."""
    shell = open_shell(tenant)
    from wattkeeper.actions.accounts.edit_user import edit_user
    from wattkeeper.data.lookups import find_user_id

    fields = given(role=role, language=language, is_active=active)
    edit_user(actor=shell.actor, now=shell.now, user_id=find_user_id(shell.tenant_id, username), **fields)


@app.command()
def password(username: Username, tenant: TenantOption = "") -> None:
    """Give a person a new random password, printed this once."""
    shell = open_shell(tenant)
    from wattkeeper.actions.accounts.change_password import change_password
    from wattkeeper.actions.accounts.passwords import make_password
    from wattkeeper.data.lookups import find_user_id

    made = make_password()
    user_id = find_user_id(shell.tenant_id, username)
    change_password(actor=shell.actor, now=shell.now, user_id=user_id, new_password=made)
    typer.echo(made)


@app.command()
def key(username: Username, name: str, tenant: TenantOption = "") -> None:
    """Create a key for a program that acts as a person, printed this once."""
    shell = open_shell(tenant)
    from wattkeeper.actions.accounts.create_api_key import create_api_key
    from wattkeeper.data.lookups import find_user_id

    user_id = find_user_id(shell.tenant_id, username)
    typer.echo(create_api_key(actor=shell.actor, now=shell.now, user_id=user_id, name=name))
