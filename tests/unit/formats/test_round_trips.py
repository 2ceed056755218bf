"""What is written is read again, value by value and quality by quality; over CSV too nothing is lost."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_files import shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import (
    Quality,
    decode_aemo,
    decode_espi,
    decode_mscons,
    encode_aemo,
    encode_espi,
    encode_mscons,
)
from wattkeeper.formats import blocks as blocks_module
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import FORMATS, Format
from wattkeeper.formats.files import read_file, write_file

PLAIN = CsvOptions()
FOLDERS = {
    "nem12": "nem12",
    "nem13": "nem13",
    "greenbutton": "greenbutton/espi",
    "mscons": "mscons",
}
MARKET_MIDNIGHT_S = 1_772_287_200  # 2026-03-01 in market time, UTC+10


def written(form: Format, blocks: list[IntervalBlock]) -> bytes:
    """Return a file that holds the blocks."""
    return b"".join(write_file(form, blocks, LossList()))


def reread(form: Format, blocks: list[IntervalBlock]) -> list[IntervalBlock]:
    """Return what a file that holds the blocks says."""
    parsed = read_file(written(form, blocks), PLAIN)
    assert [error for error in parsed.errors if error.code != "formats.no-intervals"] == []
    return parsed.blocks


def present(rows: set[Any]) -> set[Any]:
    """Return the rows that have a value: a missing row says no more than none."""
    return {row for row in rows if row[3].provenance is not Provenance.MISSING}


@pytest.mark.parametrize(("form", "folder"), FOLDERS.items())
def test_shared_files(form: Format, folder: str) -> None:
    """File -> ours -> file -> ours, and file -> ours -> CSV -> ours -> file -> ours: all equal, notes too."""
    shared_path(f"vectors/{folder}")
    seen_count = 0
    for name, content in shared_files(folder):
        if "expected" in name or (blocks := read_file(content, PLAIN).blocks) == []:
            continue
        rows = rows_of(blocks)
        assert present(rows_of(reread(form, blocks))) == present(rows), name
        by_csv = reread("csv", blocks)
        assert rows_of(by_csv) == rows, name
        assert present(rows_of(reread(form, by_csv))) == present(rows), name
        if len(rows) < 300:
            assert rows_of(reread("xlsx", blocks)) == rows, name
        seen_count += 1
    assert seen_count >= 3


qualities = st.builds(
    Quality,
    st.sampled_from(Provenance),
    st.integers(0, 2 * max(Flag) - 1).map(Flag),
    st.sampled_from(Method),
)
names = st.text(
    st.characters(codec="latin-1", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20
)
clean_names = names.map(str.strip).filter(lambda name: name and name.isprintable() and "/" not in name)
market_names = st.text("ABCXYZ0189-_ .#", min_size=1, max_size=10).map(str.strip).filter(bool)
WIDE = st.integers(-(2**52), 2**52)


@st.composite
def some_blocks(
    draw: st.DrawFn,
    named: st.SearchStrategy[str] = clean_names,
    values: st.SearchStrategy[int] = WIDE,
    units: tuple[str, ...] = ("Wh", "varh", "W", "V", "m3", ""),
    lengths: tuple[int, ...] = (300, 900, 1800, 3600),
) -> list[IntervalBlock]:
    """Draw blocks, each with another key."""
    keys = draw(
        st.lists(
            st.tuples(named, named | st.just(""), named, st.sampled_from(units), st.sampled_from(lengths)),
            min_size=1,
            max_size=3,
            unique=True,
        )
    )
    found = []
    for key in keys:
        places = draw(st.lists(st.integers(0, 300), min_size=1, max_size=12, unique=True))
        kinds = draw(st.lists(qualities, min_size=1, max_size=4, unique=True))
        place = [draw(st.integers(0, len(kinds) - 1)) for _one in places]
        numbers = [0 if kinds[k].provenance is Provenance.MISSING else draw(values) for k in place]
        starts = [MARKET_MIDNIGHT_S + one * key[4] for one in places]
        found.append(make_block(key, starts, numbers, [(one, "") for one in kinds], place))
    return found


def folded(rows: set[Any], fold: Callable[[Quality], Quality | None]) -> set[Any]:
    """Return the rows with the qualities that another standard can say."""
    return {(*row[:3], fold(row[3]), row[4]) for row in rows}


@given(some_blocks())
@settings(max_examples=60, deadline=None)
def test_csv_and_iec_hold_every_quality(blocks: list[IntervalBlock]) -> None:
    rows = rows_of(blocks)
    assert rows_of(reread("csv", blocks)) == rows
    assert rows_of(reread("iec61968", blocks)) == rows
    assert rows_of(reread("csv", reread("iec61968", reread("csv", blocks)))) == rows


@given(some_blocks())
@settings(max_examples=25, deadline=None)
def test_workbooks_hold_every_quality(blocks: list[IntervalBlock]) -> None:
    assert rows_of(reread("xlsx", blocks)) == rows_of(blocks)


def aemo(quality: Quality) -> Quality | None:
    """Return the quality as AEMO says it."""
    return decode_aemo(encode_aemo(quality))


@given(some_blocks(market_names, st.integers(0, 2**52), ("Wh", "varh", "V")))
@settings(max_examples=60, deadline=None)
def test_nem12(blocks: list[IntervalBlock]) -> None:
    """All but suspect values, which are kept back, and what AEMO has no words for."""
    held = reread("nem12", blocks)
    assert present(rows_of(held, has_notes=False)) == present(folded(rows_of(blocks, has_notes=False), aemo))
    assert rows_of(reread("nem12", reread("csv", held))) == rows_of(held)


@given(some_blocks(units=("Wh", "varh", "W", "V", "m3", "")))
@settings(max_examples=60, deadline=None)
def test_greenbutton(blocks: list[IntervalBlock]) -> None:
    held = reread("greenbutton", blocks)
    wanted = folded(present(rows_of(blocks)), lambda quality: decode_espi(encode_espi(quality)))
    assert rows_of(held) == wanted
    if held:
        assert rows_of(reread("greenbutton", reread("csv", held))) == wanted


def edifact(quality: Quality) -> Quality | None:
    """Return the quality as MSCONS says it."""
    codes = encode_mscons(quality)
    return decode_mscons(codes[0], codes[1:])


@given(some_blocks(units=("Wh", "varh", "W", "V", "m3")))
@settings(max_examples=60, deadline=None)
def test_mscons(blocks: list[IntervalBlock]) -> None:
    held = reread("mscons", blocks)
    assert rows_of(held) == folded(rows_of(blocks), edifact)
    assert rows_of(reread("mscons", reread("csv", held))) == rows_of(held)


def test_registers_go_round() -> None:
    """An `interval_s` of 0 is a register, in every format that knows them."""
    key = ("UP-1", "M-1", "import", "Wh", 0)
    starts = [MARKET_MIDNIGHT_S + 60 * minute for minute in (0, 7, 61)]
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block(key, starts, [1_000_000, 1_234_567, 2_000_000], kinds, [0, 0, 0])
    for form in ("csv", "xlsx", "greenbutton", "iec61968", "mscons"):
        assert rows_of(reread(form, [block])) == rows_of([block]), form
    losses = LossList()
    list(write_file("nem12", [block], losses))
    assert [loss.code for loss in losses.all()] == ["formats.interval-not-held"]


def test_what_a_format_can_not_hold_is_counted() -> None:
    kinds = [
        (Quality(Provenance.MEASURED, Flag.SUSPECT | Flag.LATE), ""),
        (Quality(Provenance.ESTIMATED, Flag.NONE, Method.LINEAR), ""),
    ]
    starts = [MARKET_MIDNIGHT_S + 900 * k for k in range(4)]
    block = make_block(("UP", "", "E1", "Wh", 900), starts, [1, 2, -3, 4], kinds, [0, 1, 1, 1])
    losses = LossList()
    list(write_file("nem12", [block], losses))
    assert [(loss.code, loss.params["interval_count"]) for loss in losses.all()] == [
        ("formats.quality-folded", 1),
        ("formats.negative-not-held", 1),
    ]
    losses = LossList()
    list(write_file("greenbutton", [block], losses))
    assert [loss.params["held_as"] for loss in losses.all()] == ["suspect"]
    losses = LossList()
    list(write_file("iec61968", [block], losses))
    assert losses.all() == []


def test_every_format_has_a_reader_and_a_writer() -> None:
    kinds = [
        (Quality(Provenance.MEASURED), "aemo.previous_read=1&aemo.current_read=2&aemo.previous_quality=A")
    ]
    block = make_block(("UP", "", "E1", "Wh", 1800), [MARKET_MIDNIGHT_S], [10**6], kinds, [0])
    for first, second in itertools.product(FORMATS, FORMATS):
        there = reread(first, reread(second, [block]))
        found = present(rows_of(there, has_notes=False))
        is_held = "nem13" in (first, second) and second != "nem13"
        assert found == (rows_of([block], has_notes=False)) or is_held, (first, second)


def test_teeth_a_lost_flag_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the tests: a reader that drops flags makes rows differ."""
    quality = Quality(Provenance.MEASURED, Flag.POWER_LOST)
    block = make_block(("UP", "", "E1", "Wh", 900), [MARKET_MIDNIGHT_S], [5], [(quality, "")], [0])
    assert rows_of(reread("csv", [block])) == rows_of([block])
    make = blocks_module.make_block

    def forgetful(key: Any, starts: Any, values: Any, kinds: Any, place: Any) -> IntervalBlock:
        return make(key, starts, values, [(q._replace(flags=Flag.NONE), note) for q, note in kinds], place)

    monkeypatch.setattr("wattkeeper.formats.tables.make_block", forgetful)
    assert rows_of(reread("csv", [block])) != rows_of([block])


def test_of_two_at_one_instant_the_first_stays() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block(("UP", "", "E1", "Wh", 900), [900, 0, 900], [1, 2, 3], kinds, [0, 0, 0])
    assert block.starts_at_s.tolist() == [0, 900]
    assert np.array_equal(block.value_milli, [2, 1])
