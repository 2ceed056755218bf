"""MSCONS: the shared interchanges with their known sums, marks, releases, statuses, and broken segments."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_files import expected, shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import mscons
from wattkeeper.formats.api import LossList
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.mscons import parse_instant, read_mscons, split_at
from wattkeeper.formats.mscons_write import write_mscons

VALUE = (
    "QTY+{qualifier}:{value}:KWH'DTM+163:2026030100{start:02d}?+00:303'DTM+164:2026030100{end:02d}?+00:303'"
)
HEAD = (
    "UNA:+.? 'UNB+UNOC:3+1:500+2:500+260302:1200+R1++TL'UNH+1+MSCONS:D:04B:UN:2.4c'BGM+7+B1+9'UNS+D'NAD+DP'"
    "LOC+172+DE001'RFF+MG:M-1'LIN+1'PIA+5+1-1?:1.29.0:SRW'"
)
TAIL = "UNT+{count}+1'UNZ+1+R1'"
SEGMENTS_BEFORE_COUNT = 2  # UNA and UNB; the message begins after them


def value(start: int = 0, text: object = "1.5", qualifier: str = "220", more: str = "") -> str:
    """Return the segments of one quarter hour's value."""
    return VALUE.format(qualifier=qualifier, value=text, start=start, end=start + 15) + more


def file(*values: str) -> bytes:
    """Return an interchange."""
    message = HEAD + "".join(values)
    count = len(split_at(message, "'", "?")) - SEGMENTS_BEFORE_COUNT
    return (message + TAIL.format(count=count)).encode()


def test_shared_interchanges() -> None:
    """Counts and sums as a tokenizer and an independent reader have them; each wrong period named."""
    shared_path("vectors/mscons")
    cases = expected("mscons/expected.json")
    seen_count = 0
    for name, content in shared_files("mscons"):
        case = cases.get(name.removeprefix("mscons/"))
        if case is None:
            continue
        parsed = read_mscons(content)
        channels = case["channels"]  # type: ignore[index]
        refused = [
            error for error in parsed.errors if error.code in ("mscons.wrong-time", "mscons.value-twice")
        ]
        assert len(refused) == len(parsed.errors)
        count = sum(len(block.value_milli) for block in parsed.blocks)
        assert count + len(refused) == sum(one["n"] for one in channels.values()), name
        if not refused:
            total = sum(int(block.value_milli.sum()) for block in parsed.blocks)
            wanted = sum(Decimal(str(one["sum"])) for one in channels.values())
            assert total == int(wanted * 1000) or total == int(wanted * 10**6), name
        seen_count += 1
    assert seen_count >= 2


def test_the_sample_whose_own_clock_is_wrong() -> None:
    """In SAMPLE01 a value runs from 16:45 to 16:00, and the next three tell 16:00 to 16:45 a second time.

    So exit 1 is right: `expected.json` counts what a tokenizer sees, and no reader can say which of two
    values at one instant holds. The first stays, the others are named by their segment.
    """
    content = dict(shared_files("mscons")).get("mscons/vdm_MSCONS_TL_SAMPLE01.txt")
    if content is None:
        pytest.skip("shared/vectors/mscons is not beside this checkout")
    assert [(error.line, error.code) for error in read_mscons(content).errors] == [
        (5677, "mscons.wrong-time"),
        (5680, "mscons.value-twice"),
        (5683, "mscons.value-twice"),
        (5686, "mscons.value-twice"),
    ]
    segments = split_at(content.decode("latin-1"), "'", "?")
    assert [segment.strip() for segment in segments[5676:5679]] == [
        "QTY+220:0,074",
        "DTM+163:201512201645?+01:303",
        "DTM+164:201512201600?+01:303",
    ]


def test_a_day_of_23_hours() -> None:
    content = dict(shared_files("mscons")).get("mscons/vdm_MSCONS_TL_Multiple_LOC_SAMPLE.txt")
    if content is None:
        pytest.skip("shared/vectors/mscons is not beside this checkout")
    parsed = read_mscons(content)
    assert parsed.errors == []
    assert [len(block.value_milli) for block in parsed.blocks] == [2972, 2972]  # March, a quarter hour each
    assert all((np.diff(block.starts_at_s) == 900).all() for block in parsed.blocks)


def test_what_it_says() -> None:
    parsed = read_mscons(file(value(15, "2"), value(0, "-1.25")))
    assert parsed.errors == []
    block = parsed.blocks[0]
    assert (block.usage_point, block.meter_serial, block.channel) == ("DE001", "M-1", "1-1:1.29.0")
    assert (block.unit, block.interval_s) == ("Wh", 900)
    assert block.starts_at_s.tolist() == [1_772_323_200, 1_772_324_100]
    assert block.value_milliwh.tolist() == [-1_250_000, 2_000_000]


def test_other_marks() -> None:
    text = (
        "UNA|*,! ~UNB*UNOC|3*1*2*260302|1200*R1~UNH*1*MSCONS|D|04B|UN|2.4c~NAD*DP~LOC*172*DE*001~LIN*1~"
        "PIA*5*1-1:1.29.0|SRW~QTY*220|1,5|KWH~DTM*163|202603010000+00|303~DTM*164|202603010015+00|303~"
        "UNT*9*1~UNZ*1*R1~"
    )
    parsed = read_mscons(text.encode())
    assert parsed.errors == []
    assert parsed.blocks[0].value_milli.tolist() == [1_500_000]
    assert (parsed.blocks[0].usage_point, parsed.blocks[0].channel) == ("DE/001", "1-1:1.29.0")


def test_releases() -> None:
    text = file(value()).decode().replace("LOC+172+DE001'", "LOC+172+A?'B??'LOC+172+C?+D?:E'")
    assert read_mscons(text.encode()).blocks[0].usage_point == "C+D:E"
    assert split_at("a?'b'c??'d", "'", "?") == ["a?'b", "c??", "d"]
    tricky = HEAD + "FTX+AAI+++a text with ?'QTY+220:9:KWH?' in it'" + value(0, "1") + TAIL
    assert read_mscons(tricky.encode()).blocks[0].value_milli.tolist() == [1_000_000]


@pytest.mark.parametrize(
    ("qualifier", "more", "provenance", "flags", "method"),
    [
        ("220", "", Provenance.MEASURED, Flag.NONE, Method.NONE),
        ("67", "STS+Z32++Z92'", Provenance.ESTIMATED, Flag.NONE, Method.LINEAR),
        ("67", "STS+Z32++Z95'STS+Z40++Z76'", Provenance.ESTIMATED, Flag.POWER_LOST, Method.LIKE_DAY),
        ("220", "STS+Z33++Z87'", Provenance.MEASURED, Flag.VALIDATED | Flag.ACCEPTED, Method.NONE),
        ("Z30", "", Provenance.MISSING, Flag.NONE, Method.NONE),
    ],
)
def test_qualities(qualifier: str, more: str, provenance: Provenance, flags: Flag, method: Method) -> None:
    block = read_mscons(file(value(0, "0", qualifier, more), value(15))).blocks[0]
    assert (block.provenance[0], block.flags[0], block.method[0]) == (provenance, flags, method)
    assert block.provenance[1] == Provenance.MEASURED


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (value(15, "1,5"), "formats.not-a-number"),
        (value(15, "1", "999"), "mscons.quality-unknown"),
        (value(15).replace("KWH", "XYZ"), "formats.unit-unknown"),
        (value(15).replace("202603010030", "202603010010"), "mscons.wrong-time"),
        (value(15).replace("?+00:303", ":303"), "mscons.wrong-time"),
        (value(15).replace("DTM+163", "DTM+XXX").replace("DTM+164", "DTM+XXY"), "mscons.no-time"),
        (value(15).replace("DTM+163", "DTM+XXX"), "mscons.no-time"),
        (value(15).replace("DTM+164", "DTM+XXX"), "mscons.no-time"),
        (value(0, "3"), "mscons.value-twice"),
    ],
)
def test_a_wrong_value_is_named_and_the_rest_is_read(wrong: str, code: str) -> None:
    parsed = read_mscons(file(value(), wrong, value(30)))
    assert [(error.line, error.code) for error in parsed.errors] == [(14, code)]
    assert parsed.blocks[0].value_milli.tolist() == [1_500_000, 1_500_000]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "mscons.no-header"),
        (b"UNA''''''", "mscons.no-header"),
        (b"hello", "mscons.no-header"),
        (file(), "formats.no-intervals"),
        (file(value()).replace(b"UNZ", b"UNX"), "mscons.no-end"),
        (file(value()).replace(b"+MSCONS", b"+UTILMD"), "mscons.other-message"),
        (file(value()).replace(b"LOC+172+DE001'", b""), "csv.wrong-name"),
    ],
)
def test_whole_files(content: bytes, code: str) -> None:
    assert code in [error.code for error in read_mscons(content).errors]


WHOLE = file(value(), value(15))
LOST = {
    "a value": (WHOLE.replace(value(15).encode(), b""), 14, "mscons.too-few"),
    "a reference": (WHOLE.replace(b"RFF+MG:M-1'", b""), 16, "mscons.too-few"),
    "the trailer": (WHOLE.replace(b"UNT+15+1'", b""), 17, "mscons.no-trailer"),
    "a message": (WHOLE.replace(b"UNZ+1", b"UNZ+2"), 18, "mscons.too-few"),
    "the count": (WHOLE.replace(b"UNT+15", b"UNT+x"), 17, "mscons.too-few"),
    "the end": (WHOLE[: WHOLE.index(b"UNZ")], 18, "mscons.no-end"),
}


@pytest.mark.parametrize(("content", "line", "code"), LOST.values(), ids=list(LOST))
def test_what_was_lost_on_the_way_is_told_by_the_counts(content: bytes, line: int, code: str) -> None:
    """A segment that is not there leaves no other trace."""
    assert read_mscons(WHOLE).errors == []
    assert [(error.line, error.code) for error in read_mscons(content).errors] == [(line, code)]


@pytest.mark.parametrize("qualifier", ["163", "164"])
def test_a_time_that_is_told_twice_leaves_the_value_out(qualifier: str) -> None:
    """It may be another value's: an interval would be as long as to there."""
    again = value(15, more=f"DTM+{qualifier}:202603020000?+00:303'")
    parsed = read_mscons(file(value(), again, value(30)))
    assert [(error.line, error.code) for error in parsed.errors] == [(17, "mscons.wrong-time")]
    assert parsed.blocks[0].value_milli.tolist() == [1_500_000, 1_500_000]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_of_a_file_that_is_cut_off_nothing_becomes_another(data: st.DataObject) -> None:
    """Neither a value nor its quality: of the last one more may have been said."""
    more = st.sampled_from(
        ["", "STS+Z32++Z92'", "STS+Z40++Z76'STS+Z32++Z95'", "STS+Z40++ZZZ:::wattkeeper quality est late'"]
    )
    values = [value(15 * at, at + 1, "67", data.draw(more)) for at in range(3)]
    whole = file(*values)
    known = rows_of(read_mscons(whole).blocks)
    cut = read_mscons(whole[: data.draw(st.integers(len(HEAD), len(whole) - 1))])
    assert rows_of(cut.blocks) <= known
    assert cut.errors or rows_of(cut.blocks) == known


def test_a_mark_of_byte_order_is_no_header() -> None:
    assert read_mscons(b"\xef\xbb\xbf" + WHOLE).errors == []


def test_instants() -> None:
    assert parse_instant("202603010015+01:303") == 1_772_320_500
    assert parse_instant("20260301001530+00:304") == 1_772_324_130
    for wrong in (
        "202603010015:303",
        "202603010015+01:203",
        "20260301+01:303",
        "202613010015+01:303",
        "x:303",
    ):
        assert parse_instant(wrong) is None


def test_teeth_plain_values_are_read_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the short way for plain values everything is the same."""
    whole = file(value(), value(15, "2", "67", "STS+Z32++Z92'"), value(30, "3", "67"))
    fast = read_mscons(whole).blocks[0]
    monkeypatch.setattr(mscons, "_USUAL_MARKS", None)
    slow = read_mscons(whole).blocks[0]
    for name in ("starts_at_s", "value_milli", "provenance", "method", "note_index"):
        assert np.array_equal(getattr(fast, name), getattr(slow, name)), name


CODES = {
    *(f"mscons.{name}" for name in ("no-header", "no-end", "no-time", "wrong-time", "value-twice")),
    *(f"mscons.{name}" for name in ("other-message", "quality-unknown", "too-few", "no-trailer")),
    *(f"formats.{name}" for name in ("no-intervals", "not-a-number", "value-blank", "unit-unknown")),
    *(f"formats.{name}" for name in ("value-too-fine", "value-too-large")),
    "csv.wrong-name",
}


@given(st.integers(0, 400), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_nothing_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    whole = file(value(), value(15, more="STS+Z32++Z92'"))
    for damaged in (whole[:at], whole[:at] + junk + whole[at + cut :], junk):
        parsed = read_mscons(damaged)
        codes = {error.code for error in parsed.errors}
        assert codes <= CODES
        if not parsed.blocks:
            assert codes
        if not damaged.lstrip().startswith((b"UNA", b"UNB+")):
            assert codes == {"mscons.no-header"}
            assert not parsed.blocks
        elif b"UNZ" not in damaged:
            assert codes & {"mscons.no-end", "mscons.no-header"}
        if damaged == whole:
            assert not codes


def test_a_market_location_with_a_wrong_check_digit_is_left_out_and_the_next_is_read() -> None:
    right, wrong = b"51481308448", b"51481308447"
    assert [block.usage_point for block in read_mscons(file(value()).replace(b"DE001", right)).blocks] == [
        right.decode()
    ]
    _head, _mark, rest = HEAD.partition("NAD+DP'")
    other = f"NAD+DP'{rest}{value()}".replace("DE001", right.decode())
    text = file(value(), value(15), other).replace(b"DE001", wrong)
    parsed = read_mscons(text)
    assert [(one.code, one.params["location"], one.params["expected"]) for one in parsed.errors] == [
        ("mscons.check-digit", wrong.decode(), 8)
    ]
    assert parsed.errors[0].line == HEAD.split("'").index("LOC+172+DE001") + 1
    assert [(block.usage_point, len(block.value_milli)) for block in parsed.blocks] == [(right.decode(), 1)]


def test_what_would_be_read_as_a_wrong_market_location_is_not_written() -> None:
    kinds = [(Quality(Provenance.MEASURED), "")]
    losses = LossList()
    blocks = [
        make_block((name, "", "import", "Wh", 900), [0], [1], kinds, [0])
        for name in ("51481308447", "51481308448")
    ]
    parsed = read_mscons(b"".join(write_mscons(blocks, losses)))
    assert ([block.usage_point for block in parsed.blocks], parsed.errors) == (["51481308448"], [])
    assert [loss.code for loss in losses.all()] == ["mscons.not-a-location"]
