"""Mappings as people say them: what each column is, and back to the same mapping."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.blocks import to_texts
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.formats.mapping import NOWHERE, PLAIN, Mapping, Place, ValueColumn
from wattkeeper.formats.mapping_roles import (
    SINGLE_ROLES,
    ColumnRole,
    TableRules,
    compose,
    decompose,
    parse_qualities,
)
from wattkeeper.formats.table_head import TableColumn, columns_of, detect_content, is_table, read_head

GERMAN = """Zähler;Datum;Zeit;Bezug;Lieferung;Status
4711;01.11.2026;00:15;1,25;0,5;W
4711;01.11.2026;00:30;1,5;;E
"""
NAMES = ("Zähler", "Datum", "Zeit", "Bezug", "Lieferung", "Status")
ROLES = (
    ColumnRole("Zähler", "usage_point"),
    ColumnRole("Datum", "time"),
    ColumnRole("Zeit", "clock"),
    ColumnRole("Bezug", "value", "import"),
    ColumnRole("Lieferung", "value", "export"),
    ColumnRole("Status", "quality"),
)
RULES = TableRules(
    delimiter=";",
    decimal_mark=",",
    zone="Europe/Berlin",
    label="end",
    time_format="DD.MM.YYYY hh:mm",
    qualities=(("W", "raw"), ("E", "est")),
)


def columns(*names: str) -> list[TableColumn]:
    return [TableColumn(name, name, ()) for name in names]


def test_columns_said_by_a_person_read_the_file() -> None:
    parsed = read_file(GERMAN.encode(), compose(ROLES, RULES))
    assert parsed.errors == []
    blocks = {block.channel: block for block in parsed.blocks}
    assert to_texts(blocks["import"].value_milli, 6) == ["1.25", "1.5"]
    assert blocks["import"].usage_point == "4711"
    assert int(blocks["import"].starts_at_s[0]) == 1793487600, "00:00 in Berlin: times name ends"


def test_what_was_composed_comes_apart_again() -> None:
    roles, rules = decompose(compose(ROLES, RULES), columns(*NAMES))
    assert rules == RULES
    assert [(column.name, column.role) for column in roles] == [(one.name, one.role) for one in ROLES]
    assert compose(roles, rules) == compose(ROLES, RULES)


def test_the_plain_mapping_comes_apart_and_together() -> None:
    names = ("usage_point", "channel", "starts_at", "interval_s", "value", "unit", "quality", "meter_serial")
    roles, rules = decompose(PLAIN, columns(*names, "utc_offset", "details"))
    assert replace(compose(roles, rules), name="plain", has_unknown_columns=False) == PLAIN


@given(
    singles=st.lists(
        st.sampled_from([role for role in SINGLE_ROLES if role != "time"]), unique=True, max_size=9
    ),
    values_count=st.integers(1, 4),
    is_numbered=st.booleans(),
    label=st.sampled_from(["start", "end"]),
)
def test_any_choice_is_a_mapping_that_says_it(
    *, singles: list[str], values_count: int, is_numbered: bool, label: str
) -> None:
    roles = ["time", *singles, *["value"] * values_count]
    names = [at + 1 if is_numbered else f"c{at}" for at in range(len(roles))]
    chosen = [
        ColumnRole(name, role, f"ch{at}") for at, (name, role) in enumerate(zip(names, roles, strict=True))
    ]
    rules = TableRules(label=label, usage_point="UP", meter_serial="M")  # type: ignore[arg-type]
    mapping = compose(chosen, rules)
    again, same = decompose(mapping, [TableColumn(name, str(name), ()) for name in names])
    assert [one.role for one in again] == roles
    assert compose(again, same) == mapping


def test_a_column_is_found_by_name_title_or_number() -> None:
    mapping = Mapping(time=(1,), values=(ValueColumn("kwh", Place(constant="a"), Place(constant="Wh")),))
    roles, _rules = decompose(mapping, [TableColumn("when", "when", ()), TableColumn(2, "kwh", ())])
    assert [(one.role, one.unit) for one in roles] == [("time", "kWh"), ("value", "Wh")]


@pytest.mark.parametrize(
    ("roles", "field"),
    [
        ((ColumnRole("a", "value"),), "time"),
        ((ColumnRole("a", "time"),), "values"),
        ((ColumnRole("a", "time"), ColumnRole("b", "time"), ColumnRole("c", "value")), "time"),
        (
            (
                ColumnRole("a", "time"),
                ColumnRole("b", "unit"),
                ColumnRole("c", "unit"),
                ColumnRole("d", "value"),
            ),
            "unit",
        ),
    ],
)
def test_what_is_missing_or_said_twice_is_named(roles: tuple[ColumnRole, ...], field: str) -> None:
    with pytest.raises(FormatError) as refusal:
        compose(roles, TableRules())
    assert (refusal.value.code, refusal.value.params["field"]) == ("mapping.wrong", field)


def test_words_of_quality_are_lines() -> None:
    assert parse_qualities("W = raw\n\n E=est ") == (("W", "raw"), ("E", "est"))
    with pytest.raises(FormatError):
        parse_qualities("W raw")


def test_heads_of_tables() -> None:
    rows = read_head(GERMAN.encode(), ";")
    found = columns_of(rows, 1)
    assert [column.name for column in found] == list(NAMES)
    assert found[3].samples == ("1,25", "1,5")
    assert [column.name for column in columns_of(rows, 0)] == [1, 2, 3, 4, 5, 6]
    assert [column.name for column in columns_of([["a", "a", ""], ["1", "2", "3"]], 1)] == [1, 2, 3]
    assert columns_of([], 1) == []
    assert columns_of(rows, 99) == []


def test_a_workbook_is_a_table_and_a_zip_of_files_is_not() -> None:
    parsed = read_file(GERMAN.encode(), compose(ROLES, RULES))
    workbook = b"".join(write_file("xlsx", parsed.blocks, []))
    assert is_table(workbook)
    assert read_head(workbook)[0][0]
    assert detect_content(workbook).mapping.usage_point != NOWHERE
    assert is_table(GERMAN.encode())
    assert detect_content(GERMAN.encode()).mapping.delimiter == ";"
    assert not is_table(b"100,NEM12,202611010000,A,B\n")
