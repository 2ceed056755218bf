"""The one quality table: total, one to one where the other side can say it, and stable where it can't."""

import itertools
import json

import pytest

from shared import shared_path
from wattkeeper.core.kernel import quality_codes
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import (
    AEMO_METHODS,
    ROWS,
    Quality,
    decode_aemo,
    decode_espi,
    decode_iec,
    decode_mscons,
    decode_uk,
    encode_aemo,
    encode_espi,
    encode_iec,
    encode_mscons,
    encode_uk,
    parse_quality_name,
    quality_name,
    row_of,
)

FLAG_SETS = [
    Flag(bits)
    for bits in range(2 * max(Flag))
    if bits.bit_count() <= 3 or bits == 2 * max(Flag) - 1  # each, any two, any three, and all of them
]
ALL = [Quality(*parts) for parts in itertools.product(Provenance, FLAG_SETS, Method)]


def test_every_quality_has_a_name_of_its_own_and_back() -> None:
    assert len({quality_name(quality) for quality in ALL}) == len(ALL)
    assert [parse_quality_name(quality_name(quality)) for quality in ALL] == ALL


def test_every_quality_has_codes_of_iec_of_its_own_and_back() -> None:
    assert len({encode_iec(quality) for quality in ALL}) == len(ALL)
    assert [decode_iec(encode_iec(quality)) for quality in ALL] == ALL


def test_rows_are_one_to_one() -> None:
    for column in ("name", "quality", "iec"):
        assert len({getattr(row, column) for row in ROWS}) == len(ROWS), column
    assert {row_of(row.quality) for row in ROWS} == set(ROWS)
    assert [quality_name(row.quality) for row in ROWS] == [row.name for row in ROWS]
    assert {row.quality.provenance for row in ROWS} == set(Provenance)
    estimates = {row.quality.method for row in ROWS if row.quality.provenance is Provenance.ESTIMATED}
    assert estimates == set(Method)


@pytest.mark.parametrize(
    ("encode", "decode"),
    [
        (encode_aemo, decode_aemo),
        (encode_espi, decode_espi),
        (encode_mscons, lambda codes: decode_mscons(codes[0], codes[1:])),
        (encode_uk, decode_uk),
    ],
)
def test_what_is_folded_is_folded_once(encode, decode) -> None:
    """Said once in another standard's words, a quality stays the same there and back."""
    for quality in ALL:
        said = decode(encode(quality))
        if encode(quality) == () and quality.provenance is Provenance.MISSING:
            continue  # ESPI leaves a missing reading out
        assert said is not None
        assert decode(encode(said)) == said, (quality, said)
        is_good = quality.provenance is Provenance.MEASURED and Flag.SUSPECT not in quality.flags
        assert is_good == (said.provenance is Provenance.MEASURED and Flag.SUSPECT not in said.flags) or (
            quality.flags & (Flag.SUSPECT | Flag.VALIDATED)
        ), quality


def test_an_estimate_never_becomes_a_measurement() -> None:
    for quality in ALL:
        if quality.provenance is Provenance.MEASURED:
            continue
        said = [
            decode_aemo(encode_aemo(quality)),
            decode_mscons(encode_mscons(quality)[0], encode_mscons(quality)[1:]),
            decode_uk(encode_uk(quality)),
        ]
        if quality.provenance is not Provenance.MISSING:
            said.append(decode_espi(encode_espi(quality)))
        assert all(one is not None and one.provenance is not Provenance.MEASURED for one in said), quality


def test_every_code_of_the_lists_is_known() -> None:
    lists = shared_path("vectors/codes")
    methods = json.loads((lists / "aemo_substitution_methods.json").read_text())["methods"]
    assert {int(number) for number in methods} == AEMO_METHODS
    for number, about in methods.items():
        for letter in "S" * ("SUB" in about["use"]) + "E" * ("EST" in about["use"]) + "F":
            assert decode_aemo(letter + number) is not None
    espi = json.loads((lists / "espi_enums.json").read_text())["QualityOfReading"]
    assert all(decode_espi([int(code)]) is not None for code in espi)
    iec = json.loads((lists / "iec61968_9_reading_quality.json").read_text())["codes"]
    assert all(decode_iec([f"3.{one['category']}.{one['index']}"]) is not None for one in iec)
    statuses = json.loads((lists / "mscons_status.json").read_text())["codes"]
    assert all(decode_mscons("67", [status]) is not None for status in statuses)
    ours = {code for row in ROWS for code in row.mscons[1:]}
    assert ours <= set(statuses)


@pytest.mark.parametrize(
    ("aemo", "espi", "iec", "mscons", "name"),
    [
        ("A", [14], ["1.0.0"], ["220"], "raw"),
        ("S17", [9], ["3.8.1"], ["67", "Z92"], "est.linear"),
        ("S14", [8], ["2.8.2"], ["67", "Z95"], "est.like_day"),
        ("E52", [12], ["3.12.0"], ["187"], "forecast"),
        ("F55", [7], ["2.7.0"], None, "edited"),
        ("N", None, ["2.5.259"], ["Z30"], "missing"),
        (None, [0], ["3.0.1"], None, "valid"),
        (None, [18], ["3.10.1"], ["220", "Z87"], "verified"),
        (None, [10], ["3.6.3"], ["20"], "suspect"),
        (None, [11], ["2.11.0"], ["79"], "derived"),
        ("F17", [9, 17], ["3.8.1", "3.0.1"], None, "est.linear+validated"),
        ("S24", None, ["3.8.0", "3.11.0", "5.4.512"], ["67", "Z90"], "est+register_bracketed"),
        ("E65", None, ["3.12.12"], None, "forecast.daily_average"),
        (None, None, ["1.0.0", "1.2.32", "1.4.9"], ["220", "Z76", "ZA0"], "raw+clock_adjusted+power_lost"),
    ],
)
def test_known_answers(aemo, espi, iec, mscons, name: str) -> None:
    quality = parse_quality_name(name)
    assert quality is not None
    assert aemo is None or decode_aemo(aemo) == quality
    assert espi is None or decode_espi(espi) == quality
    assert iec is None or decode_iec(iec) == quality
    assert mscons is None or decode_mscons(mscons[0], mscons[1:]) == quality


@pytest.mark.parametrize("wrong", ["", "S", "S1", "S10", "X17", "A1", "V", "S17x", "S²7", "E"])
def test_wrong_codes(wrong: str) -> None:
    assert decode_aemo(wrong) is None
    assert decode_espi([1]) is None
    assert decode_iec(["3.8"]) is None
    assert decode_iec(["3.8.x"]) is None
    assert decode_mscons("999") is None
    assert decode_uk("X") is None
    assert [parse_quality_name(letter) for letter in "AE"] == [decode_uk(letter) for letter in "AE"]
    for name in ("", "good", "est.magic", "raw+wet", "est+"):
        assert parse_quality_name(name) is None


def test_a_table_that_says_two_things_alike_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: with two grades named alike, names are no longer one to one."""
    monkeypatch.setitem(quality_codes._GRADES, Flag.VALIDATED, "raw")
    quality_name.cache_clear()
    try:
        assert len({quality_name(quality) for quality in ALL}) < len(ALL)
    finally:
        monkeypatch.undo()
        quality_name.cache_clear()
        parse_quality_name.cache_clear()
