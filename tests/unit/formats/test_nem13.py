"""NEM13: advances with the reads around them, by the market's own files, and broken records."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_files import expected, shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.formats.nem13 import read_nem13, register_blocks

GOOD = (
    "250,VABC005890,11,1,E1,11,METSER123,E,006342.8,20031005093055,A,,,007654.9,20040107100333,A,,,"
    "1312.1,kWh,20040407,20040108100333,20040108091133"
)
POWERS = {"KWH": 6, "KVARH": 6, "WH": 3, "": 3}


def file(*records: str) -> bytes:
    """Return a file."""
    return "\n".join(["100,NEM13,200401101030,MDA1,Ret1", *records, "900", ""]).encode()


def test_files_of_the_market() -> None:
    """Counts and sums of every stream as an independent reader has them; every file without an error."""
    shared_path("vectors/nem13")
    cases = {
        name: case for name, case in expected("nem12/expected.json").items() if name.startswith("nem13/")
    }
    seen_count = 0
    for name, content in shared_files("nem13"):
        parsed = read_nem13(content)
        assert parsed.errors == [], name
        case = next(one for key, one in cases.items() if key.endswith(name.rpartition("!")[2]))
        found: dict[str, list[int]] = {}
        for block in parsed.blocks:
            found.setdefault(f"{block.usage_point}/{block.channel}", []).extend(block.value_milli.tolist())
        for key, wanted in case["interval_channels"].items():  # type: ignore[index]
            channel, _slash, unit = key.rpartition("/")
            assert len(found[channel]) == wanted["n"], (name, key)
            assert sum(found[channel]) == int(Decimal(str(wanted["sum"])).scaleb(POWERS[unit])), (name, key)
        seen_count += 1
    assert seen_count == len(cases) > 40


def test_what_it_says() -> None:
    parsed = read_nem13(file(GOOD, "550,N,,A,"))
    assert parsed.errors == []
    block = parsed.blocks[0]
    start = datetime(2003, 10, 4, 23, 30, 55, tzinfo=UTC)  # 09:30:55 in market time
    assert block.starts_at_s.tolist() == [int(start.timestamp())]
    assert block.interval_s == int((datetime(2004, 1, 7, 0, 3, 33, tzinfo=UTC) - start).total_seconds())
    assert (block.value_milliwh.tolist(), block.unit) == ([1_312_100_000], "Wh")
    assert "aemo.transactions=N%2C%2CA%2C" in block.notes[1]


def test_the_reads_are_registers() -> None:
    later = GOOD.replace("006342.8", "007654.9").replace("20031005093055", "20040107100333")
    later = later.replace("007654.9,20040107100333,A,,,1312.1", "007700,20040407100333,E64,,,45.1")
    registers, errors = register_blocks(read_nem13(file(GOOD, later)).blocks)
    assert errors == []
    assert registers[0].modulus_milli == 10**12
    assert [(block.interval_s, block.value_milli.tolist()) for block in registers] == [
        (0, [6_342_800_000, 7_654_900_000, 7_700_000_000])
    ]
    assert registers[0].provenance.tolist() == [
        Provenance.MEASURED,
        Provenance.MEASURED,
        Provenance.PROJECTED,
    ]


@pytest.mark.parametrize(
    ("record", "column", "code"),
    [
        (GOOD.replace("1312.1", "x"), 19, "formats.not-a-number"),
        (GOOD.replace("006342.8", ""), 9, "formats.value-blank"),
        (GOOD.replace("20031005093055", "20031305093055"), 10, "nem13.wrong-time"),
        (GOOD.replace("20031005093055", "20040107100333"), 15, "nem13.reads-not-in-order"),
        (GOOD.replace(",kWh,", ",hp,"), 20, "nem12.unit-unknown"),
        (GOOD.replace("VABC005890", ""), 2, "nem12.wrong-name"),
        (GOOD.replace("3,A,,,1312.1", "3,S,,,1312.1"), 16, "nem12.method-missing"),
        (GOOD.replace("5,A,,,00", "5,X,,,00"), 11, "nem12.quality-unknown"),
        ("250,VABC005890", 0, "nem12.too-few-fields"),
        ("999,x", 1, "nem12.record-unknown"),
        ("550,N,,A,", 1, "nem12.record-out-of-place"),
    ],
)
def test_a_wrong_record_is_named_and_the_rest_is_read(record: str, column: int, code: str) -> None:
    parsed = read_nem13(file(record, GOOD))
    assert [(error.line, error.column, error.code) for error in parsed.errors] == [(2, column, code)]
    assert len(parsed.blocks) == 1


def test_of_two_alike_the_first_stays() -> None:
    parsed = read_nem13(file(GOOD, GOOD.replace("1312.1", "7")))
    assert [(error.line, error.code) for error in parsed.errors] == [(3, "nem13.record-twice")]
    assert parsed.blocks[0].value_milli.tolist() == [1_312_100_000]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "nem13.no-header"),
        (b"100,NEM12,x\n900\n", "nem13.no-header"),
        (file(), "formats.no-intervals"),
        (file(GOOD)[:-5], "nem12.no-end"),
        (file(GOOD) + b"250,x\n", "nem12.after-end"),
    ],
)
def test_files(content: bytes, code: str) -> None:
    assert code in [error.code for error in read_nem13(content).errors]


@given(st.integers(0, 400), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_nothing_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    whole = file(GOOD, "550,N,,A,")
    for damaged in (whole[:at], whole[:at] + junk + whole[at + cut :], junk):
        parsed = read_nem13(damaged)
        assert parsed.errors or parsed.blocks
