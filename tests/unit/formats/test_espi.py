"""Green Button: the shared feeds with their known sums, qualities, links, and what must be refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_files import expected, shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import FormatError, LossList
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.espi import default_type, read_espi
from wattkeeper.formats.espi_write import write_espi
from wattkeeper.formats.files import read_file

READING = (
    "<IntervalReading>{quality}<timePeriod><duration>900</duration><start>{start}</start></timePeriod>"
    "<value>{value}</value></IntervalReading>"
)
FEED = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom">
<entry><link rel="self" href="/x/UsagePoint/7"/><content><UsagePoint xmlns="http://naesb.org/espi"/></content></entry>
<entry><link rel="self" href="/x/UsagePoint/7/MeterReading/1"/><link rel="related" href="/x/ReadingType/1"/>
<content><MeterReading xmlns="http://naesb.org/espi"/></content></entry>
<entry><link rel="self" href="/x/ReadingType/1"/><content><ReadingType xmlns="http://naesb.org/espi">
{type}</ReadingType></content></entry>
<entry><link rel="self" href="/x/UsagePoint/7/MeterReading/1/IntervalBlock/1"/>
<content><IntervalBlock xmlns="http://naesb.org/espi">
{readings}
</IntervalBlock></content></entry></feed>"""
WH = "<uom>72</uom><powerOfTenMultiplier>0</powerOfTenMultiplier><flowDirection>{flow}</flowDirection>"


def feed(*readings: str, kind: str = WH.format(flow=1)) -> bytes:
    """Return a feed of one meter reading."""
    return FEED.format(type=kind, readings="\n".join(readings)).encode()


def reading(start: object = 900, value: object = 5, *qualities: int) -> str:
    """Return a reading."""
    quality = "".join(f"<ReadingQuality><quality>{code}</quality></ReadingQuality>" for code in qualities)
    return READING.format(start=start, value=value, quality=quality)


def test_shared_feeds() -> None:
    """Every sum and count that the origin of the file gives; what collides is named, not dropped."""
    shared_path("vectors/greenbutton")
    cases = expected("greenbutton/expected_sums.json")
    seen_count = 0
    for name, content in shared_files("greenbutton/espi"):
        case = cases.get(name.rpartition("/")[2])
        if case is None:
            continue
        parsed = read_espi(content)
        refused_count = sum(error.code == "espi.reading-twice" for error in parsed.errors)
        assert refused_count == len(parsed.errors)
        count = sum(len(block.value_milli) for block in parsed.blocks)
        assert count + refused_count == case["readings"], name  # type: ignore[index]
        types = case["reading_types"]  # type: ignore[index]
        power = 3 + int(types[0][0] or 0)
        if not refused_count:
            total = sum(int(block.value_milli.sum()) for block in parsed.blocks)
            assert total == case["raw_sum"] * 10**power, name  # type: ignore[index]
        seen_count += 1
    assert seen_count == len(cases)


def test_what_it_says() -> None:
    parsed = read_espi(feed(reading(1800, 7), reading(900, -5)))
    assert parsed.errors == []
    block = parsed.blocks[0]
    assert (block.usage_point, block.channel, block.unit, block.interval_s) == ("7", "import", "Wh", 900)
    assert block.starts_at_s.tolist() == [900, 1800]
    assert block.value_milliwh.tolist() == [-5000, 7000]


@pytest.mark.parametrize(
    ("codes", "provenance", "flags", "method"),
    [
        ((), Provenance.MEASURED, Flag.NONE, Method.NONE),
        ((0,), Provenance.MEASURED, Flag.VALIDATED, Method.NONE),
        ((8,), Provenance.ESTIMATED, Flag.NONE, Method.LIKE_DAY),
        ((9, 17), Provenance.ESTIMATED, Flag.VALIDATED, Method.LINEAR),
        ((7,), Provenance.EDITED, Flag.NONE, Method.NONE),
        ((10,), Provenance.MEASURED, Flag.SUSPECT, Method.NONE),
        ((12,), Provenance.PROJECTED, Flag.NONE, Method.NONE),
    ],
)
def test_qualities(codes: tuple[int, ...], provenance: Provenance, flags: Flag, method: Method) -> None:
    block = read_espi(feed(reading(900, 5, *codes))).blocks[0]
    assert (block.provenance[0], block.flags[0], block.method[0]) == (provenance, flags, method)


@pytest.mark.parametrize(("multiplier", "value"), [(-3, 5), (0, 5000), (3, 5_000_000), (6, 5 * 10**9)])
def test_multipliers(multiplier: int, value: int) -> None:
    kind = WH.format(flow=19).replace(">0<", f">{multiplier}<")
    block = read_espi(feed(reading(900, 5), kind=kind)).blocks[0]
    assert (block.channel, block.value_milli.tolist()) == ("export", [value])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (reading("x", 5), "espi.wrong-time"),
        (reading(900, "5x"), "formats.not-a-number"),
        (reading(900, ""), "formats.value-blank"),
        (reading(900, 5, 99), "espi.quality-unknown"),
        (reading(1800, 5), "espi.reading-twice"),
        (reading(900, 5).replace("<duration>900", "<duration>-1"), "espi.wrong-time"),
    ],
)
def test_a_wrong_reading_is_named_and_the_rest_is_read(wrong: str, code: str) -> None:
    parsed = read_espi(feed(reading(1800, 7), wrong, reading(2700, 8)))
    assert [(error.line, error.code) for error in parsed.errors] == [(11, code)]
    assert parsed.blocks[0].value_milli.tolist()[-2:] == [7000, 8000]


@pytest.mark.parametrize(("behaviour", "is_read"), [("", False), ("4", False), ("12", False), ("3", True)])
def test_energy_of_no_length_is_no_register_unless_its_type_says_so(behaviour: str, is_read: bool) -> None:
    said = f"<accumulationBehaviour>{behaviour}</accumulationBehaviour>" if behaviour else ""
    readings = [reading(900, 5).replace(">900</d", ">0</d"), reading(1800, 6).replace(">900</d", "></d")]
    parsed = read_espi(feed(*readings, kind=said + WH.format(flow=1)))
    assert [(error.line, error.code) for error in parsed.errors] == (
        [] if is_read else [(10, "espi.no-length"), (11, "espi.no-length")]
    )
    assert [block.interval_s for block in parsed.blocks] == [0] * is_read


@pytest.mark.parametrize("behaviour", ["1", "2", "3", "9", "13", "14"])
def test_what_a_register_shows_is_not_used_in_the_time_it_is_told_with(behaviour: str) -> None:
    said = f"<accumulationBehaviour>{behaviour}</accumulationBehaviour>"
    blocks = read_espi(feed(reading(900, 10_001_000), kind=said + WH.format(flow=1))).blocks
    assert [block.interval_s for block in blocks] == [0]
    assert rows_of(read_espi(b"".join(write_espi(blocks, LossList()))).blocks) == rows_of(blocks)


def test_too_fine_for_thousandths() -> None:
    kind = WH.format(flow=1).replace(">0<", ">-6<")
    parsed = read_espi(feed(reading(900, 5), reading(1800, 5000), kind=kind))
    assert [error.code for error in parsed.errors] == ["formats.value-too-fine"]
    assert parsed.blocks[0].value_milli.tolist() == [5]


ENERGY = [  # of channels of one type
    make_block(("P", "", channel, "Wh", 900), [0, 900, 1800], [1, 2, 3], [(raw, "")], [0, 0, 0])
    for raw in [Quality(Provenance.MEASURED)]
    for channel in ("B1", "B2", "B3")
]
OURS = b"".join(write_espi(ENERGY, LossList()))


def told(content: bytes) -> set[tuple[object, ...]]:
    """Return the usage point, direction, unit, start and value of each reading.

    Another's channel is named by its direction, and by its own link where there are several.
    """
    return {
        (row[0][0], row[0][2].partition("-")[0], *row[0][3:], *row[1:4])
        for row in rows_of(read_espi(content).blocks)
    }


@pytest.mark.parametrize("whole", [OURS, OURS.replace(b"Wattkeeper<", b"Other<")], ids=["ours", "another's"])
def test_what_stands_before_a_break_is_read_and_is_nobody_else_s(whole: bytes) -> None:
    """Neither of another channel nor in another unit."""
    known = told(whole)
    for cut in range(1, len(whole) - 20, 37):
        assert told(whole[:cut]) <= known
        assert read_espi(whole[:cut]).errors[-1].code == "xml.broken"


def test_of_an_entry_that_is_cut_short_the_whole_readings_are_read() -> None:
    whole = feed(reading(900, 5), reading(1800, 6))
    parsed = read_espi(whole[: whole.index(b"<value>6")])
    assert [block.value_milli.tolist() for block in parsed.blocks] == [[5000]]
    assert [error.code for error in parsed.errors] == ["xml.broken"]
    own = b'<link rel="self" href="/x/UsagePoint/7/MeterReading/1/IntervalBlock/1"/>'
    parsed = read_espi(whole.replace(own, b"").replace(b"</entry></feed>", b"<link"))
    assert (parsed.blocks, [error.code for error in parsed.errors]) == ([], ["xml.broken"])


def test_a_feed_of_nothing_is_known_again() -> None:
    """It named no schema: what held nothing that ESPI can say was of no known format."""
    parsed = read_file(b"".join(write_espi([], LossList())), CsvOptions())
    assert [error.code for error in parsed.errors] == ["formats.no-intervals"]


def test_readings_of_no_type_have_no_unit() -> None:
    untold = feed(reading(900, 5)).replace(b"<ReadingType", b"<Other").replace(b"</ReadingType", b"</Other")
    parsed = read_espi(untold)
    assert (parsed.blocks, [error.code for error in parsed.errors]) == ([], ["formats.unit-unknown"])


BOMBS = {
    "external entity": '<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed>&x;</feed>',
    "laughs": '<!DOCTYPE feed [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><feed>&b;</feed>',
    "external subset": '<!DOCTYPE feed SYSTEM "http://example.com/x.dtd"><feed/>',
    "parameter entity": '<!DOCTYPE feed [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><feed/>',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_document_types_are_refused_with_an_error(bomb: str) -> None:
    with pytest.raises(FormatError, match=r"xml\.doctype"):
        read_espi(b"<?xml version='1.0'?>" + bomb.encode())


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(FormatError, match=r"xml\.too-deep"):
        read_espi(b"<feed>" + b"<a>" * 200)


@pytest.mark.parametrize("encoding", ["UTF-4", "rot13", "hex", "undefined", "gb18030", "utf-7"])
def test_an_encoding_that_nobody_can_read_is_an_error(encoding: str) -> None:
    """Found by the fuzzer: the parser lets what Python's codecs raise through."""
    head = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    assert [error.code for error in read_espi(head + b'<feed xmlns="http://naesb.org/espi"/>').errors] == [
        "xml.broken"
    ]
    with pytest.raises(FormatError) as caught:
        read_file(head + b"<other/>", CsvOptions())
    assert caught.value.code == "formats.unknown"


@given(st.integers(0, 900), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_nothing_else_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    whole = feed(reading(900, 5, 8), reading(1800, 6))
    for damaged in (whole[:at], whole[:at] + junk + whole[at + cut :], junk):
        try:
            parsed = read_espi(damaged)
            is_told = bool(parsed.errors or parsed.blocks)
        except FormatError as error:
            is_told = error.code.startswith("xml.")
        assert is_told


@pytest.mark.parametrize(
    ("channel", "direction"),
    [("B1", "19"), ("export", "19"), ("E1", "1"), ("Bezug", "1"), ("Blindarbeit", "1")],
)
def test_a_name_that_begins_with_b_is_no_export(channel: str, direction: str) -> None:
    assert default_type(channel, "Wh", 900)["flowDirection"] == direction
