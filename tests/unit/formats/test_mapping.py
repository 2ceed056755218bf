"""Mappings: what they read, what they refuse, how they are saved, and a first guess that asks."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, time
from io import BytesIO

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import PLAIN, Mapping, Place, ValueColumn, parse_mapping
from wattkeeper.formats.mapping_detect import detect_mapping
from wattkeeper.formats.mapping_roles import compose, decompose
from wattkeeper.formats.table_head import columns_of, detect_content, read_head

EXPORT = (
    "Lastgang Export\n"
    "Zählpunkt;Datum;Uhrzeit;Bezug (kWh);Lieferung (kWh);Status\n"
    "DE001;29.03.2026;01:45;1,5;0;W\n"
    "DE001;29.03.2026;03:00;2,25;;E\n"
    "DE001;29.03.2026;03:15;2;0,001;W\n"
)
MAPPING = Mapping(
    name="EDM",
    delimiter=";",
    decimal_mark=",",
    header_line=2,
    zone="Europe/Berlin",
    label="end",
    time=("Datum", "Uhrzeit"),
    time_format="DD.MM.YYYY hh:mm",
    interval_s=Place(constant="900"),
    usage_point=Place("Zählpunkt"),
    values=(
        ValueColumn("Bezug (kWh)", Place(constant="import"), Place(constant="kWh"), Place("Status")),
        ValueColumn("Lieferung (kWh)", Place(constant="export"), Place(constant="kWh"), Place("Status")),
    ),
    qualities={"W": "valid", "E": "est"},
    blank="missing",
)
SPRING_S = 1_774_746_000  # 2026-03-29T01:00:00Z, when clocks go forward


def test_a_wide_table_with_its_own_words() -> None:
    parsed = read_csv(EXPORT.encode(), MAPPING)
    assert parsed.errors == []
    bought, sold = parsed.blocks
    assert (bought.usage_point, bought.channel, sold.channel) == ("DE001", "import", "export")
    assert bought.starts_at_s.tolist() == [SPRING_S - 1800, SPRING_S - 900, SPRING_S]
    assert bought.value_milli.tolist() == [1_500_000, 2_250_000, 2_000_000]
    assert bought.provenance.tolist() == [Provenance.MEASURED, Provenance.ESTIMATED, Provenance.MEASURED]
    assert sold.provenance.tolist() == [Provenance.MEASURED, Provenance.MISSING, Provenance.MEASURED]
    assert sold.value_milli.tolist() == [0, 0, 1000]


def test_wrong_rows_of_a_wide_table_are_named_by_their_own_columns() -> None:
    text = (
        EXPORT + "DE001;29.03.2026;02:30;1;2;W\nDE001;x;03:30;1;2;W\nDE001;29.03.2026;04:00;y;2;W\nDE001;1\n"
    )
    errors = read_csv(text.encode(), MAPPING).errors
    assert [(error.line, error.column, error.code) for error in errors] == [
        (6, 2, "csv.time-left-out"),
        (7, 2, "csv.not-in-pattern"),
        (8, 4, "formats.not-a-number"),
        (9, 0, "csv.wrong-count"),
    ]
    assert errors[1].params == {"pattern": "DD.MM.YYYY hh:mm"}


@pytest.mark.parametrize(
    ("blank", "count", "codes"), [("skip", 2, []), ("error", 2, ["formats.value-blank"])]
)
def test_blanks(blank: str, count: int, codes: list[str]) -> None:
    parsed = read_csv(EXPORT.encode(), replace(MAPPING, blank=blank))
    assert len(parsed.blocks[1].value_milli) == count
    assert [error.code for error in parsed.errors] == codes


def test_columns_by_number_without_a_header() -> None:
    mapping = Mapping(
        header_line=0,
        delimiter="\t",
        time=(1,),
        time_format="YYYYMMDDhhmm",
        zone="Asia/Shanghai",
        interval_s=Place(constant="0"),
        usage_point=Place(3),
        values=(ValueColumn(2, Place(constant="register"), Place(4)),),
    )
    parsed = read_csv(b"202603010800\t12.5\tUP-1\tkWh\textra\n202603010900\t13\n", mapping)
    block = parsed.blocks[0]
    assert (block.interval_s, block.starts_at_s.tolist(), block.value_milli.tolist()) == (
        0,
        [1_772_323_200],
        [12_500_000],
    )
    assert [(error.line, error.code) for error in parsed.errors] == [(2, "csv.wrong-count")]


def test_a_header_without_a_needed_column_is_told() -> None:
    error = read_csv(EXPORT.replace("Uhrzeit", "Zeit").encode(), MAPPING).errors[0]
    assert (error.line, error.code, error.params["missing"]) == (2, "csv.wrong-header", ["Uhrzeit"])


def test_24_o_clock_ends_a_day() -> None:
    text = EXPORT.splitlines()[0:2]
    row = "DE001;01.03.2026;24:00;1;2;W"
    block = read_csv("\n".join([*text, row]).encode(), MAPPING).blocks[0]
    assert block.starts_at_s.tolist() == [1_772_406_000 - 900]  # the quarter before the Berlin midnight


def test_saved_and_read_again() -> None:
    for mapping in (MAPPING, PLAIN, replace(MAPPING, zone=None, details=Place(7))):
        assert parse_mapping(mapping.to_json()) == mapping


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time": []}, "time"),
        ({"time": [1, 2, 3]}, "time"),
        ({"time": [True]}, "time"),
        ({"values": []}, "values"),
        ({"values": [{"column": 1}]}, "values"),
        ({"values": [{"column": 0, "channel": "x"}]}, "values"),
        ({"values": {}}, "values"),
        ({"values": [{"column": 1, "channel": {"row": 1}}]}, "channel"),
        ({"header_line": -1}, "header_line"),
        ({"header_line": True}, "header_line"),
        ({"label": "middle"}, "label"),
        ({"blank": "zero"}, "blank"),
        ({"time_format": "hh:mm"}, "time_format"),
        ({"time_format": "YYYYMMDDMM"}, "time_format"),
        ({"qualities": {"W": "good"}}, "qualities"),
        ({"qualities": ["W"]}, "qualities"),
        ({"interval_s": 1.5}, "interval_s"),
        ({"zone": 5}, "zone"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_mappings_say_where(change: dict[str, object], field: str) -> None:
    plain = {"time": [1], "values": [{"column": 2, "channel": "x"}], **change}
    with pytest.raises(FormatError, match=r"mapping\.wrong") as caught:
        parse_mapping(json.dumps(plain))
    assert caught.value.params["field"] == field


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(FormatError, match=r"mapping\.not-json"):
        parse_mapping(text)


def test_a_mapping_without_values_is_refused() -> None:
    with pytest.raises(FormatError, match=r"mapping\.wrong"):
        parse_mapping('{"time": [1]}')


def test_a_guess_shows_the_rows_and_asks() -> None:
    found = detect_mapping(EXPORT.encode())
    assert set(found.questions) == {"label", "zone", "qualities"}
    assert found.preview[0] == ("Lastgang Export",)
    mapping = found.mapping
    assert (mapping.delimiter, mapping.decimal_mark, mapping.header_line) == (";", ",", 2)
    assert (mapping.time, mapping.time_format) == (("Datum", "Uhrzeit"), "DD.MM.YYYY hh:mm")
    assert mapping.usage_point == Place("Zählpunkt")
    assert [column.unit.constant for column in mapping.values] == ["kWh", "kWh"]
    answered = replace(mapping, zone="Europe/Berlin", label="end", qualities=MAPPING.qualities)
    ours, wanted = read_csv(EXPORT.encode(), answered), read_csv(EXPORT.encode(), MAPPING)
    for block, other in zip(ours.blocks, wanted.blocks, strict=True):
        assert block.starts_at_s.tolist() == other.starts_at_s.tolist()
        assert block.value_milli.tolist() == other.value_milli.tolist()


@pytest.mark.parametrize(
    ("text", "questions", "interval_s"),
    [
        (
            "time,import_kWh\n2026-03-01T00:00:00Z,1\n2026-03-01T00:30:00Z,2\n",
            {"label", "usage_point"},
            "1800",
        ),
        (
            "03/04/2026 00:00\t5\n03/04/2026 01:00\t6\n",
            {"label", "zone", "time_format", "usage_point", "unit"},
            "3600",
        ),
        ("13/04/2026 00:00|5\n14/04/2026 00:00|6\n", {"label", "zone", "usage_point", "unit"}, "86400"),
    ],
)
def test_guesses(text: str, questions: set[str], interval_s: str) -> None:
    found = detect_mapping(text.encode())
    assert set(found.questions) == questions
    assert found.mapping.interval_s == Place(constant=interval_s)
    assert read_csv(text.encode(), found.mapping).errors == []


@pytest.mark.parametrize(
    ("columns", "channels"),
    [
        (("Bezug (kWh)", "Lieferung (kWh)"), ["import", "export"]),
        (("正向有功", "反向有功"), ["import", "export"]),
        (("A", "B", "export"), ["A", "B", "export"]),
        (("Einspeisung (kWh)",), ["export"]),
    ],
)
def test_directions_are_guessed_where_only_one_column_has_each(
    columns: tuple[str, ...], channels: list[str]
) -> None:
    row = ",".join(["2026-03-01T00:00:00Z", *("1" for _ in columns)])
    found = detect_mapping(f"time,{','.join(columns)}\n{row}\n".encode())
    assert [value.channel.constant for value in found.mapping.values] == channels


TITLED: list[list[object]] = [
    ["Lastgang 2026", "", "", ""],
    ["Zeitraum", date(2026, 3, 1), 4, ""],
    ["Kunde", "Muster", "", ""],
    [],
    ["Datum", "Uhrzeit", "Bezug", "Status"],
    ["", "", "kWh", ""],
    *([date(2026, 3, 1), time(0, minute), minute / 4, "raw"] for minute in range(0, 50, 5)),
    ["Summe", "", 9, ""],
]


def book_of(rows: Sequence[Sequence[object]]) -> bytes:
    """Return a workbook with dates and times of its own."""
    out = BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "dd.mm.yyyy"}) as book:
        sheet = book.add_worksheet()
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                sheet.write(row, column, cell)
    return out.getvalue()


def text_of(rows: Sequence[Sequence[object]], end: str) -> bytes:
    return "".join(";".join(map(str, row)) + end for row in rows).encode()


CONTENTS = [book_of(TITLED), *(text_of(TITLED, end) for end in ("\n", "\r\n", "\r"))]


@pytest.mark.parametrize("content", CONTENTS, ids=["xlsx", "lf", "crlf", "cr"])
def test_titles_above_the_header_and_a_unit_below_it(content: bytes) -> None:
    mapping = detect_content(content).mapping
    assert (mapping.header_line, mapping.time) == (5, ("Datum", "Uhrzeit"))
    assert [value.column for value in mapping.values] == ["Bezug"]
    parsed = read_file(content, mapping)
    assert parsed.blocks[0].value_milli.tolist() == [minute * 250_000 for minute in range(0, 50, 5)]
    assert [error.line for error in parsed.errors] == [6, 17]  # the unit, the sum


@pytest.mark.parametrize("content", CONTENTS, ids=["xlsx", "lf", "crlf", "cr"])
def test_a_first_row_that_is_taken_for_the_header_is_seen(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattkeeper.formats.mapping_detect._header_line", lambda *_rows: 1)
    try:
        is_right = detect_content(content).mapping.time == ("Datum", "Uhrzeit")
    except FormatError as error:
        is_right = error.code != "mapping.not-found"
    assert not is_right


def test_titles_above_a_plain_file() -> None:
    text = "Report;;;;;;\n\nusage_point;channel;starts_at;interval_s;value;unit;quality\n"
    found = detect_content(f"{text}a;b;2026-03-01T00:00:00Z;900;1;kWh;raw\n".encode())
    assert found.mapping == replace(PLAIN, delimiter=";", header_line=3)


def test_a_day_beside_a_time_of_day() -> None:
    found = detect_content(b"day,time,kWh\n2026-03-01,00:00,1\n2026-03-01,00:15,2\n").mapping
    assert (found.time, found.time_format, found.interval_s) == (
        ("day", "time"),
        "iso",
        Place(constant="900"),
    )


def test_carriage_returns_alone_end_lines() -> None:
    lines = "usage_point,channel,starts_at,interval_s,value,unit,quality\nU,import,2026-03-01T00:00:00Z,900,"
    for line_end, tail in (("\r", "1,kWh,raw"), ("\n", "1,kWh,raw\rx")):
        text = f"{lines}{tail}\n".replace("\n", line_end)
        parsed = read_file(text.encode(), CsvOptions())
        assert len(parsed.blocks) == (tail[-1] != "x")
    nem12 = f"100,NEM12,x,a,b\n200,NMI1234567,E1,1,E1,N1,M1,kWh,30,\n300,20260301,{'1,' * 48}A,,,,\n900\n"
    whole = read_file(nem12.encode(), CsvOptions())
    parsed = read_file(nem12.replace("\n", "\r").encode(), CsvOptions())
    assert (rows_of(parsed.blocks), parsed.errors) == (rows_of(whole.blocks), [])
    assert whole.blocks


def test_a_wrong_time_here_and_there_is_the_rows_and_no_other_way_of_writing() -> None:
    rows = [f"{day:02d}.03.2026 00:00;1" for day in range(1, 29)]
    text = "\n".join(["Zeit;kWh", *rows, "32.03.2026 00:00;1"])
    assert detect_mapping(text.encode()).mapping.time_format == "DD.MM.YYYY hh:mm"
    rows[:8] = [f"{day}/13/26;1" for day in range(8)]
    with pytest.raises(FormatError, match=r"mapping\.not-found"):
        detect_mapping("\n".join(["Zeit;kWh", *rows]).encode())


def test_a_plain_file_asks_nothing() -> None:
    head = "usage_point;channel;starts_at;interval_s;value;unit;quality"
    text = f"{head}\na;b;2026-03-01T00:00:00Z;900;1;kWh;raw\n"
    found = detect_mapping(text.encode())
    assert (found.questions, found.mapping) == ((), replace(PLAIN, delimiter=";"))


@pytest.mark.parametrize("text", ["", "hello", "a,b\nc,d\n", "2026-03-01T00:00:00Z,x\n"])
def test_nothing_to_guess(text: str) -> None:
    with pytest.raises(FormatError, match=r"mapping\.not-found"):
        detect_mapping(text.encode())


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_a_guess_never_raises_anything_else(content: bytes) -> None:
    for text in (content, EXPORT.encode()[: len(content)] + content):
        try:
            is_told = bool(detect_mapping(text).mapping.values)
        except FormatError as error:
            is_told = error.code == "mapping.not-found"
        assert is_told


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("word", ["", "W"])
def test_a_blank_quality_is_guessed_to_say_nothing(word: str, is_wide: bool) -> None:
    """A column of blanks was taken for one of words that nobody knows: not a row was read."""
    if is_wide:
        hours = ",".join(f"{hour:02}:00" for hour in range(24))
        rows = [f"2026-03-0{day},UP,{said},{'1,' * 23}1" for day, said in ((1, ""), (2, " "), (3, word))]
        text = "\n".join([f"date,nmi,status,{hours}", *rows, ""])
    else:
        rows = [f"2026-03-01T0{hour}:00Z,{hour},{said}" for hour, said in ((0, ""), (1, " "), (2, word))]
        text = "\n".join(["time,kWh,status", *rows, ""])
    found = detect_mapping(text.encode())
    assert ("qualities" in found.questions) == bool(word)
    by_hand = decompose(found.mapping, columns_of(read_head(text.encode(), ","), 1))
    for how in (found.mapping, parse_mapping(found.mapping.to_json()), compose(*by_hand)):
        parsed = read_file(text.encode(), how)
        assert [error.code for error in parsed.errors] == ["csv.quality-unknown"] * bool(word)
        assert sum(len(block.value_milli) for block in parsed.blocks) == (24 if is_wide else 1) * (
            3 - bool(word)
        )
        assert {*parsed.blocks[0].provenance.tolist()} == {Provenance.MEASURED}
