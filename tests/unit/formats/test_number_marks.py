"""Numbers with marks between thousands, decimals behind a comma in quotes: exact, or refused by their row."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import Mapping, parse_mapping
from wattkeeper.formats.mapping_roles import compose, decompose
from wattkeeper.formats.number_marks import THOUSANDS_MARKS
from wattkeeper.formats.table_head import columns_of, detect_content, read_head

VALUES = st.decimals(-(10**9), 10**9, allow_nan=False, places=3)


def table(cells: list[str], delimiter: str = ";") -> bytes:
    quoted = [f'"{cell}"' if delimiter in cell else cell for cell in cells]
    rows = [f"2026-11-{at // 24 + 1:02} {at % 24:02}:00{delimiter}{cell}" for at, cell in enumerate(quoted)]
    return "\n".join([f"Zeit{delimiter}kWh", *rows, ""]).encode()


def written(value: Decimal, thousands: str, decimal: str) -> str:
    return f"{value:,}".replace(".", "D").replace(",", thousands).replace("D", decimal)


def sums(content: bytes, how: Mapping) -> tuple[list[int], list[tuple[int, str]]]:
    parsed = read_file(content, replace(how, zone="UTC"))
    return [value for block in parsed.blocks for value in block.value_milli.tolist()], [
        (error.line, error.code) for error in parsed.errors
    ]


@given(
    st.lists(VALUES, min_size=1, max_size=30),
    st.sampled_from(
        [(",", "."), (".", ","), (" ", ","), ("\u00a0", ","), ("\u202f", ","), ("\u2019", "."), ("'", ".")]
    ),
    st.sampled_from(";,"),
)
def test_a_guess_reads_every_number_exactly(
    values: list[Decimal], marks: tuple[str, str], delimiter: str
) -> None:
    """A number above a million settles the marks of all."""
    cells = [written(value, *marks) for value in (Decimal("1234567.891"), *values)]
    content = table(cells, delimiter)
    found = detect_content(content)
    assert found.mapping.decimal_mark == marks[1]
    assert "decimal_mark" not in found.questions
    wanted = [int(value * 10**6) for value in (Decimal("1234567.891"), *values)]
    assert sums(content, found.mapping) == (wanted, [])
    assert parse_mapping(found.mapping.to_json()) == found.mapping
    columns = columns_of(read_head(content, delimiter), 1)
    assert compose(*decompose(found.mapping, columns)) == found.mapping


@pytest.mark.parametrize(
    "cell", ["1,23", "12,34.5", "1,2345", ",123", "1,,234", "1,234,5", "1.234,5", "1 234", "1'234"]
)
def test_a_number_that_is_grouped_otherwise_is_refused(cell: str) -> None:
    how = detect_content(table(["1,234.5"] * 9)).mapping
    assert how.thousands_mark == ","
    assert sums(table(["1,234.5", cell, "7"]), how) == (
        [1_234_500_000, 7_000_000],
        [(3, "formats.not-a-number")],
    )


def test_what_may_be_thousands_or_decimals_is_refused_or_asked() -> None:
    content = table(["1,234", "950"] * 4, ",")
    found = detect_content(content)
    assert (found.mapping.decimal_mark, found.mapping.thousands_mark) == (".", "")
    assert "decimal_mark" in found.questions
    assert {code for _line, code in sums(content, found.mapping)[1]} == {"formats.not-a-number"}
    assert "decimal_mark" in detect_content(table(["1,234", "950"] * 4)).questions


def test_decimals_behind_a_comma_may_stand_in_quotes() -> None:
    """As spreadsheets on the web write them where commas part columns too; bare ones are a column more."""
    content = table(["1,5", "0,25"], ",")
    how = detect_content(content).mapping
    assert (how.delimiter, how.decimal_mark) == (",", ",")
    assert sums(content, how) == ([1_500_000, 250_000], [])
    assert sums(content.replace(b'"', b""), how)[1] == [
        (2, "csv.wrong-count"),
        (3, "csv.wrong-count"),
    ]


def test_marks_are_those_that_people_use() -> None:
    how = detect_content(table(["1.5"] * 9)).mapping
    for mark in THOUSANDS_MARKS:
        if mark != how.decimal_mark:
            assert replace(how, thousands_mark=mark).thousands_mark == mark
    for mark in (".", "_", "  "):
        with pytest.raises(FormatError, match=r"mapping\.wrong"):
            replace(how, thousands_mark=mark)
