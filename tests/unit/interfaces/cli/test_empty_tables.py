"""Where there is nothing to list, every verb says so in a sentence, in both languages."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from click import Context

from shell_runner import run
from wattkeeper.interfaces.cli.main import app

OWN = {
    ("archive", "due"): ("No month is due.", "没有到期的月份。"),
    ("finding", "groups"): ("Nothing found.", "没有检查结果。"),
    ("finding", "list"): ("Nothing found.", "没有检查结果。"),
}
NEVER_EMPTY = {("archive", "retention"), ("quality",), ("user", "list")}


def verbs_with_tables(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the verbs that print a table and ask for nothing."""
    if hasattr(command, "list_commands"):
        for name in command.list_commands(Context(command)):
            yield from verbs_with_tables(command.get_command(Context(command), name), *words, name)
    elif "print_rows(" in inspect.getsource(command.callback) and not any(p.required for p in command.params):
        yield words


VERBS = tuple(verbs_with_tables(typer.main.get_command(app)))


def test_there_are_many_verbs_with_tables() -> None:
    assert {*OWN, *NEVER_EMPTY, ("usage-point", "list"), ("job", "list"), ("meter", "list")} <= set(VERBS)
    assert len(VERBS) > 20


@pytest.mark.usefixtures("ours", "services")
@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_what_is_empty_is_said_not_drawn(verb: tuple[str, ...], language: str) -> None:
    said = run("--lang", language, *verb)
    if verb in NEVER_EMPTY:
        assert "━" in said
    else:
        assert said == OWN.get(verb, ("There are none.", "没有记录。"))[language != "en"]
