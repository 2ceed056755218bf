"""The NEM12 reader against files that two independent readers agree on, broken files, and every quality."""

import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import SHARED, shared_path
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import lines, nem12_days
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.nem12 import read_nem12
from wattkeeper.formats.nem12_quality import parse_quality
from wattkeeper.formats.notes import unpack_note

LETTERS = {
    "A": Provenance.MEASURED,
    "N": Provenance.MISSING,
    "E": Provenance.PROJECTED,
}


def day(values: list[str], quality: str = "A,,", on: str = "20260301") -> str:
    """Return a 300 record."""
    return f"300,{on},{','.join(values)},{quality},20260302000000,"


def file(*records: str, minutes: int = 30, unit: str = "kWh") -> bytes:
    """Return a file of one stream."""
    head = ["100,NEM12,202603020000,MDP,RET", f"200,6001234567,E1,1,E1,N1,METER1,{unit},{minutes},"]
    return "\r\n".join([*head, *records, "900"]).encode() + b"\r\n"


def expectations() -> list[tuple[str, dict[str, Any]]]:
    """Return the NEM12 files and what two readers say of them."""
    path = SHARED / "vectors/nem12/expected.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return [(name, case) for name, case in found.items() if name.startswith("nem12/")]


def content(name: str) -> bytes:
    """Return a file, or a member of an archive."""
    path, _mark, member = name.partition("!")
    whole = shared_path(f"vectors/{path}").read_bytes()
    return zipfile.ZipFile(BytesIO(whole)).read(member) if member else whole


POWERS = {"": 3, "KWH": 6, "KVARH": 6, "WH": 3, "VARH": 3, "MWH": 9}


def test_files_of_the_market() -> None:
    """Counts, sums to the thousandth and qualities of every channel, as two readers agree."""
    shared_path("vectors/nem12/expected.json")
    for name, case in expectations():
        parsed = read_nem12(content(name))
        assert bool(parsed.errors) is not case["both_readers_agree"], name
        held: dict[str, list[Any]] = {}
        for block in parsed.blocks:
            held.setdefault(f"{block.usage_point}/{block.channel}", []).append(block)
        assert {key.rpartition("/")[0] for key in case["interval_channels"]} == set(held), name
        for key, expected in case["interval_channels"].items():
            channel, _slash, unit = key.rpartition("/")
            blocks = held[channel]
            assert sum(len(block.value_milli) for block in blocks) == expected["n"], (name, key)
            total = sum(int(block.value_milli.sum()) for block in blocks)
            assert total == int(Decimal(str(expected["sum"])).scaleb(POWERS[unit])), (name, key)
            if case["both_readers_agree"]:
                assert_qualities(blocks, expected["quality"])


def assert_qualities(blocks: list[Any], expected: dict[str, int]) -> None:
    """Compare how many intervals each letter has."""
    for letter, provenance in LETTERS.items():
        found = sum(int((block.provenance == provenance).sum()) for block in blocks)
        assert found == sum(count for code, count in expected.items() if code[0] == letter), letter


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("Example_NEM12_30min_200_15min_300.csv", "nem12.wrong-count", 3),
        ("Example_NEM12_30min_200_15min_400.csv", "nem12.wrong-count", 3),
        ("Example_NEM12_empty.csv", "formats.no-intervals", 2),
        ("Example_NEM12_incomplete_interval.csv", "nem12.wrong-count", 3),
        ("Example_NEM12_missing_header.csv", "nem12.no-header", 2),
        ("Example_NEM12_powercor.csv", "nem12.no-header", 2),
        ("Example_NEM12_powercor_missing_fields.csv", "nem12.no-header", 2),
        ("Example_empty_file.csv", "nem12.no-header", 1),
    ],
)
def test_invalid_files(name: str, code: str, line: int) -> None:
    parsed = read_nem12(shared_path(f"vectors/nem12/invalid/{name}").read_bytes())
    assert (parsed.errors[0].code, parsed.errors[0].line) == (code, line)


def test_the_first_value_ends_half_an_hour_after_midnight_in_market_time() -> None:
    block = read_nem12(file(day([f"{k}.5" for k in range(48)]))).blocks[0]
    assert block.starts_at_s[0] == datetime(2026, 2, 28, 14, tzinfo=UTC).timestamp()
    assert np.diff(block.starts_at_s).tolist() == [1800] * 47
    assert block.value_milliwh.tolist() == [k * 10**6 + 500_000 for k in range(48)]
    assert (block.usage_point, block.meter_serial, block.channel) == ("6001234567", "METER1", "E1")
    assert (block.unit, block.interval_s) == ("Wh", 1800)


def test_days_are_put_in_order() -> None:
    records = [day(["2"] * 48, on="20260302"), day(["1"] * 48, on="20260301")]
    block = read_nem12(file(*records)).blocks[0]
    assert block.value_milli.tolist() == [10**6] * 48 + [2 * 10**6] * 48
    assert (np.diff(block.starts_at_s) == 1800).all()


def test_qualities_within_a_day() -> None:
    values = ["1"] * 40 + [""] * 8
    records = [day(values, "V,,"), "400,1,20,A,,", "400,21,40,S17,43,", "400,41,48,N,,"]
    block = read_nem12(file(*records)).blocks[0]
    assert block.provenance.tolist() == [1] * 20 + [2] * 20 + [0] * 8
    assert block.method.tolist() == [0] * 20 + [Method.LINEAR] * 20 + [0] * 8
    assert block.value_milli.tolist() == [10**6] * 40 + [0] * 8


@pytest.mark.parametrize("also", [[], [day(["2"] * 48, on="20260302")]])
def test_a_day_whose_ranges_are_all_missing(also: list[str]) -> None:
    block = read_nem12(file(day([""] * 48, "V,,"), "400,1,48,N,,", *also)).blocks[0]
    assert block.provenance.tolist() == [0] * 48 + [1] * 48 * len(also)
    assert block.value_milli.tolist() == [0] * 48 + [2 * 10**6] * 48 * len(also)


ONES = ["1"] * 48
WRONG: list[tuple[str, list[str], str, int]] = [
    ("count", [day(ONES[1:])], "nem12.wrong-count", 3),
    ("more", [day([*ONES, "1"])], "nem12.wrong-count", 3),
    ("fields after", [day(ONES).replace("0000,", "0000,,7")], "nem12.too-many-fields", 3),
    ("date", [day(ONES, on="20260231")], "nem12.wrong-date", 3),
    ("year 0", [day(ONES, on="00000101")], "nem12.wrong-date", 3),
    ("year 1", [day(ONES, on="00010101")], "nem12.wrong-date", 3),
    ("letter", [day(ONES, "X,,")], "nem12.quality-unknown", 3),
    ("method", [day(ONES, "S99,43,")], "nem12.method-unknown", 3),
    ("no method", [day(ONES, "S,43,")], "nem12.method-missing", 3),
    ("no reason", [day(ONES, "F17,,")], "nem12.reason-missing", 3),
    ("reason", [day(ONES, "S17,110,")], "nem12.reason-unknown", 3),
    ("sign", [day(["-1", *ONES[1:]])], "nem12.negative", 3),
    ("exponent", [day(["1e3", *ONES[1:]])], "formats.not-a-number", 3),
    ("blank", [day(["", *ONES[1:]])], "formats.value-blank", 3),
    ("nul", [day(["1\0", *ONES[1:]])], "formats.not-a-number", 3),
    ("long", [day(["1" * 25, *ONES[1:]])], "formats.not-a-number", 3),
    ("too fine", [day(["0.0000001", *ONES[1:]])], "formats.value-too-fine", 3),
    ("too large", [day(["9" * 14, *ONES[1:]])], "formats.value-too-large", 3),
    ("twice", [day(ONES), day(ONES)], "nem12.day-twice", 4),
    ("in Wh again", [day(ONES), "200,6001234567,E1,2,E1,N2,METER1,Wh,30,", day(ONES)], "nem12.day-twice", 5),
    ("400 out of place", [day(ONES), "400,1,48,A,,"], "nem12.record-out-of-place", 4),
    ("400 gap", [day(ONES, "V,,"), "400,1,20,A,,", "400,22,48,A,,"], "nem12.wrong-range", 5),
    ("400 overlap", [day(ONES, "V,,"), "400,1,20,A,,", "400,20,48,A,,"], "nem12.wrong-range", 5),
    ("400 beyond", [day(ONES, "V,,"), "400,1,49,A,,"], "nem12.wrong-range", 4),
    ("400 missing", [day(ONES, "V,,"), "400,1,47,A,,"], "nem12.qualities-missing", 3),
    ("400 V", [day(ONES, "V,,"), "400,1,48,V,,"], "nem12.quality-unknown", 4),
    ("record", ["301,x"], "nem12.record-unknown", 3),
    ("unit", ["200,6001234567,E1,1,E1,N1,M,parsec,30,", day(ONES)], "nem12.unit-unknown", 3),
    ("length", ["200,6001234567,E1,1,E1,N1,M,kWh,7,", day(ONES)], "nem12.interval-length", 3),
    ("name", ["200,,E1,1,E1,N1,M,kWh,30,", day(ONES)], "nem12.wrong-name", 3),
    ("fields", ["200,6001234567,E1", day(ONES)], "nem12.too-few-fields", 3),
]


@pytest.mark.parametrize(("records", "code", "line"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_row_is_named_and_the_rest_is_read(records: list[str], code: str, line: int) -> None:
    good = day(["3"] * 48, on="20260401")
    tail = ["200,6007654321,E1,1,E1,N1,METER2,kWh,30,", good]
    parsed = read_nem12(file(*records, *tail))
    assert [(error.code, error.line) for error in parsed.errors] == [(code, line)]
    kept = [block.value_milli.tolist() for block in parsed.blocks if block.usage_point == "6007654321"]
    assert kept == [[3 * 10**6] * 48]


def test_ends() -> None:
    assert [e.code for e in read_nem12(file(day(ONES)).replace(b"900\r\n", b"")).errors] == ["nem12.no-end"]
    assert [e.code for e in read_nem12(file(day(ONES)) + b"300,x\n").errors] == ["nem12.after-end"]
    out_of_place = read_nem12(b"100,NEM12,,,\n300,20260301\n900\n")
    assert [e.code for e in out_of_place.errors] == ["nem12.record-out-of-place"]


def test_a_line_of_any_length_and_any_number_of_errors_stay_bounded() -> None:
    parsed = read_nem12(file("300," + "1" * 200_000, day(ONES)))
    assert [(e.code, e.line) for e in parsed.errors] == [("formats.line-too-long", 3)]
    assert len(parsed.blocks[0].value_milli) == 48
    parsed = read_nem12(file(*["301"] * 5000))
    assert len(parsed.errors) == 1001
    assert parsed.errors[-1].code == "formats.too-many-errors"


def test_units_in_any_case() -> None:
    for unit, base, power in (("KWH", "Wh", 6), ("wh", "Wh", 3), ("MWh", "Wh", 9), ("kVArh", "varh", 6)):
        block = read_nem12(file(day(ONES), unit=unit)).blocks[0]
        assert (block.unit, int(block.value_milli[0])) == (base, 10**power)
    with pytest.raises(FormatError, match=r"formats\.not-energy"):
        _ = read_nem12(file(day(ONES), unit="kVArh")).blocks[0].value_milliwh


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("A", "", (Provenance.MEASURED, Method.NONE)),
        ("N", "", (Provenance.MISSING, Method.NONE)),
        ("E52", "", (Provenance.PROJECTED, Method.NONE)),
        ("S14", "43", (Provenance.ESTIMATED, Method.LIKE_DAY)),
        ("S15", "43", (Provenance.ESTIMATED, Method.AVERAGE_LIKE_DAY)),
        ("F17", "43", (Provenance.ESTIMATED, Method.LINEAR)),
        ("F55", "43", (Provenance.EDITED, Method.NONE)),
    ],
)
def test_quality(code: str, reason: str, expected: tuple[Provenance, Method]) -> None:
    quality = parse_quality(code, reason)
    assert isinstance(quality, Quality)
    assert (quality.provenance, quality.method) == expected


def test_every_method_number_of_the_market_is_known() -> None:
    numbers = json.loads(shared_path("vectors/codes/aemo_substitution_methods.json").read_text())["methods"]
    known = [n for n in range(100) if isinstance(parse_quality(f"S{n:02d}", "43"), Quality)]
    assert known == sorted(int(number) for number in numbers)


@given(st.lists(st.integers(0, 10**10), min_size=48, max_size=48), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_round_trip(counts: list[int], places: int) -> None:
    values = [format(Decimal(count).scaleb(-places), "f") for count in counts]
    block = read_nem12(file(day(values))).blocks[0]
    assert block.value_milliwh.tolist() == [count * 10 ** (6 - places) for count in counts]


GOOD = file(day(ONES), day(["0.001"] * 48, "V,,", "20260302"), "400,1,48,S17,43,")


@given(st.integers(0, len(GOOD)), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_nothing_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    for damaged in (GOOD[:at], GOOD[:at] + junk + GOOD[at + cut :], junk):
        parsed = read_nem12(damaged)
        assert parsed.errors or parsed.blocks
        for block in parsed.blocks:
            assert (np.diff(block.starts_at_s) > 0).all()
            assert (
                len(block.starts_at_s) == len(block.value_milli) == len(block.provenance) == len(block.method)
            )


def test_teeth_a_float_on_the_way_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_float(buffer: Any, starts: Any, ends: Any, power: int) -> Any:
        cells = [buffer[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]
        values = [int(float(cell) * 10**power) for cell in cells]
        return np.array(values, dtype=np.int64), np.zeros(len(cells), dtype=np.int8)

    values = ["1.005", "4.035", "1.1", "2.3"] * 12
    exact = read_nem12(file(day(values), unit="Wh")).blocks[0].value_milli.tolist()
    assert exact == [int(Decimal(value).scaleb(3)) for value in values]
    monkeypatch.setattr(nem12_days, "to_integers_at", by_float)
    assert read_nem12(file(day(values), unit="Wh")).blocks[0].value_milli.tolist() != exact


@given(st.integers(200, 3000))
@settings(max_examples=40, deadline=None)
def test_chunks_end_anywhere(size: int) -> None:
    """However a file is cut, qualities and reads stay with their day, and lines keep their numbers."""
    variable = ["400,1,20,A,,", "400,21,48,S17,43,", "500,N,,20260301000000,123"]
    records = [
        line
        for k in range(1, 6)
        for line in (day(ONES, "V,,", f"2026030{k}"), *variable, day(ONES, "A,,", f"2026031{k}"), "301")
    ]
    whole = read_nem12(file(*records))
    before = lines._CHUNK_BYTES
    try:
        lines._CHUNK_BYTES = size
        parsed = read_nem12(BytesIO(file(*records)))
    finally:
        lines._CHUNK_BYTES = before
    assert parsed.errors == whole.errors
    assert rows_of(parsed.blocks) == rows_of(whole.blocks)
    assert len(whole.blocks[0].value_milli) == 10 * 48


def test_reads_and_dates_are_kept_in_notes() -> None:
    block = read_nem12(file(day(ONES, "S17,43,Power out"), "500,N,S1,20260301000000,000123.5")).blocks[0]
    note = unpack_note(block.notes[block.note_index[0]])
    assert note == {
        "aemo.config": "E1",
        "aemo.register": "1",
        "aemo.stream": "N1",
        "aemo.reason": "43",
        "aemo.text": "Power out",
        "aemo.updated": "20260302000000",
        "aemo.reads": "N,S1,20260301000000,000123.5",
    }


def test_a_check_digit_is_no_part_of_the_nmi_and_a_wrong_one_leaves_its_days_out() -> None:
    whole = file(day(["1"] * 48)).decode()
    wanted = rows_of(read_nem12(whole.replace("6001234567", "2001985732").encode()).blocks)
    parsed = read_nem12(whole.replace("6001234567", "20019857328").encode())
    assert (rows_of(parsed.blocks), parsed.errors) == (wanted, [])
    both = whole.replace("900\r\n", "") + "\r\n".join(whole.splitlines()[1:])  # a good stream behind
    parsed = read_nem12(both.replace("6001234567", "20019857336", 1).replace("E1", "B1", 1).encode())
    wrong = read_nem12(both.replace("6001234567", "20019857328", 1).replace("857328", "857327").encode())
    assert len(parsed.blocks) == 2
    assert [(one.line, one.column, one.code, one.params) for one in wrong.errors] == [
        (2, 2, "nem12.check-digit", {"expected": 8})
    ]
    assert [block.usage_point for block in wrong.blocks] == ["6001234567"]
