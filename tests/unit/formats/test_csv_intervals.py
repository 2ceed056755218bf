"""The CSV reader: declared, strict, one error a row."""

import csv
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import lines
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.csv_write import write_csv
from wattkeeper.formats.detect import detect_format

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
    (ROW.replace("900", "34560001"), 5, "csv.interval-length"),
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
    """The planted fault: what follows it is a row of a usage point that nobody has."""
    name = ROW.split(",")[0]
    parsed = read_csv(file(ROW.replace(name, f'"{name}\n1"', 1)), CsvOptions())
    assert [(e.line, e.code) for e in parsed.errors] == [(2, "csv.wrong-quotes"), (3, "csv.wrong-quotes")]
    assert parsed.blocks == []


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
        (file(header=HEADER + ",value"), "csv.wrong-header"),
        (file(header=HEADER.replace("unit,", "")), "csv.wrong-header"),
        (file(), "formats.no-intervals"),
        (HEADER.encode() + b"\n\xff\xfe\n", "formats.not-utf8"),
    ],
)
def test_files_without_intervals(content: bytes, code: str) -> None:
    parsed = read_csv(content, CsvOptions())
    assert parsed.blocks == []
    assert code in [error.code for error in parsed.errors]


def test_options() -> None:
    for wrong in ({"delimiter": "x"}, {"decimal_mark": ";"}, {"delimiter": ",", "decimal_mark": ","}):
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
