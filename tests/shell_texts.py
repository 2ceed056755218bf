"""Finds every text of the shell that a reader can meet: help, titles, refusals, headings, counts."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from syntax import syntax
from texts import SOURCE
from wattkeeper.interfaces.cli import main
from wattkeeper.interfaces.cli.typer_texts import (
    FILLED,
    SPOKEN_PARTS,
    TITLES,
    USAGE,
    SpokenContext,
    taken_apart,
)


def texts_of_shell() -> dict[str, str]:
    """Return every text of the shell, as the catalogue has it, with where it stands."""
    found = dict.fromkeys((USAGE, *TITLES.values(), *FILLED), "typer_texts")
    for path in sorted((SOURCE / "interfaces/cli").rglob("*.py")):
        found |= dict.fromkeys(texts_of_module(path), path.name)
    for path in sorted((SOURCE / "actions").rglob("*.py")):
        found |= dict.fromkeys(_counted_by_jobs(path), path.name)
    return found | texts_of_commands(typer.main.get_command(main.app))


def texts_of_commands(command: Any, place: str = "wattkeeper") -> dict[str, str]:
    """Return the texts that help shows of a command and of all below it, with the command."""
    context = SpokenContext(command)
    parts = (command, *command.get_params(context))
    texts = [getattr(part, name, None) for part in parts for name in SPOKEN_PARTS]
    found = {taken_apart(text)[0]: place for text in texts if text}
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            found |= texts_of_commands(command.get_command(context, name), f"{place} {name}")
    return found


def texts_of_module(path: Path) -> set[str]:
    """Return what a module of the shell speaks: by itself, over its tables, and beside what it counted."""
    tree = syntax(path.read_text("utf-8"))
    name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    spoken = {text for call in _calls(tree, "spoken") for text in _texts(call)}
    counts = {key.arg for each in functions for call in _calls(each, "print_counts") for key in call.keywords}
    headings = {
        text
        for each in functions
        for call in _calls(each, "print_rows")
        for text in _headings(call.args[1], each, import_module(name))
    }
    return spoken | headings | {text for text in counts if text}


def _headings(node: ast.AST, function: ast.FunctionDef, module: ModuleType) -> Iterator[str]:
    """Yield the texts in an expression; names stand for what the function or the module calls so."""
    yield from _texts(node)
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            local = [
                found.value
                for found in ast.walk(function)
                if isinstance(found, ast.Assign) and ast.unparse(found.targets[0]) == part.id
            ]
            for value in local:
                yield from _texts(value)
            known = () if local else getattr(module, part.id, ())
            yield from known if isinstance(known, tuple) else ()


def _counted_by_jobs(path: Path) -> Iterator[str]:
    for call in _calls(syntax(path.read_text("utf-8")), "JobOutcome"):
        if isinstance(call.args[0], ast.Dict):
            yield from (text for key in call.args[0].keys if key for text in _texts(key))


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            yield node


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
