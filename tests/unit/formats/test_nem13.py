"""NEM13: advances with the reads around them, by the market's own files, and broken records."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_files import expected, shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import LossList
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.nem12 import read_nem12
from wattkeeper.formats.nem12_write import write_nem12
from wattkeeper.formats.nem13 import read_nem13, register_blocks, write_nem13

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


SECOND_S = 1_800_000 * 1000
QUALITIES = [
    Quality(Provenance.MEASURED),
    Quality(Provenance.MEASURED, Flag.VALIDATED),
    Quality(Provenance.ESTIMATED, Flag.POWER_LOST, Method.LIKE_DAY),
    Quality(Provenance.EDITED),
    Quality(Provenance.PROJECTED),
]


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.sampled_from(QUALITIES)), min_size=2),
    st.integers(0, 10**6 - 1),
    st.sampled_from(["E1", "E1 T1", "E2 T4"]),
)
@settings(max_examples=60, deadline=None)
def test_reads_of_a_register_become_advances_and_reads_again(
    steps: list[tuple[int, int, Quality]], first: int, channel: str
) -> None:
    """Over rollovers and of rates too: advances are told, and reads come back with their quality."""
    modulus = 10**6
    at_s = np.cumsum([step for step, _rise, _quality in steps])
    counts = first + np.cumsum([0, *(rise % modulus for _step, rise, _quality in steps[1:])])
    key = ("VABC005890", "M1", channel, "Wh", 0)
    kinds = [(quality, "") for _step, _rise, quality in steps]
    register = make_block(key, at_s, counts % modulus * 1000, kinds, range(len(steps)))
    register = replace(register, modulus_milli=modulus * 1000)
    losses = LossList()
    parsed = read_nem13(b"".join(write_nem13([register], losses)))
    assert (parsed.errors, losses.all()) == ([], [])
    total = sum(int(block.value_milli.sum()) for block in parsed.blocks)
    assert total == (int(counts[-1]) - first) * 1000
    registers, errors = register_blocks(parsed.blocks)
    assert (rows_of(registers), errors) == (rows_of([register]), [])
    assert registers[0].modulus_milli == register.modulus_milli


@pytest.mark.parametrize(
    ("reads", "modulus_milli", "codes"),
    [
        ([(5, Flag.NONE)], 0, ["nem13.one-read"]),
        ([(5, Flag.NONE), (6, Flag.SUSPECT), (7, Flag.NONE)], 0, ["nem13.read-kept-back"]),
        ([(5, Flag.NONE), (4, Flag.NONE), (7, Flag.NONE)], 0, ["nem13.reads-apart"]),
        ([(5, Flag.NONE), (4, Flag.NONE)], 10**6, []),
    ],
)
def test_reads_that_are_no_advance_are_told(
    reads: list[tuple[int, Flag]], modulus_milli: int, codes: list[str]
) -> None:
    kinds = [(Quality(Provenance.MEASURED, flag), "") for _value, flag in reads]
    key = ("VABC005890", "M1", "E1", "Wh", 0)
    block = make_block(key, range(len(reads)), [value for value, _ in reads], kinds, range(len(reads)))
    losses = LossList()
    parsed = read_nem13(b"".join(write_nem13([replace(block, modulus_milli=modulus_milli)], losses)))
    assert [loss.code for loss in losses.all()] == codes
    assert sum(len(one.value_milli) for one in parsed.blocks) == (codes != ["nem13.one-read"])


def test_rates_are_registers_of_their_own() -> None:
    """Of one meter at one time; a RegisterID that is no rate's leaves the suffix what it is."""
    names = [("1", "E1"), ("1", "11"), ("1.8.1", "11"), ("1.8.2", "12"), ("1.8.1", "12")]
    told = [GOOD.replace(",1,E1,", f",{register},{suffix},") for register, suffix in names]
    parsed = read_nem13(file(*told))
    assert [block.channel for block in parsed.blocks] == ["E1", "11", "E1 T1", "E1 T2", "12"]
    again = b"".join(write_nem13(parsed.blocks, LossList()))
    assert (parsed.errors, rows_of(read_nem13(again).blocks)) == ([], rows_of(parsed.blocks))


def test_a_rate_of_what_is_given_back_has_no_place() -> None:
    losses, kinds = LossList(), [(Quality(Provenance.MEASURED), "")]
    key = ("VABC005890", "M1", "export T1", "Wh", 0)
    block = make_block(key, [SECOND_S, SECOND_S + 1800], [0, 1], kinds, [0, 0])
    assert read_nem13(b"".join(write_nem13([block], losses))).blocks == []
    assert [loss.code for loss in losses.all()] == ["nem12.not-a-suffix"]


def test_a_later_channel_is_its_nmis_again() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]
    for interval_s, write, read in ((0, write_nem13, read_nem13), (1800, write_nem12, read_nem12)):
        for channel in ("import", "import T3")[: 1 + (interval_s == 0)]:
            key = ("VABC005890-2", "M3-2", channel, "Wh", interval_s)
            block = make_block(key, [SECOND_S, SECOND_S + 1800], [0, 1], kinds, [0, 0])
            parsed = read(b"".join(write([block], LossList())))
            names = [(one.usage_point, one.meter_serial, one.channel) for one in parsed.blocks]
            assert names == [("VABC005890", "M3", channel.replace("import", "E2"))]


@pytest.mark.parametrize(
    ("record", "column", "code"),
    [
        (GOOD.replace("VABC005890", "20019857327"), 2, "nem12.check-digit"),
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


def test_a_check_digit_is_no_part_of_the_nmi() -> None:
    parsed = read_nem13(file(GOOD.replace("VABC005890", "20019857328")))
    assert [block.usage_point for block in parsed.blocks] == ["2001985732"]


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
