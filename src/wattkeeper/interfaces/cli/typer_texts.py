"""Help and refusals of a call in the language of the shell: typer itself speaks English only."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError
from typer._click.formatting import HelpFormatter

from wattkeeper.interfaces.cli.language import spoken

SPOKEN_PARTS = ("help", "short_help", "epilog", "options_metavar", "subcommand_metavar")
USAGE = "Usage: "
# what `typer.rich_utils` keeps under these names
TITLES = {
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "ERRORS_PANEL_TITLE": "Error",
    "REQUIRED_LONG_STRING": "[required]",
    "DEFAULT_STRING": "[default: {}]",
    "RICH_HELP": "Try [blue]'{command_path} {help_option}'[/] for help.",
    "ABORTED_TEXT": "Aborted.",
}
# texts that something is filled into, the first that fits: how typer and pydantic refuse a call, and help
FILLED = (
    "Missing command.",
    "Missing argument {name}.",
    "Missing option {name}.",
    "No such command {name}. Did you mean {names}?",
    "No such command {name}.",
    "No such option: {name} (Possible options: {names})",
    "No such option: {name}",
    "Option {name} requires an argument.",
    "Option {name} does not take a value.",
    "Got unexpected extra argument(s) ({names})",
    "Invalid value for {name}: {reason}",
    "Input should be a valid integer, unable to parse string as an integer",
    "Unable to parse input string as an integer, exceeded maximum size",
    "one of {names}",
    "plant a fault the check must see: {names}",
)
# where a line may end: rich knows spaces only and cuts longer text off; Chinese ends after any character,
# but not before a closing mark nor behind an opening one
_WORD = re.compile(
    r"\s*(?:[（《“]*(?:[一-鿿]|[^\s一-鿿（《“，。；：、）》”？！]+)[，。；：、）》”？！]*|\S)\s*"
)


class SpokenFormatter(HelpFormatter):
    """Writes the line of usage in the shell's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that says how a command is called."""
        super().write_usage(prog, args, prefix or spoken(USAGE))


class SpokenContext(typer.Context):
    """What all help, and the usage over a refusal, is printed through."""

    formatter_class = SpokenFormatter

    def make_formatter(self) -> HelpFormatter:
        """Return a formatter; whoever asks for one prints next."""
        _prepare_to_print()
        return super().make_formatter()


def translate(command: Any) -> None:
    """Let a command and those below it speak the shell's language."""
    command.context_class = SpokenContext
    for part in (command, *command.get_params(SpokenContext(command))):
        for name in SPOKEN_PARTS:
            if hasattr(part, name):
                setattr(part, name, _said(getattr(part, name) or ""))
    for below in getattr(command, "commands", {}).values():
        translate(below)


@contextmanager
def spoken_refusals() -> Iterator[None]:
    """Say in the shell's language why a call is refused, or that it was broken off."""
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        _prepare_to_print()
        raise UsageError(_said(error.format_message()), error.ctx) from error
    except (typer.Abort, EOFError):
        _prepare_to_print()
        raise


def _prepare_to_print() -> None:
    from rich import _wrap  # both take long: only where they print
    from typer import rich_utils

    _wrap.re_word = _WORD
    for name, text in TITLES.items():
        setattr(rich_utils, name, spoken(text))


def taken_apart(message: str) -> tuple[str, dict[str, str]]:
    """Return the text of `FILLED` that a message is made of, with what is filled in; else the message."""
    for text in FILLED:
        found = _pattern(text).fullmatch(message)
        if found:
            return text, found.groupdict()
    return message, {}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(text)), re.DOTALL)


def _said(message: str) -> str:
    text, filled = taken_apart(message)
    if "reason" in filled:
        filled["reason"] = _said(filled["reason"])
    return spoken(text).format(**filled) if filled else spoken(text)
