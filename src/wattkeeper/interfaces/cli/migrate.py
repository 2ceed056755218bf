"""`wattkeeper migrate`: bring the database to this release's schema; `adopt`: accept what is there."""

import json
from typing import Annotated

import typer

from wattkeeper.bootstrap import data_folder, make_clock, setup_django
from wattkeeper.data.installation import note_installation
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import JsonOption
from wattkeeper.interfaces.messages import sentence


def migrate(
    is_check: Annotated[
        bool, typer.Option("--check", help="change nothing; 0 when this release may run, 1 when not")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upgrade the database, step by step, each step whole; the release before still runs on the result."""
    setup_django()
    from wattkeeper.data.upgrades.schema import read_schema
    from wattkeeper.data.upgrades.steps import upgrade

    taken = [] if is_check else upgrade(now=make_clock().now())
    schema = read_schema()
    if as_json:
        told = {"version": schema.version, "oldest_served": schema.oldest_served, "taken": taken}
        typer.echo(json.dumps(told | {"missing": schema.missing, "unknown": schema.unknown}))
    schema.refuse(is_upgrading=False)
    if not as_json:
        params = {"version": schema.version, "oldest": schema.oldest_served, "steps": len(taken)}
        typer.echo(sentence("schema.told", params, current_language()))


def adopt(
    yes: Annotated[bool, typer.Option("--yes", help="what is missing is given up")] = False,
) -> None:
    """Take the folder and the settings as they are now for what this installation is made of."""
    folder = data_folder()
    if not yes:
        question = sentence("installation.adopt", {"folder": folder}, current_language())
        if typer.prompt(f"{question} [y/N]", default="", show_default=False).lower() not in {"y", "yes"}:
            raise typer.Abort
    note_installation(folder)
