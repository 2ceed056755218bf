"""Tables as other programs and people write them: what is read of them, and what is asked or refused."""

from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO

import pytest
import xlsxwriter

from format_files import archive_of
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.csv_cells import neutralise, restore
from wattkeeper.formats.csv_intervals import CsvOptions, written_so
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import Mapping, Place, ValueColumn
from wattkeeper.formats.mapping_detect import detect_mapping
from wattkeeper.formats.mapping_roles import decompose
from wattkeeper.formats.table_head import columns_of, detect_content, read_head

PLAIN = CsvOptions()
HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality"
ROW = "{point},import,2026-03-01T00:00:00Z,900,1.5,kWh,raw"
BERLIN = Mapping(
    delimiter=";",
    zone="Europe/Berlin",
    time=("Datum",),
    time_format="DD.MM.YYYY hh:mm",
    interval_s=Place(constant="900"),
    usage_point=Place(constant="UP-1"),
    values=(ValueColumn("kWh", Place(constant="import"), Place(constant="kWh")),),
)


def table(head: str, *cells: str, pattern: str = "%d.%m.%Y %H:%M", tail: str = "") -> str:
    """Return a table of quarter-hours under a header."""
    start = datetime(2026, 3, 1)  # noqa: DTZ001  local times are what such files hold
    times = [(start + timedelta(minutes=15 * k)).strftime(pattern) for k in range(len(cells))]
    rows = [f"{at};{cell}{tail}" for at, cell in zip(times, cells, strict=True)]
    return "\r\n".join([head, *rows, ""])


def test_a_column_named_twice_is_refused_unless_its_number_says_which() -> None:
    """The last of them was taken, silently."""
    text = table("Datum;kWh;KWH", *[f"{k};{2 * k}" for k in range(9)]).encode()
    (error,) = read_file(text, BERLIN).errors
    assert (error.line, error.code, error.params) == (1, "csv.header-twice", {"names": "kWh"})
    by_number = detect_mapping(text).mapping
    assert [(one.column, one.channel.constant) for one in by_number.values] == [
        (2, "channel-2"),
        (3, "channel-3"),
    ]
    assert [one.name for one in columns_of(read_head(text, ";"), 1)] == ["Datum", 2, 3]
    parsed = read_file(text, by_number)
    assert parsed.errors == []
    assert [int(block.value_milli.sum()) for block in parsed.blocks] == [36_000_000, 72_000_000]


@pytest.mark.parametrize("head", ["Datum;kWh", "Datum;kWh;"])
def test_delimiters_at_the_ends_of_lines_are_no_columns(head: str) -> None:
    text = table(head, *"123456789", tail=";").encode()
    found = detect_mapping(text).mapping
    assert (found.header_line, found.time, [one.column for one in found.values]) == (1, ("Datum",), ["kWh"])
    for how in (found, BERLIN):
        parsed = read_file(text, how)
        assert (parsed.errors, [len(block.value_milli) for block in parsed.blocks]) == ([], [9])


def test_a_cell_behind_the_last_column_makes_a_row_wrong() -> None:
    text = table("Datum;kWh", *"12", tail=";").encode()
    wrong = read_file(text.replace(b";2;", b";2;4"), BERLIN)
    assert [(error.line, error.code) for error in wrong.errors] == [(3, "csv.wrong-count")]


@pytest.mark.parametrize(
    ("cells", "is_asked"),
    [
        (("1.234", "2.345"), True),
        (("1,234", "999,000"), True),
        (("1,234", "0,345"), False),
        (("1.234", "2.34"), False),
        (("1234.567", "2.345"), False),
        (("1", "2"), False),
    ],
)
def test_a_mark_that_may_be_one_of_thousands_is_asked_for(cells: tuple[str, ...], is_asked: bool) -> None:
    """A thousandth of the energy went in where nobody looked."""
    found = detect_mapping(table("Datum;kWh", *cells * 8).encode())
    assert ("decimal_mark" in found.questions) == is_asked


def test_a_table_of_few_rows_with_a_unit_below_its_header() -> None:
    text = table("Datum;Bezug\r\n;kWh", *"1234").encode()
    found = detect_mapping(text).mapping
    assert (found.header_line, [one.column for one in found.values]) == (1, ["Bezug"])


def test_chinese_dates_and_numbers_kept_as_text_by_an_apostrophe() -> None:
    text = table("时间;户号;电量(kWh)", *[f"'00123;{k}" for k in range(9)], pattern="%Y年%m月%d日 %H:%M")
    found = detect_mapping(text.encode("gbk")).mapping
    assert found.time_format == "YYYY年MM月DD日 hh:mm"
    parsed = read_file(text.encode("gbk"), found)
    assert (parsed.errors, [block.usage_point for block in parsed.blocks]) == ([], ["00123"])


@pytest.mark.parametrize("text", ["＝1+1", "＋1", "－1", "＠x", "\n=1", "'0", "''0", "'s-Graveland", "0"])
def test_formulas_in_wide_signs_are_texts_too(text: str) -> None:
    """Spreadsheets of China and Japan take them for formulas (OWASP, CSV injection)."""
    assert restore(neutralise(text)) == text
    assert neutralise(text).startswith("'") == (text != "0")


def test_a_kept_mapping_is_found_on_the_page_whatever_case_its_names_have() -> None:
    """A reader finds the column; the page showed it as not used."""
    columns = columns_of([["DATUM", "KWH"], ["1", "2"]], 1)
    roles, _rules = decompose(BERLIN, columns)
    assert [one.role for one in roles] == ["time", "value"]


@pytest.mark.parametrize("own", [None, BERLIN])
def test_what_is_given_beside_a_mapping_stands_in_its_place(own: Mapping | None) -> None:
    """A zone given beside a mapping was silently nobody's."""
    how = written_so(own, delimiter="|", decimal_mark="", zone="Asia/Shanghai", encoding="gb18030")
    assert (how.delimiter, how.decimal_mark, how.zone) == ("|", ".", "Asia/Shanghai")
    assert how.encoding == "gb18030"
    assert written_so(own) == (own or PLAIN)
    with pytest.raises(FormatError, match=r"decimal-mark-unknown"):
        written_so(own, decimal_mark=";")


def book(*rows: tuple[object, ...]) -> bytes:
    """Return a workbook of rows."""
    out = BytesIO()
    with xlsxwriter.Workbook(out) as made:
        sheet = made.add_worksheet()
        for at, row in enumerate(rows):
            sheet.write_row(at, 0, row)
    return out.getvalue()


def test_numbers_of_more_digits_than_a_workbook_keeps_are_no_names() -> None:
    """Two meters whose 22 digits were entered as numbers became one."""
    row = ("import", "2026-03-01T00:00:00Z", 900, 1.5, "kWh", "raw")
    head = tuple(HEAD.split(","))
    parsed = read_file(book(head, (1301234567890123456781.0, *row), (123456789012345, *row)), PLAIN)
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(2, 1, "xlsx.digits-lost")]
    assert [block.usage_point for block in parsed.blocks] == ["123456789012345"]
    assert detect_content(book(head, (1e20, *row))).preview[1][0] == ""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "xlsx.old"),
        (f"{HEAD}\r\n".encode("utf-32-le"), "formats.unknown"),
    ],
)
def test_what_is_no_text_says_what_it_is(content: bytes, code: str) -> None:
    for read in (lambda: read_file(content, PLAIN), lambda: detect_content(content)):
        with pytest.raises(FormatError) as caught:
            read()
        assert caught.value.code == code


def test_damaged_utf_16_names_nobody() -> None:
    content = f"\ufeff{HEAD}\r\n{ROW.format(point='A')}\r\n{ROW.format(point='户')}\r\n".encode("utf-16-le")
    damaged = content.replace("户".encode("utf-16-le"), b"\x00\xd8")
    parsed = read_file(damaged, PLAIN)
    assert [block.usage_point for block in parsed.blocks] == ["A"]
    assert [(error.line, error.code) for error in parsed.errors] == [(3, "csv.wrong-name")]


def test_what_macos_puts_into_archives_is_left_out() -> None:
    good = f"{HEAD}\r\n{ROW.format(point='A')}\r\n".encode()
    parsed = read_file(archive_of(**{"a.csv": good, "__MACOSX/._a.csv": b"\0\5\x16\7Mac OS X"}), PLAIN)
    assert (parsed.errors, [block.usage_point for block in parsed.blocks]) == ([], ["A"])


@pytest.mark.parametrize(
    ("unit", "cells", "step_milli"),
    [
        ("kWh", ("100", "101"), 10**6),
        ("kWh", ("100", "101,0"), 10**5),
        ("MWh", ("100,25", "101"), 10**7),
        ("Wh", ("100", "101"), 1000),
        ("kWh", ("1E+02", "1,012E+02"), 10**5),
        ("kWh", ("100", "1x"), 10**6),
        ("kWh", ("100", ""), 10**6),
        ("kWh", ("", ""), 0),
    ],
)
def test_a_register_is_as_fine_as_its_finest_good_read_is_written(
    unit: str, cells: tuple[str, ...], step_milli: int
) -> None:
    value = ValueColumn("kWh", Place(constant="import"), Place(constant=unit))
    how = replace(BERLIN, values=(value,), interval_s=Place(constant="0"), decimal_mark=",", blank="missing")
    assert [block.step_milli for block in read_file(table("Datum;kWh", *cells).encode(), how).blocks] == [
        step_milli
    ]
    intervals = replace(how, interval_s=Place(constant="900"))
    assert [
        block.step_milli for block in read_file(table("Datum;kWh", *cells).encode(), intervals).blocks
    ] == [0]
