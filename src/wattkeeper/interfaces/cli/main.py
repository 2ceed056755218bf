"""`wattkeeper`: every verb of the pages from a shell; errors are one sentence with a code, never a trace.

Commands are loaded when they are called: `wattkeeper decode` starts without Django.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.language import choose_language, current_language
from wattkeeper.interfaces.cli.typer_texts import SpokenContext, spoken_refusals, translate
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.unforeseen import explain

COMMANDS = {
    "serve": "wattkeeper.interfaces.cli.serve:serve",
    "headend": "wattkeeper.interfaces.cli.roles:headend",
    "writer": "wattkeeper.interfaces.cli.roles:writer",
    "worker": "wattkeeper.interfaces.cli.roles:worker",
    "demo": "wattkeeper.interfaces.cli.demo.command:demo",
    "decode": "wattkeeper.interfaces.cli.tools.decode:decode",
    "convert": "wattkeeper.interfaces.cli.tools.convert:convert",
    "import": "wattkeeper.interfaces.cli.imports:import_",
    "export": "wattkeeper.interfaces.cli.exports:export",
    "quality": "wattkeeper.interfaces.cli.quality:quality",
    "mapping": "wattkeeper.interfaces.cli.mappings:app",
    "site": "wattkeeper.interfaces.cli.sites:app",
    "usage-point": "wattkeeper.interfaces.cli.usage_points:app",
    "meter": "wattkeeper.interfaces.cli.meters:app",
    "virtual": "wattkeeper.interfaces.cli.virtual:app",
    "energy": "wattkeeper.interfaces.cli.energy:energy",
    "group": "wattkeeper.interfaces.cli.energy:group_app",
    "accuracy": "wattkeeper.interfaces.cli.accuracy:app",
    "link": "wattkeeper.interfaces.cli.links:app",
    "tariff": "wattkeeper.interfaces.cli.tariffs:app",
    "bill": "wattkeeper.interfaces.cli.bills:app",
    "rebill": "wattkeeper.interfaces.cli.rebills:app",
    "rule-set": "wattkeeper.interfaces.cli.rule_sets:app",
    "edit": "wattkeeper.interfaces.cli.edits:app",
    "finding": "wattkeeper.interfaces.cli.findings:app",
    "command": "wattkeeper.interfaces.cli.commands:app",
    "dead-letter": "wattkeeper.interfaces.cli.dead_letters:app",
    "job": "wattkeeper.interfaces.cli.jobs:app",
    "user": "wattkeeper.interfaces.cli.users:app",
    "adopt": "wattkeeper.interfaces.cli.migrate:adopt",
    "migrate": "wattkeeper.interfaces.cli.migrate:migrate",
    "keys": "wattkeeper.interfaces.cli.keys:app",
    "audit": "wattkeeper.interfaces.cli.audit:app",
    "verify": "wattkeeper.interfaces.cli.verify:verify",
    "archive": "wattkeeper.interfaces.cli.archives:app",
    "backup": "wattkeeper.interfaces.cli.backups:backup",
    "restore": "wattkeeper.interfaces.cli.backups:restore",
    "store": "wattkeeper.interfaces.cli.stores:app",
}
FAILED_CODE = 1


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for; it speaks the language asked for."""

    context_class = SpokenContext
    make_context = spoken_refusals()(TyperGroup.make_context)
    invoke = spoken_refusals()(TyperGroup.invoke)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Choose the language before anything is parsed: help and refusals speak it too."""
        choose_language(self._language_asked_for(ctx, args))
        translate(self)
        return super().parse_args(ctx, args)

    def _language_asked_for(self, ctx: Any, args: list[str]) -> str:
        parser = self.make_parser(ctx)
        parser.ignore_unknown_options = True
        with suppress(UsageError):
            options, _rest, _order = parser.parse_args(list(args))
            return str(options.get("lang", ""))
        return ""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of the commands this installation has."""
        return [name for name, place in COMMANDS.items() if _is_there(place.partition(":")[0])]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of this name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module_name, _, attribute = COMMANDS[cmd_name].partition(":")
        if not _is_there(module_name):
            raise WattkeeperError("shell.command-missing", name=cmd_name)
        return _as_command(cmd_name, getattr(import_module(module_name), attribute))


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Wattkeeper keeps every watt-hour accounted for.",
)


@app.callback()
def begin(
    lang: Annotated[str, typer.Option("--lang", help="en or zh-hans; else the shell's language")] = "",
) -> None:
    """Declare what goes before every command; the group has read it already."""


def main() -> None:
    """Run one command and exit: 0 done, 1 refused or failed, 2 wrongly called."""
    try:
        app()
    except WattkeeperError as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail(WattkeeperError("shell.interrupted"))
    except Exception as error:
        if os.environ.get("WATTKEEPER_DEBUG") == "true":
            raise
        _fail(explain(error))


def _fail(error: WattkeeperError) -> None:
    text = sentence(error.code, error.params, current_language())
    sys.stderr.write(f"{text} [{error.code}]\n")
    sys.exit(FAILED_CODE)


def _is_there(module_name: str) -> bool:
    try:
        return find_spec(module_name) is not None
    except ModuleNotFoundError:
        return False


def _as_command(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        found._add_completion = False  # only the shell as a whole could have it
        command: Any = typer.main.get_command(found)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    translate(command)
    return command
