"""The trust page is true as far as it can be looked up: no row without a test that is there and its fault."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "trust.md"
ROWS_COUNT = {"A": 22, "E": 12, "W": 7}


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Return the tests and the planted faults of each row, by its id."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| [A-Z]\d+ \|", line)]
    return {row[0]: (row[3], row[4]) for row in cells}


def lacking(text: str) -> list[str]:
    """Return the rows whose tests are not there, and those without a planted fault."""
    found = []
    for name, (tests, plant) in rows(text).items():
        paths = re.findall(r"`(tests/[^`]+)`", tests)
        if not paths or not all((ROOT / path).is_file() for path in paths) or len(plant.split()) < 2:
            found.append(name)
    return found


def test_each_row_names_its_tests_and_its_planted_fault() -> None:
    text = PAGE.read_text()
    assert set(rows(text)) == {
        f"{part}{number}" for part, count in ROWS_COUNT.items() for number in range(1, count + 1)
    }
    assert lacking(text) == []


@pytest.mark.parametrize(
    "row",
    [
        "| A1 | fault | what | `tests/unit/data/test_nowhere.py` | planted fault | 1 |",
        "| A1 | fault | what | soak only | planted fault | 1 |",
        "| A1 | fault | what | `tests/tidy/test_trust.py` | - | 1 |",
    ],
)
def test_a_row_that_claims_what_is_not_there_is_seen(row: str) -> None:
    assert lacking(row) == ["A1"]
