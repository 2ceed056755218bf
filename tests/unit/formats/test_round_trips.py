"""What is written is read again, value by value and quality by quality; over CSV too nothing is lost."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from format_files import shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality, quality_name
from wattkeeper.formats.api import FormatError, IntervalBlock, LossList
from wattkeeper.formats.blocks import make_block, rows_of, table_of
from wattkeeper.formats.csv_cells import neutralise, restore
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import FORMATS, Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.formats.nem13 import register_blocks
from wattkeeper.formats.notes import pack_note, unpack_note
from wattkeeper.formats.quality_words import words_of

PLAIN = CsvOptions()
MISSING = Quality(Provenance.MISSING)
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


@pytest.mark.alike
@pytest.mark.parametrize(("form", "folder"), FOLDERS.items())
def test_shared_files(form: Format, folder: str) -> None:
    """File -> ours -> file -> ours, and file -> ours -> CSV -> ours -> file -> ours: all equal, notes too."""
    shared_path(f"vectors/{folder}")
    seen_count = 0
    for name, content in shared_files(folder):
        if "expected" in name:
            continue
        blocks = read_file(content, PLAIN).blocks
        if form == "nem12":  # some examples have NMIs that are none
            blocks = [block for block in blocks if len(block.usage_point) == 10]
        if not blocks:
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
nmis = st.text("ABCXYZ0189", min_size=10, max_size=10)
suffixes = st.text("EBQK123", min_size=2, max_size=2)
serials = (
    st.text("ABCXYZ0189-_ .#", min_size=1, max_size=10)
    .map(str.strip)
    .filter(lambda name: name[:1] not in ("", "-"))
)
WIDE = st.integers(-(2**52), 2**52)


@st.composite
def some_blocks(
    draw: st.DrawFn,
    named: st.SearchStrategy[str] = clean_names,
    values: st.SearchStrategy[int] = WIDE,
    units: tuple[str, ...] = ("Wh", "varh", "W", "V", "m3", ""),
    lengths: tuple[int, ...] = (300, 900, 1800, 3600),
    channels: st.SearchStrategy[str] | None = None,
    meters: st.SearchStrategy[str] | None = None,
    notes: st.SearchStrategy[str] | None = None,
) -> list[IntervalBlock]:
    """Draw blocks, each with another key."""
    keys = draw(
        st.lists(
            st.tuples(
                named,
                (named if meters is None else meters) | st.just(""),
                named if channels is None else channels,
                st.sampled_from(units),
                st.sampled_from(lengths),
            ),
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
        noted = [(one, draw(notes) if notes is not None else "") for one in kinds]
        found.append(make_block(key, starts, numbers, noted, place))
    return found


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


def is_kept_back(quality: Quality) -> bool:
    """Whether AEMO gets no value: measured, suspect and not verified."""
    grades = quality.flags & (Flag.VALIDATED | Flag.SUSPECT)
    return quality.provenance is Provenance.MEASURED and grades == Flag.SUSPECT


@given(some_blocks(nmis, st.integers(0, 2**52), ("Wh", "varh", "V"), channels=suffixes, meters=serials))
@settings(max_examples=60, deadline=None)
def test_nem12(blocks: list[IntervalBlock]) -> None:
    """All but measured suspect values, which are kept back."""
    held = reread("nem12", blocks)
    wanted = {row for row in present(rows_of(blocks, has_notes=False)) if not is_kept_back(row[3])}
    assert present(rows_of(held, has_notes=False)) == wanted
    assert rows_of(reread("nem12", reread("csv", held))) == rows_of(held)


@given(some_blocks(units=("Wh", "varh", "W", "V", "m3", "")))
@settings(max_examples=60, deadline=None)
def test_greenbutton(blocks: list[IntervalBlock]) -> None:
    held = reread("greenbutton", blocks)
    wanted = present(rows_of(blocks))
    assert rows_of(held) == wanted
    if held:
        assert rows_of(reread("greenbutton", reread("csv", held))) == wanted


@given(some_blocks(units=("Wh", "varh", "W", "V", "m3")))
@settings(max_examples=60, deadline=None)
def test_mscons(blocks: list[IntervalBlock]) -> None:
    held = reread("mscons", blocks)
    assert rows_of(held) == rows_of(blocks)
    assert rows_of(reread("mscons", reread("csv", held))) == rows_of(held)


READS = "aemo.previous_read=1&aemo.current_read=2&aemo.previous_quality=A"  # without them NEM13 has no record
UNSAID: dict[str, Callable[[Quality], bool]] = {
    "nem12": is_kept_back,
    "nem13": is_kept_back,
    "greenbutton": lambda quality: quality.provenance is Provenance.MISSING and quality != MISSING,
}


@pytest.mark.alike
@pytest.mark.parametrize("form", FORMATS)
@given(chosen=st.lists(qualities, min_size=1, max_size=40, unique=True))
@settings(max_examples=40, deadline=None)
def test_every_quality_comes_back_or_is_told(form: Format, chosen: list[Quality]) -> None:
    """Of all provenances, flags and methods only the few that a format has no place for, each by name."""
    starts = [MARKET_MIDNIGHT_S + 1800 * k for k in range(len(chosen))]
    values = [0 if q.provenance is Provenance.MISSING else 1000 + k for k, q in enumerate(chosen)]
    kinds = [(quality, READS if form == "nem13" else "") for quality in chosen]
    block = make_block(("6001234567", "", "E1", "Wh", 1800), starts, values, kinds, range(len(kinds)))
    losses = LossList()
    held = read_file(b"".join(write_file(form, [block], losses)), PLAIN).blocks
    found = {row[1]: row[3] for row in rows_of(held)}
    lost = [
        (quality_name(quality), quality_name(found.get(start, MISSING)))
        for start, quality in zip(starts, chosen, strict=True)
        if found.get(start, MISSING) != quality
    ]
    told = [(loss.params["quality"], loss.params["held_as"]) for loss in losses.all()]
    is_unsaid = UNSAID.get(form, lambda _quality: False)
    assert sorted(lost) == sorted(told)
    assert sorted(name for name, _ in lost) == sorted(quality_name(q) for q in chosen if is_unsaid(q))


@pytest.mark.parametrize(
    ("form", "module"), [("nem12", "nem12_quality"), ("greenbutton", "espi"), ("mscons", "mscons")]
)
def test_teeth_words_that_nobody_heeds_are_caught(
    form: Format, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: codes alone are read, and a gap filled from a check meter looks like any other."""
    chosen = [Quality(Provenance.ESTIMATED, Flag.SUSPECT | Flag.LATE, Method.CHECK_METER)]
    check = test_every_quality_comes_back_or_is_told.hypothesis.inner_test  # type: ignore[attr-defined]
    check(form, chosen)
    monkeypatch.setattr(f"wattkeeper.formats.{module}.heed_words", lambda *_of: None)
    with pytest.raises(AssertionError):
        check(form, chosen)


@pytest.mark.parametrize(
    ("form", "code", "other_code", "other"),
    [
        ("nem12", ",S17,", ",A,", Quality(Provenance.MEASURED)),
        ("greenbutton", "<quality>9<", "<quality>7<", Quality(Provenance.EDITED, Flag.SUSPECT)),
        ("mscons", "QTY+67:", "QTY+187:", Quality(Provenance.PROJECTED, Flag.SUSPECT)),
    ],
)
def test_words_that_the_codes_contradict_count_for_nothing(
    form: Format, code: str, other_code: str, other: Quality
) -> None:
    """Whoever changed the codes knew nothing of the words."""
    quality = Quality(Provenance.ESTIMATED, Flag.SUSPECT | Flag.LATE, Method.LINEAR)
    starts = [MARKET_MIDNIGHT_S + 1800 * k for k in range(48)]
    block = make_block(("6001234567", "", "E1", "Wh", 1800), starts, [5] * 48, [(quality, "")], [0] * 48)
    file = written(form, [block])
    assert {row[3] for row in rows_of(read_file(file, PLAIN).blocks)} == {quality}
    changed = file.replace(code.encode(), other_code.encode())
    assert changed != file
    assert {row[3] for row in rows_of(read_file(changed, PLAIN).blocks)} == {other}


@pytest.mark.parametrize(
    ("form", "name", "text"),
    [("nem12", "aemo.text", "{}"), ("mscons", "mscons.quality", "220;Z40++ZZZ:::{}")],
)
def test_a_note_says_no_quality(form: Format, name: str, text: str) -> None:
    note = pack_note({name: text.format(words_of(Quality(Provenance.MEASURED, Flag.VALIDATED)))})
    raw = Quality(Provenance.MEASURED)
    block = make_block(("6001234567", "", "E1", "Wh", 1800), [MARKET_MIDNIGHT_S], [5], [(raw, note)], [0])
    losses = LossList()
    held = read_file(b"".join(write_file(form, [block], losses)), PLAIN).blocks
    assert {row[3] for row in present(rows_of(held))} == {raw}
    assert [loss.params["names"] for loss in losses.all()] == [name]


def test_registers_go_round() -> None:
    """An `interval_s` of 0 is a register, in every format that knows them."""
    key = ("6001234567", "M-1", "import", "Wh", 0)
    starts = [MARKET_MIDNIGHT_S + 60 * minute for minute in (0, 7, 61)]
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block(key, starts, [1_000_000, 1_234_567, 2_000_000], kinds, [0, 0, 0])
    for form in ("csv", "xlsx", "greenbutton", "iec61968", "mscons"):
        assert rows_of(reread(form, [block])) == rows_of([block]), form
    losses = LossList()
    list(write_file("nem12", [block], losses))
    assert [loss.code for loss in losses.all()] == ["formats.interval-not-held"]


@pytest.mark.parametrize("form", ["greenbutton", "iec61968", "mscons"])
@pytest.mark.parametrize("interval_s", [0, 900])
@pytest.mark.parametrize(
    "note",
    [
        *[f"espi.accumulationBehaviour={code}" for code in "0123469"],
        *[f"iec.type=0.0.2.{code}.1.1.12.0.0.0.0.0.0.0.0.0.72.0" for code in "0123469"],
        *[f"mscons.at={code}" for code in (163, 164)],
    ],
)
def test_a_detail_makes_no_register_of_an_interval(form: Format, interval_s: int, note: str) -> None:
    key = ("6001234567", "M-1", "import", "Wh", interval_s)
    block = make_block(key, [MARKET_MIDNIGHT_S], [5], [(Quality(Provenance.MEASURED), note)], [0])
    assert rows_of(reread(form, [block]), has_notes=False) == rows_of([block], has_notes=False)


def test_what_a_format_can_not_hold_is_counted() -> None:
    kinds = [
        (Quality(Provenance.MEASURED, Flag.SUSPECT | Flag.LATE), ""),
        (Quality(Provenance.ESTIMATED, Flag.NONE, Method.LINEAR), ""),
    ]
    starts = [MARKET_MIDNIGHT_S + 900 * k for k in range(4)]
    block = make_block(("6001234567", "", "E1", "Wh", 900), starts, [1, 2, -3, 4], kinds, [0, 1, 1, 1])
    losses = LossList()
    list(write_file("nem12", [block], losses))
    assert [(loss.code, loss.params["interval_count"]) for loss in losses.all()] == [
        ("formats.quality-folded", 1),
        ("formats.negative-not-held", 1),
    ]
    for form in ("greenbutton", "iec61968"):
        losses = LossList()
        list(write_file(form, [block], losses))
        assert losses.all() == []


def test_every_format_has_a_reader_and_a_writer() -> None:
    kinds = [(Quality(Provenance.MEASURED), READS)]
    block = make_block(("6001234567", "", "E1", "Wh", 1800), [MARKET_MIDNIGHT_S], [10**6], kinds, [0])
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

    def forgetful(kinds: Any) -> Any:
        return table_of([(q._replace(flags=Flag.NONE), note) for q, note in kinds])

    monkeypatch.setattr("wattkeeper.formats.tables.table_of", forgetful)
    assert rows_of(reread("csv", [block])) != rows_of([block])


def test_of_two_at_one_instant_the_first_stays() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block(("UP", "", "E1", "Wh", 900), [900, 0, 900], [1, 2, 3], kinds, [0, 0, 0])
    assert block.starts_at_s.tolist() == [0, 900]
    assert np.array_equal(block.value_milli, [2, 1])


DETAILS = {
    "aemo.config": "E1B1",
    "aemo.register": "001",
    "aemo.reason": "79",
    "aemo.text": "a text, with marks; and = more",
    "aemo.updated": "20260302010203",
    "aemo.reads": "O,S01009,20260301000000,001",
    "aemo.previous_read": "12",
    "espi.phase": "769",
    "espi.reading.cost": "1234",
    "mscons.loc": "237",
    "mscons.dtm137": "202603010000+00:303",
    "mscons.pia": "a'b",
    "iec.type": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.128.0.72.0",
}
some_notes = st.dictionaries(
    st.sampled_from([name for name in sorted(DETAILS) if name != "iec.type"]), st.none(), max_size=5
).map(lambda chosen: pack_note({name: DETAILS[name] for name in chosen}))


def details_of(rows: set[Any]) -> set[Any]:
    """Return rows that have a value, a NEM12 suffix for a standard channel, notes as sets of fields."""
    suffix = {"import": "E1", "export": "B1"}
    return {
        (
            (*row[0][:2], suffix.get(row[0][2], row[0][2]), *row[0][3:]),
            *row[1:4],
            frozenset(unpack_note(row[4]).items()),
        )
        for row in present(rows)
    }


ADDED = {("aemo.reason", "24")}  # a substitute must have a reason there


def is_kept(wanted: set[Any], found: set[Any]) -> bool:
    """Whether rows came back; what a format has to add to them is no loss."""
    by_key = {row[:4]: row[4] for row in found}
    return by_key.keys() == {row[:4] for row in wanted} and all(
        row[4] <= by_key[row[:4]] <= row[4] | ADDED for row in wanted
    )


@pytest.mark.alike
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
@given(
    blocks=some_blocks(
        nmis | clean_names,
        st.integers(-3, 2**40),
        ("Wh", "V", "J", "Hz"),
        (300, 900, 1800, 0, 7),
        channels=st.sampled_from(["import", "export", "E1", "B1", "=q", "net"]),
        notes=some_notes,
    )
)
@settings(max_examples=6, deadline=None, phases=(Phase.reuse, Phase.generate))
def test_there_and_back_is_equal_or_told(form: Format, other: Format, blocks: list[IntervalBlock]) -> None:
    """Over any two formats: what came back is what went, or the way there or back has told a loss."""
    losses = LossList()
    content = blocks
    for step in (form, other):
        file = b"".join(write_file(step, content, losses))
        if step == "greenbutton" and b"<entry>" not in file:
            content = []  # all was refused or missing: a feed of nothing is nobody's
            continue
        parsed = read_file(file, PLAIN)
        assert [error for error in parsed.errors if error.code != "formats.no-intervals"] == []
        content = parsed.blocks
    assert losses.all() or is_kept(details_of(rows_of(blocks)), details_of(rows_of(content)))


@pytest.mark.parametrize("form", ["csv", "nem13", "greenbutton", "iec61968", "mscons"])
@pytest.mark.parametrize("step_milli", [1, 1000, 10_000, 10**5, 10**6])
@pytest.mark.parametrize("counts", [(7, 18, 30), (10, 20, 30)], ids=["", "digits that are all zeros"])
def test_how_fine_a_register_is_comes_back(form: Format, step_milli: int, counts: tuple[int, ...]) -> None:
    key = ("6001234567", "M1", "E1", "Wh", 0)
    raw = [(Quality(Provenance.MEASURED), "")]
    at_s = [MARKET_MIDNIGHT_S + 3600 * nth for nth in range(3)]
    block = make_block(key, at_s, [count * step_milli for count in counts], raw, [0] * 3)
    found = reread(form, [dataclasses.replace(block, step_milli=step_milli)])
    own = register_blocks(found)[0] if form == "nem13" else found
    assert [(one.step_milli, one.value_milli.tolist()) for one in own] == [
        (step_milli, block.value_milli.tolist())
    ]


def test_missing_reads_do_not_tell_how_fine_a_register_is() -> None:
    kinds = [(Quality(Provenance.MEASURED), ""), (MISSING, "")]
    for values, place, step_milli in (([5_000_000, 0], [0, 1], 10**6), ([0, 0], [1, 1], 0)):
        block = make_block(("P", "", "import", "Wh", 0), [0, 900], values, kinds, place)
        own = dataclasses.replace(block, step_milli=step_milli)
        assert [one.step_milli for one in reread("iec61968", [own])] == [step_milli]
        assert [one.step_milli for one in reread("csv", [own])] == [step_milli]


@pytest.mark.parametrize("form", ["nem12", "nem13", "greenbutton", "mscons"])
def test_lost_details_are_told_by_name(form: Format) -> None:
    """Tables and IEC 61968-9 have a place for them all."""
    note = pack_note(DETAILS) + "&odd"
    kinds = [(Quality(Provenance.MEASURED), note), (Quality(Provenance.ESTIMATED, method=Method.LINEAR), "")]
    starts = [MARKET_MIDNIGHT_S + 900 * k for k in range(3)]
    block = make_block(("6001234567", "", "E1", "Wh", 900), starts, [1, 2, 3], kinds, [0, 0, 1])
    losses = LossList()
    list(write_file(form, [block], losses))
    told = next(loss.params for loss in losses.all() if loss.code == "formats.details-not-held")
    names = set(str(told["names"]).split(", "))
    family = {"nem12": "aemo", "nem13": "aemo", "greenbutton": "espi", "mscons": "mscons"}[form]
    assert {name for name in DETAILS if not name.startswith(family)} | {"details"} <= names
    assert told["interval_count"] == 2
    assert "aemo.text" in names  # its comma would end the cell
    for whole in ("csv", "xlsx", "iec61968"):
        plain = [dataclasses.replace(block, notes=("", pack_note(DETAILS)))]
        losses = LossList()
        held = read_file(b"".join(write_file(whole, plain, losses)), PLAIN).blocks
        assert losses.all() == []
        assert details_of(rows_of(held)) == details_of(rows_of(plain))


def test_teeth_a_format_that_forgets_silently_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [(Quality(Provenance.MEASURED), pack_note({"espi.reading.cost": "5"}))]
    block = make_block(("6001234567", "", "E1", "Wh", 900), [MARKET_MIDNIGHT_S], [5], kinds, [0])
    check = test_there_and_back_is_equal_or_told.hypothesis.inner_test  # type: ignore[attr-defined]
    check("nem12", "csv", [block])
    monkeypatch.setattr("wattkeeper.formats.files.hold_details", lambda _form, block, _losses: block)
    with pytest.raises(AssertionError):
        check("nem12", "csv", [block])


def test_details_that_differ_within_a_day_are_told() -> None:
    """A day says its update once, for all of its intervals."""
    kinds = [
        (Quality(Provenance.MEASURED), pack_note({"aemo.updated": day})) for day in ("20260301", "20260302")
    ]
    starts = [MARKET_MIDNIGHT_S + 900 * k for k in range(3)]
    block = make_block(("6001234567", "", "E1", "Wh", 900), starts, [1, 2, 3], kinds, [0, 1, 1])
    losses = LossList()
    list(write_file("nem12", [block], losses))
    assert [(loss.code, loss.params) for loss in losses.all()] == [
        ("formats.details-not-held", {"names": "aemo.updated", "interval_count": 2})
    ]


def test_slots_outside_the_file_are_missing_never_zero() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]
    starts = [MARKET_MIDNIGHT_S + 1800 * k for k in (3, 5)]
    block = make_block(("6001234567", "", "import", "Wh", 1800), starts, [0, 7000], kinds, [0, 0])
    losses = LossList()
    file = b"".join(write_file("nem12", [block], losses))
    assert losses.all() == []
    back = read_file(file, PLAIN).blocks
    assert {row[1:3] for row in present(rows_of(back))} == {(starts[0], 0), (starts[1], 7000)}
    assert len(back[0].starts_at_s) == 48
    table = b"".join(write_file("csv", back, losses)).decode().splitlines()
    assert sum(line.endswith(",1800,,kWh,missing") for line in table) == 46
    assert sum(",0,kWh,raw" in line for line in table) == 1


def test_the_head_of_a_nem12_file_and_its_names() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]

    def told(*blocks: tuple[str, str, str, str]) -> tuple[list[str], list[tuple[str, object]]]:
        losses = LossList()
        made = [make_block((*key, 1800), [MARKET_MIDNIGHT_S], [5], kinds, [0]) for key in blocks]
        lines = b"".join(write_file("nem12", made, losses)).decode().splitlines()
        return lines, [
            (loss.code, loss.params.get("channel", loss.params.get("name"))) for loss in losses.all()
        ]

    lines, losses = told(
        *(("6001234567", "", name, unit) for name in ("import", "export") for unit in ("Wh", "varh"))
    )
    assert lines[0] == "100,NEM12,202603010030,WATTKEEPER,UNKNOWN"
    assert [line.split(",")[4] for line in lines if line.startswith("200")] == ["E1", "Q1", "B1", "K1"]
    assert losses == []
    for point in ("UP", "60012345678", "=cmd|x", "=cmd|x0000", "600123456\u0662", "60012,4567"):
        assert told((point, "", "E1", "Wh"))[1] == [("nem12.not-a-nmi", "E1")], point
    for channel in ("net", "E", "=1", "import"):
        assert told(("6001234567", "", channel, "V"))[1] == [("nem12.not-a-suffix", channel)], channel
    for serial in ("=cmd|x", "@x", "a,b", "a "):
        assert told(("6001234567", serial, "E1", "Wh"))[1] == [("formats.name-not-held", serial)], serial
    both = told(("6001234567", "", "import", "Wh"), ("6001234567", "", "E1", "Wh"))
    assert [code for code, _name in both[1]] == ["nem12.day-written"]
    assert sum(line.startswith("300") for line in both[0]) == 1


@given(st.text("=+-@'aq\t", max_size=5), st.text("=+-@'aq\t", max_size=5))
def test_the_escape_of_a_table_is_injective(first: str, second: str) -> None:
    assert restore(neutralise(first)) == first
    assert (neutralise(first) == neutralise(second)) == (first == second)


def test_a_bare_formula_is_the_same_name_as_ours() -> None:
    """Documented in csv_cells.py: of two rows that call one interval by both, the second is told."""
    head = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
    row = "{},E1,2026-02-28T14:00:00Z,1800,{},kWh,raw\n"
    parsed = read_file((head + row.format("'=q", 1) + row.format("=q", 2)).encode(), PLAIN)
    assert [(error.line, error.code) for error in parsed.errors] == [(3, "csv.interval-twice")]
    assert [block.usage_point for block in parsed.blocks] == ["=q"]
    parsed = read_file((head + row.format("''=q", 1) + row.format("'=q", 2)).encode(), PLAIN)
    assert {block.usage_point for block in parsed.blocks} == {"'=q", "=q"}


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(codec: str) -> None:
    """XML may be UTF-16 (its entities are refused there too); so may a table, without its mark too."""
    kinds = [(Quality(Provenance.MEASURED), "")]
    block = make_block(("UP\u00fc", "", "E1", "Wh", 1800), [MARKET_MIDNIGHT_S], [5], kinds, [0])
    mark = "" if codec == "utf-16" else "\ufeff"
    for form in ("greenbutton", "iec61968"):
        text = mark + written(form, [block]).decode().replace('encoding="UTF-8"', 'encoding="UTF-16"')
        assert rows_of(read_file(text.encode(codec), PLAIN).blocks) == rows_of([block]), form
        entity = '<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<'
        bad = text.replace("?>\n<", "?>\n" + entity, 1)
        with pytest.raises(FormatError) as caught:
            read_file(bad.encode(codec), PLAIN)
        assert (caught.value.code, caught.value.params["line"]) == ("xml.doctype", 2)
    for form in ("csv", "nem12"):
        block = make_block(("NMIA123456", "", "E1", "Wh", 1800), [MARKET_MIDNIGHT_S], [5], kinds, [0])
        content = written(form, [block])
        wide = (mark + content.decode()).encode(codec)
        assert rows_of(read_file(wide, PLAIN).blocks) == rows_of(read_file(content, PLAIN).blocks)
        bare = wide.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
        assert rows_of(read_file(bare, PLAIN).blocks) == rows_of(read_file(content, PLAIN).blocks)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_document_type_of_an_unknown_kind_is_told(codec: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_file("<?xml version='1.0'?>\n\n<!DOCTYPE html>\n<html/>".encode(codec), PLAIN)
    assert (caught.value.code, caught.value.params["line"]) == ("xml.doctype", 3)
    for text in ("<html/>", "<html", "<a>" * 10 + "<!DOCTYPE b>"):
        with pytest.raises(FormatError) as caught:
            read_file(text.encode(codec), PLAIN)
        assert caught.value.code == "formats.unknown"
