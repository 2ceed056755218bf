"""Small faults put into one module, one at a time: which of them its tests let through.

Each mutant is tried in a forked child, where an import of the module finds it instead of the file.
"""

import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "asyncio",
    "django",
    "fastcrc",
    "hypothesis.strategies",
    "numpy",
    "prometheus_client",
    "structlog",
)
STARTS_WITHIN_S = 30.0
_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Site:
    """A place and what is done to it."""

    line: int
    what: str
    apply: Callable[[], None]


def sites(tree: ast.AST) -> Iterator[Site]:
    """Yield every place where a fault can be put; annotations, texts and what is only logged are left out."""
    for node in list(_walk(tree)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Compare(ops=[operator, *_]) if type(operator) in _OTHER:
                other = _OTHER[type(operator)]()
                yield Site(
                    line, f"{_name(operator)} -> {_name(other)}", _setter(node, "ops", [other, *node.ops[1:]])
                )
            case ast.BinOp(op=operator) | ast.BoolOp(op=operator) if type(operator) in _OTHER:
                other = _OTHER[type(operator)]()
                yield Site(line, f"{_name(operator)} -> {_name(other)}", _setter(node, "op", other))
            case ast.Constant(value=bool(value)):
                yield Site(line, f"{value} -> {not value}", _setter(node, "value", not value))
            case ast.Constant(value=int(value)):
                yield Site(line, f"{value} -> {value + 1}", _setter(node, "value", value + 1))
        if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Constant):
            yield Site(line, "condition negated", _setter(node, "test", ast.UnaryOp(ast.Not(), node.test)))
        for name in ("body", "orelse", "finalbody"):
            for place, statement in enumerate(_statements(node, name)):
                if _may_drop(statement):
                    text = ast.unparse(statement).partition("\n")[0]
                    yield Site(statement.lineno, f"dropped: {text}", _dropper(node, name, place))


def try_all(module: str, tests: Sequence[str], stride: int) -> tuple[int, list[str]]:
    """Return how many mutants were tried, each `stride`-th of the module, and whom `tests` let through."""
    for name in PRELOADED:
        importlib.import_module(name)
    assert module not in sys.modules
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    source, began_s = path.read_text(), time.monotonic()
    assert _passes(module, ast.parse(source), tests, 600), "the tests are red without a mutant"
    within_s = STARTS_WITHIN_S + 5 * (time.monotonic() - began_s)
    survivors, count = [], 0
    for index in range(0, len(list(sites(ast.parse(source)))), stride):
        tree = ast.parse(source)
        site = list(sites(tree))[index]
        site.apply()
        count += 1
        if _passes(module, ast.fix_missing_locations(tree), tests, within_s):
            survivors.append(f"{path.name}:{site.line} {site.what}")
    return count, survivors


def _passes(module: str, tree: ast.Module, tests: Sequence[str], within_s: float) -> bool:
    with Path(os.devnull).open("w") as quiet:
        pid = os.fork()
        if pid == 0:
            _run_and_exit(module, tree, tests, quiet.fileno())
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _run_and_exit(module: str, tree: ast.Module, tests: Sequence[str], quiet: int) -> None:
    os.setsid()
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Finder(module, tree))
    code: int = 3
    with contextlib.suppress(BaseException):
        code = int(pytest.main(["-x", "-q", "-p", "no:xdist", "-m", "not soak", *tests]))
    os._exit(code)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module, self._tree = module, tree

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, self._module, "exec"), module.__dict__)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or _is_only_told(value):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_only_told(child):
                yield from _walk(child)


def _is_only_told(node: object) -> bool:
    return isinstance(node, ast.Expr) and (
        isinstance(node.value, ast.Constant) or ast.unparse(node).startswith("_log.")
    )


def _statements(node: ast.AST, name: str) -> list[ast.stmt]:
    found = getattr(node, name, None)
    return found if isinstance(found, list) else []


def _may_drop(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Attribute | ast.Subscript) for target in statement.targets)
    return isinstance(
        statement, ast.Expr | ast.Raise | ast.AugAssign | ast.Break | ast.Continue | ast.Delete
    ) and not _is_only_told(statement)


def _setter(node: ast.AST, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, name, value)


def _dropper(node: ast.AST, name: str, place: int) -> Callable[[], None]:
    return lambda: getattr(node, name).__setitem__(place, ast.Pass())


def _name(operator: ast.AST) -> str:
    return type(operator).__name__
