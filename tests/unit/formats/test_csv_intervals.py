"""The CSV reader: declared, strict, one error a row."""

import contextlib
import csv
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO, StringIO

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import lines
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.csv_write import write_csv
from wattkeeper.formats.detect import detect_format
from wattkeeper.formats.mapping import DELIMITERS
from wattkeeper.formats.table_head import detect_content, read_head

HEADER = "usage_point,meter_serial,channel,starts_at,interval_s,value,unit,quality"
ROW = "up-1,M1,import,2026-03-01T00:00:00+08:00,900,1.25,kWh,measured"


def file(*rows: str, header: str = HEADER) -> bytes:
    """Return a file."""
    return "\n".join([header, *rows]).encode()


def test_what_it_says() -> None:
    rows = [
        ROW.replace("00:00:00+", "00:15:00+").replace("1.25", "0.000001"),
        ROW,
        ROW.replace("00:00:00+", "00:30:00+").replace("1.25,kWh,measured", ",kWh,missing"),
        ROW.replace("up-1", '"up, 2"').replace("estimated", "measured"),
    ]
    parsed = read_csv(BytesIO(file(*rows)), CsvOptions())
    assert parsed.errors == []
    first, second = parsed.blocks
    assert (first.usage_point, first.meter_serial, first.channel, first.interval_s) == (
        "up-1",
        "M1",
        "import",
        900,
    )
    at_s = int(datetime(2026, 2, 28, 16, tzinfo=UTC).timestamp())
    assert first.starts_at_s.tolist() == [at_s, at_s + 900, at_s + 1800]
    assert first.value_milliwh.tolist() == [1_250_000, 1, 0]
    assert first.provenance.tolist() == [Provenance.MEASURED, Provenance.MEASURED, Provenance.MISSING]
    assert second.usage_point == "up, 2"


def test_declared_marks_and_zone() -> None:
    row = "up-1;import;2026-03-01 00:00;900;1,25;kWh;estimated"
    header = "usage_point;channel;starts_at;interval_s;value;unit;quality"
    options = CsvOptions(delimiter=";", decimal_mark=",", zone="Asia/Shanghai")
    parsed = read_csv(b"\xef\xbb\xbf" + file(row, row.replace("1,25", "1.25"), header=header), options)
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(3, 5, "formats.not-a-number")]
    assert parsed.blocks[0].value_milli.tolist() == [1_250_000]
    assert parsed.blocks[0].starts_at_s.tolist() == [int(datetime(2026, 2, 28, 16, tzinfo=UTC).timestamp())]


WRONG = [
    (ROW + ",more", 0, "csv.wrong-count"),
    (ROW.replace("up-1", ""), 1, "csv.wrong-name"),
    (ROW.replace("up-1", "x" * 65), 1, "csv.wrong-name"),
    (ROW.replace("import", "a\x07b"), 3, "csv.wrong-name"),
    (ROW.replace("+08:00", ""), 4, "csv.time-without-offset"),
    (ROW.replace("03-01", "02-30"), 4, "csv.wrong-time"),
    (ROW.replace("00:00:00+", "00:00:00.5+"), 4, "csv.wrong-time"),
    (ROW.replace("T00:00:00+08:00", ""), 4, "csv.wrong-time"),
    (ROW.replace("2026-03-01T00:00:00+08:00", "0001-01-01T00:00:00+08:00"), 4, "csv.wrong-time"),
    (ROW.replace("900", "9e1"), 5, "csv.interval-length"),
    (ROW.replace("900", "316224001"), 5, "csv.interval-length"),
    (ROW.replace("900", "²"), 5, "csv.interval-length"),
    (ROW.replace("1.25", "--1.25"), 6, "formats.not-a-number"),
    (ROW.replace("1.25", "1_000"), 6, "formats.not-a-number"),
    (ROW.replace("1.25", "٣"), 6, "formats.not-a-number"),
    (ROW.replace("1.25", "=1+1"), 6, "formats.not-a-number"),
    (ROW.replace("1.25", "0.1234567"), 6, "formats.value-too-fine"),
    (ROW.replace("1.25", ""), 6, "formats.value-blank"),
    (ROW.replace("measured", "missing"), 6, "csv.missing-has-value"),
    (ROW.replace("kWh", ""), 7, "formats.unit-unknown"),
    (ROW.replace("kWh", "hp"), 7, "formats.unit-unknown"),
    (ROW.replace("measured", ""), 8, "csv.quality-unknown"),
    ('"' + ROW, 0, "csv.wrong-quotes"),
    (ROW.replace("kWh", 'k"Wh'), 0, "csv.wrong-quotes"),
    (ROW.replace("kWh", '"kWh"h'), 0, "csv.wrong-quotes"),
    (ROW.replace("kWh", '"k\rWh"'), 0, "csv.wrong-quotes"),
]


@pytest.mark.parametrize(("row", "column", "code"), WRONG)
def test_a_wrong_row_is_named_and_the_rest_is_read(row: str, column: int, code: str) -> None:
    good = ROW.replace("00:00:00+", "01:00:00+")
    parsed = read_csv(file(row, good), CsvOptions())
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(2, column, code)]
    assert parsed.blocks[0].value_milli.tolist() == [1_250_000]


def test_a_line_break_in_a_cell_makes_no_row_of_its_rest() -> None:
    """The planted fault: what follows it is a row of a usage point that nobody has. No name has a break."""
    name = ROW.split(",")[0]
    parsed = read_csv(file(ROW.replace(name, f'"{name}\n1"', 1)), CsvOptions())
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(2, 1, "csv.wrong-name")]
    assert parsed.blocks == []


REMARKED = 'time,note,"Energy\n(kWh)"\r\n'


@given(
    st.lists(st.tuples(st.text('ab,"\n', max_size=9), st.integers(0, 10**6)), min_size=3, max_size=40),
    st.integers(20, 200),
)
@settings(max_examples=60, deadline=None)
def test_breaks_in_quoted_cells_make_no_row_and_lose_none(
    rows: list[tuple[str, int]], chunk_bytes: int
) -> None:
    """In headings and remarks as spreadsheets write them, wherever a file is read on."""
    out = StringIO()
    csv.writer(out).writerows(
        (f"2026-11-{at // 24 + 1:02} {at % 24:02}:00", *row) for at, row in enumerate(rows)
    )
    content = (REMARKED + out.getvalue()).encode()
    how = replace(detect_content(content).mapping, zone="UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_CHUNK_BYTES", chunk_bytes)
        parsed = read_csv(content, how)
    assert parsed.errors == []
    assert [v for block in parsed.blocks for v in block.value_milli.tolist()] == [
        v * 10**6 for _note, v in rows
    ]


@given(st.text('a1,;"\n\t ', max_size=200), st.sampled_from(DELIMITERS))
@settings(max_examples=200, deadline=None)
def test_nothing_makes_a_look_at_a_table_fail(text: str, delimiter: str) -> None:
    content = text.encode()
    rows = read_head(content, delimiter)
    assert len(rows) == len(StringIO(text).readlines())
    with contextlib.suppress(FormatError):
        detect_content(content)


def test_a_quote_that_is_not_closed_costs_its_own_row_alone() -> None:
    rows = [ROW.replace("00:00:00+", f"{hour:02}:00:00+") for hour in range(24)]
    for at in (0, 7, 22, 23):
        wrong = [*rows[:at], '"' + rows[at], *rows[at + 1 :]]
        parsed = read_csv(file(*wrong), CsvOptions())
        assert [(e.line, e.code) for e in parsed.errors] == [(at + 2, "csv.wrong-quotes")]
        assert sum(len(block.value_milli) for block in parsed.blocks) == 23


def test_a_stray_carriage_return_beside_quotes_is_a_wrong_cell() -> None:
    quoted = ROW.replace("kWh", '"kWh"')
    parsed = read_csv(file(quoted, ROW.replace("kWh", "k\rWh")), CsvOptions())
    assert [(e.line, e.code) for e in parsed.errors] == [(3, "formats.unit-unknown")]


def test_of_two_rows_for_an_interval_the_first_stays() -> None:
    parsed = read_csv(file(ROW, ROW.replace("1.25", "2")), CsvOptions())
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(3, 4, "csv.interval-twice")]
    assert parsed.blocks[0].value_milli.tolist() == [1_250_000]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-10-25T02:30:00", "csv.time-ambiguous"),
        ("2026-03-29T02:30:00", "csv.time-left-out"),
        ("2026-10-25T02:30:00+01:00", None),
        ("2026-10-25T03:00:00", None),
        ("2026-03-29T03:00:00", None),
    ],
)
def test_wall_clock_over_a_change(text: str, code: str | None) -> None:
    parsed = read_csv(file(ROW.replace("2026-03-01T00:00:00+08:00", text)), CsvOptions(zone="Europe/Berlin"))
    assert [e.code for e in parsed.errors][:1] == ([code] if code else [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "csv.no-header"),
        (b"a,b\n1,2\n", "csv.wrong-header"),
        (file(header=HEADER + ",value"), "csv.header-twice"),
        (file(header=HEADER.replace("unit,", "")), "csv.wrong-header"),
        (file(), "formats.no-intervals"),
        (HEADER.encode() + b"\n\xff\x81\n", "formats.not-utf8"),
        (HEADER.encode() + b"\n\xff\xfe\n", "formats.encoding-unsure"),
    ],
)
def test_files_without_intervals(content: bytes, code: str) -> None:
    parsed = read_csv(content, CsvOptions())
    assert parsed.blocks == []
    assert code in [error.code for error in parsed.errors]


def test_options() -> None:
    for wrong in ({"delimiter": "x"}, {"decimal_mark": ";"}, {"decimal_mark": ""}):
        with pytest.raises(FormatError):
            CsvOptions(**wrong)
    with pytest.raises(FormatError, match=r"formats\.zone-unknown"):
        read_csv(file(ROW), CsvOptions(zone="Mars/Olympus"))


GOOD = file(ROW, ROW.replace("00:00:00+", "00:15:00+"))


@given(st.integers(0, len(GOOD)), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_nothing_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    for damaged in (GOOD[:at], GOOD[:at] + junk + GOOD[at + cut :], junk):
        parsed = read_csv(damaged, CsvOptions(zone="Europe/Berlin"))
        assert parsed.errors or parsed.blocks
        for block in parsed.blocks:
            assert (np.diff(block.starts_at_s) > 0).all()


def test_detect() -> None:
    assert detect_format(b"\xef\xbb\xbf100,NEM12,2026") == "nem12"
    assert detect_format(b"\r\n200,VABD000163,E1Q1") == "nem12"
    assert detect_format(HEADER.encode()) == "csv"
    assert detect_format(b"") == "csv"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''", "'x", "x'y", '=cmd|"/C calc"!A0']


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_is_a_formula_and_all_come_back(name: str) -> None:
    """CWE-1236: no text of an export begins as a formula does, and our own import takes the mark off."""
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block((name, name, name, "Wh", 900), [0, 900], [-5, 5], kinds, [0, 0])
    text = b"".join(write_csv([block]))
    for row in csv.reader(text.decode().splitlines()[1:]):
        numbers = row[4]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row if cell != numbers)
        assert numbers.lstrip("-").replace(".", "").isdecimal()
    assert rows_of(read_csv(text, CsvOptions()).blocks) == rows_of([block])


def test_chunks_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [ROW.replace("00:00:00+", f"{k:02d}:15:00+").replace("1.25", str(k)) for k in range(24)]
    whole = read_csv(file(*rows, ROW + ",more"), CsvOptions())
    for size in (7, 64, 1000):
        monkeypatch.setattr(lines, "_CHUNK_BYTES", size)
        parsed = read_csv(BytesIO(file(*rows, ROW + ",more")), CsvOptions())
        assert parsed.errors == whole.errors
        assert rows_of(parsed.blocks) == rows_of(whole.blocks)


@pytest.mark.parametrize(
    ("text", "value_milli", "code"),
    [
        ("1.5E-05", 15, ""),
        ("2e3", 2_000_000_000, ""),
        ("-1E+00", -1_000_000, ""),
        ("1e-9", None, "formats.value-too-fine"),
        ("1e15", None, "formats.value-too-large"),
        ("1e999", None, "formats.not-a-number"),
        ("e5", None, "formats.not-a-number"),
        ("1e", None, "formats.not-a-number"),
    ],
)
def test_a_power_of_ten_is_written_out(text: str, value_milli: int | None, code: str) -> None:
    row = f"U,import,2026-03-01T00:00:00Z,900,{text},kWh,raw\n"
    parsed = read_csv(
        f"usage_point,channel,starts_at,interval_s,value,unit,quality\n{row}".encode(), CsvOptions()
    )
    assert [error.code for error in parsed.errors] == ([code] if code else [])
    assert [block.value_milli.tolist() for block in parsed.blocks] == ([] if code else [[value_milli]])


def autumn(*clocks: str) -> bytes:
    """Return rows of the Berlin night of 25 October 2026, an ambiguous hour among them, values from 1 on."""
    rows = "".join(
        f"U,import,2026-10-25T{clock}:00,1800,{value},kWh,raw\n" for value, clock in enumerate(clocks, 1)
    )
    return f"usage_point,channel,starts_at,interval_s,value,unit,quality\n{rows}".encode()


NIGHT = ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")
HALF_PAST_ONE_S = 1_792_884_600  # 01:30 in summer time


def test_an_hour_that_comes_twice_is_told_apart_by_its_order() -> None:
    parsed = read_csv(autumn(*NIGHT), CsvOptions(zone="Europe/Berlin"))
    assert parsed.errors == []
    block = parsed.blocks[0]
    assert block.starts_at_s.tolist() == [HALF_PAST_ONE_S + 1800 * k for k in range(6)]
    assert block.value_milli.tolist() == [10**6 * k for k in range(1, 7)]


@pytest.mark.parametrize(
    ("clocks", "wrong_lines"),
    [
        (NIGHT[::-1], [3, 4, 5, 6]),  # from the end to the beginning
        (("01:30", "02:00", "02:00", "02:30", "02:30", "03:00"), [3, 4, 5, 6]),  # which is which?
        (("01:30", "02:00", "02:30", "03:00"), [3, 4]),  # one hour of the two
        (("01:30", "02:00", "02:30", "02:30", "03:00"), [3, 4, 5]),
        (("01:30", "02:00", "02:00", "03:00"), [3, 4]),  # a row twice, or an hour of which parts are missing
        ((*NIGHT[:5], "02:30", "03:00"), [3, 4, 5, 6, 7]),  # three times
        ((*NIGHT, "03:00"), [8]),  # a row twice elsewhere
    ],
)
def test_where_the_order_does_not_tell_the_hour_is_refused(
    clocks: tuple[str, ...], wrong_lines: list[int]
) -> None:
    parsed = read_csv(autumn(*clocks), CsvOptions(zone="Europe/Berlin"))
    assert [error.line for error in parsed.errors] == wrong_lines
    assert {error.code for error in parsed.errors} <= {"csv.time-ambiguous", "csv.interval-twice"}
    assert sum(len(block.value_milli) for block in parsed.blocks) == len(clocks) - len(wrong_lines)


def test_each_channel_has_its_own_order() -> None:
    """Two usage points one after the other, read in one go and by the row."""
    text = autumn(*NIGHT)
    both = text + b"".join(text.splitlines(keepends=True)[1:]).replace(b"U,", b"V,")
    parsed = read_csv(both, CsvOptions(zone="Europe/Berlin"))
    assert parsed.errors == []
    assert [block.starts_at_s.tolist() for block in parsed.blocks] == [
        [HALF_PAST_ONE_S + 1800 * k for k in range(6)]
    ] * 2


@given(st.permutations(range(8)), st.integers(0, 8), st.integers(0, 7), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_value_goes_to_the_other_hour(order: list[int], count: int, again: int, is_in_order: bool) -> None:
    """Whatever is missing, comes twice or stands elsewhere: what is read stands where it was measured.

    A row that comes twice and stands where its twin of the other hour is missing reads like that twin.
    """
    night = ("01:00", *NIGHT, "03:30")
    twins = {2: 4, 3: 5, 4: 2, 5: 3}
    chosen = sorted(order[:count]) if is_in_order else order[:count]
    rows = [*chosen, *([chosen[again % count]] if again % 2 and count else [])]
    assume(all(rows.count(row) < 2 or twins.get(row, row) in rows for row in rows))
    lines = autumn(*night).decode().splitlines()
    text = "\n".join([lines[0], *(lines[row + 1] for row in rows)])
    for block in read_csv(text.encode(), CsvOptions(zone="Europe/Berlin")).blocks:
        for at_s, value in zip(block.starts_at_s.tolist(), block.value_milli.tolist(), strict=True):
            assert at_s == HALF_PAST_ONE_S + 1800 * (value // 10**6 - 2)
