"""The repository tests itself: shapes, units, doors that stay shut, documents that name what exists."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from syntax import syntax

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "wattkeeper"
LINES_MAX = 500
FUNCTION_LINES_MAX = 70
UNIT_SUFFIXES = (
    *("_milliwh", "_wh", "_kwh", "_varh", "_kvarh", "_vah", "_w", "_kw", "_var", "_kvar", "_va", "_kva"),
    *("_v", "_mv", "_a", "_ma", "_hz", "_deg", "_ratio", "_pct", "_count", "_imp", "_imp_per_kwh"),
    *("_s", "_ms", "_us", "_ns", "_days", "_minutes", "_minor", "_minor_per_kwh"),
    *("_id", "_index", "_code", "_bytes", "_digits"),
)
PROOFS = (
    "assert",
    "expect(",
    "raises",
    "check",
    "prove",
    "run_state_machine_as_test",
    "suppress(",
    "except ",
)
QUANTITY_WORDS = ("energy", "power", "voltage", "current", "interval", "timeout", "duration", "frequency")


def modules() -> Iterator[Path]:
    """Yield each module of ours, migrations left out."""
    for path in sorted(SOURCE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def too_long_functions(tree: ast.Module) -> list[str]:
    """Return the names of functions over the limit."""
    return [
        function.name
        for function in functions(tree)
        if (function.end_lineno or 0) - function.lineno >= FUNCTION_LINES_MAX
    ]


def unitless_names(tree: ast.Module) -> list[str]:
    """Return integer or float parameters and fields that name a quantity but end in no unit."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, annotation = node.target.id, node.annotation
        else:
            continue
        is_number = isinstance(annotation, ast.Name) and annotation.id in {"int", "float"}
        if is_number and name.split("_")[0] in QUANTITY_WORDS and not name.endswith(UNIT_SUFFIXES):
            found.append(name)
    return found


def test_files_are_rooms_not_halls() -> None:
    long = {str(path.relative_to(ROOT)) for path in modules() if path.read_text().count("\n") > LINES_MAX}
    assert not long


def test_functions_fit_a_screen() -> None:
    long = {
        str(path.relative_to(ROOT)): names
        for path in modules()
        if (names := too_long_functions(syntax(path.read_text("utf-8"))))
    }
    assert not long


def test_a_long_function_is_seen() -> None:
    assert too_long_functions(ast.parse("def f():\n" + "    pass\n" * 80)) == ["f"]


def test_quantities_end_in_their_unit() -> None:
    bare = {
        str(path.relative_to(ROOT)): names
        for path in modules()
        if (names := unitless_names(syntax(path.read_text("utf-8"))))
    }
    assert not bare


def test_a_bare_quantity_is_seen() -> None:
    tree = ast.parse("def f(energy_import: int, energy_kwh: int) -> None: ...")
    assert unitless_names(tree) == ["energy_import"]


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (r"\bTODO\b|\bFIXME\b|\bXXX\b|NotImplementedError", ()),
        (r"apps\.get_model", ("data",)),
        (r"AuthorizedCommand\(", ("core/commands",)),
        (r"import chdb|from chdb", ("store/process",)),
        (r"datetime\.now\(|time\.time\(", ("bootstrap", "interfaces", "simulators")),
    ],
)
def test_what_may_stand_only_where_it_belongs(pattern: str, allowed: tuple[str, ...]) -> None:
    strays = [
        str(path.relative_to(SOURCE))
        for path in modules()
        if re.search(pattern, path.read_text())
        and not str(path.relative_to(SOURCE)).startswith(allowed or ("\0",))
    ]
    assert not strays


def test_no_stray_utils() -> None:
    assert not [path for path in modules() if path.stem in {"utils", "helpers", "misc", "common"}]


def test_every_path_named_in_where_exists() -> None:
    named = re.findall(
        r"`((?:src|tests|docs|benchmarks|tools|frontend)/[^`*]+)`", (ROOT / "docs/where.md").read_text()
    )
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(
        "|".join([r"files\.python" + r"hosted", r"registry\.npm" + r"js", r"/home/\w+/", r'"resol' + r'ved"'])
    )
    bad = []
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".png", ".mo"} or not path.is_file():
            continue
        if pattern.search(path.read_text(errors="replace")):
            bad.append(name)
    assert not bad


def test_every_test_asserts() -> None:
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        texts = {function.name: ast.unparse(function) for function in functions(ast.parse(path.read_text()))}
        proving = [f"{name}(" for name, text in texts.items() if "assert " in text]
        for name, text in texts.items():
            if name.startswith("test_") and not any(word in text for word in (*PROOFS, *proving)):
                silent.append(f"{path.name}:{name}")
    assert not silent
