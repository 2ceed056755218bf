"""Every code that the source can tell a person, found in its syntax trees."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from syntax import syntax

SOURCE = Path(__file__).resolve().parents[1] / "src" / "wattkeeper"
CODE = re.compile(r"[a-z][a-z0-9-]*\.(?!log$|json$|toml$|html$)[a-z0-9-]+")
NOT_FOR_PEOPLE = ("simulators", "protocols", "migrations")


@cache
def codes_raised() -> dict[str, str]:
    """Return {code: file that raises it}, what only simulators and wire decoders say left out."""
    return {
        code: str(path.relative_to(SOURCE))
        for path in sorted(SOURCE.rglob("*.py"))
        if not set(path.relative_to(SOURCE).parts) & set(NOT_FOR_PEOPLE)
        for code in codes_in(path.read_text(encoding="utf-8"))
    }


@cache
def params_raised(maker: str = "") -> dict[str, set[str]]:
    """Return {code: names of what is told with it}; of one kind of error where that is named."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(syntax(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or (maker and ast.unparse(node.func) != maker):
                continue
            code = node.args[0]
            if isinstance(code, ast.Constant) and CODE.fullmatch(str(code.value)):
                names = {keyword.arg for keyword in node.keywords if keyword.arg}
                found.setdefault(str(code.value), set()).update(names - {"is_permanent"})
    return found


def codes_in(source: str) -> Iterator[str]:
    """Yield the codes given to errors in one module."""
    for node in ast.walk(syntax(source)):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _is_error(node.func)):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and CODE.fullmatch(text))


def _is_error(function: ast.expr) -> bool:
    """Whether a call makes an error, or notes one for a row."""
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return name in {"WattkeeperError", "RowError"} or (name == "add" and isinstance(function, ast.Attribute))
