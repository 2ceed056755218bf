"""What stands at the top of a module is used by the product, not by tests alone."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from syntax import syntax

SOURCE = Path(__file__).resolve().parents[2] / "src" / "wattkeeper"
SHORT_CHARS = 60  # longer texts are prose, shorter ones may name something that is looked up
# used from outside Python, or by frameworks that find them by name
FOUND_BY_NAME = re.compile(r"urlpatterns|handler400|app_name|Migration|\w+Config|check_\w+|__\w+__")
# the two ends of a codec are kept whole, and the store that needs no engine is for tests
KEPT = {
    "MemoryReadingStore",
    "batch_key_of",  # what a second person agrees to: the rule is in core, nobody is asked yet
    "bit_string",
    "data_notification",
    "decode_stream",
    "double_long",
    "encode_broadcast_time",
    "encode_read_address",
    "entry_access",
    "long64",
    "long64_unsigned",
    "unsigned",
    "utf8_string",
}


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax tree of each module."""
    return {path: syntax(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def names_used(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code reads, and the words of its short texts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < SHORT_CHARS:
            yield from re.findall(r"\w+", node.value)


def names_made(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a module has at its top, but what is registered somewhere by a decorator."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name):
                yield target.id, node


def unused(modules: dict[Path, ast.Module], elsewhere: str = "") -> dict[str, str]:
    """Return {name: file} of what no code reads but what stands below the name itself."""
    used = Counter(name for tree in modules.values() for name in names_used(tree))
    used.update(re.findall(r"\w+", elsewhere))
    return {
        name: path.name
        for path, tree in modules.items()
        for name, node in names_made(tree)
        if used[name] <= sum(own == name for own in names_used(node))
    }


def test_nothing_of_the_product_is_for_tests_alone() -> None:
    others = [
        path.read_text("utf-8") for kind in ("html", "toml", "sql") for path in SOURCE.rglob(f"*.{kind}")
    ]
    project = (SOURCE.parents[1] / "pyproject.toml").read_text("utf-8")
    found = unused(trees(), "\n".join([*others, project]))
    ours = {name: file for name, file in found.items() if file != "settings.py"}  # Django reads those
    assert {name: file for name, file in ours.items() if not is_found_by_name(name)} == {}
    assert KEPT - set(found) == set(), "these are used now"


def is_found_by_name(name: str) -> bool:
    """Whether something is for who looks for its name, or is kept."""
    return name in KEPT or FOUND_BY_NAME.fullmatch(name) is not None


def test_what_nothing_uses_is_seen() -> None:
    source = "def ghost(): return ghost()\ndef used(): pass\nused()\nGHOSTS = 3\n"
    assert set(unused({Path("a.py"): ast.parse(source)})) == {"ghost", "GHOSTS"}
