"""`wattkeeper dead-letter`: batches that the readings store refused, or whose bytes were damaged."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.cli.shell import JsonOption, TenantOption, open_shell, print_rows
from wattkeeper.interfaces.messages import sentence

app = typer.Typer(
    no_args_is_help=True, help="Batches set aside, and why; replay them once the cause is gone."
)
HeadendOption = Annotated[str, typer.Option(help="the head-end that set them aside")]


@app.callback()
def begin() -> None:
    """Dead letter verbs."""


@app.command("list")
def list_letters(
    headend: HeadendOption = "main", as_json: JsonOption = False, tenant: TenantOption = ""
) -> None:
    """List batches set aside, oldest first."""
    shell = open_shell(tenant)
    from wattkeeper.bootstrap.headend_share import spool_folder
    from wattkeeper.headend.dead_letters import DeadLetters

    letters = DeadLetters(spool_folder(shell.services.data_folder, headend)).letters()
    rows = [
        {
            "name": letter.name,
            "reason": letter.reason if as_json else _said(letter.reason),
            "bytes": letter.content_bytes,
            "set_aside_at": datetime.fromtimestamp(letter.set_aside_at_s, UTC),
            "is_again": letter.is_again,
        }
        for letter in letters
    ]
    print_rows(rows, ("name", "reason", "bytes", "set_aside_at", "is_again"), as_json=as_json)


def _said(code: str) -> str:
    return f"{sentence(code, {}, current_language())} [{code}]"


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(help="which; all of them where none is named")] = None,
    headend: HeadendOption = "main",
    tenant: TenantOption = "",
) -> None:
    """Let the head-end put batches back into its spool; one that is refused again comes back here."""
    shell = open_shell(tenant)
    from wattkeeper.actions.collection.replay_dead_letters import replay_dead_letters
    from wattkeeper.bootstrap.headend_share import spool_folder

    folder = spool_folder(shell.services.data_folder, headend)
    typer.echo(replay_dead_letters(actor=shell.actor, now=shell.now, spool_folder=folder, names=names or ()))
