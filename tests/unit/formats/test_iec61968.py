"""IEC 61968-9 messages: reading types, times, qualities, registers, and what must be refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.formats.api import FormatError, LossList
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.iec61968 import parse_type, read_iec61968
from wattkeeper.formats.iec61968_write import write_iec61968

QUARTER_HOUR_KWH = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
MESSAGE = """<?xml version="1.0"?>
<m:ResponseMessage xmlns:m="http://iec.ch/TC57/2011/schema/message">
<m:Header><m:Verb>reply</m:Verb><m:Noun>MeterReadings</m:Noun></m:Header><m:Payload>
<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading>
{inner}
<Meter><Names><name>M-1</name></Names></Meter>{point}
</MeterReading></MeterReadings></m:Payload></m:ResponseMessage>"""
POINT = "<UsagePoint><mRID>UP-1</mRID></UsagePoint>"


def message(*readings: str, kind: str = QUARTER_HOUR_KWH, point: str = POINT) -> bytes:
    """Return a message with one block of intervals."""
    inner = "\n".join(readings)
    block = f"<IntervalBlocks>\n{inner}\n<ReadingType ref='{kind}'/></IntervalBlocks>"
    return MESSAGE.format(inner=block, point=point).encode()


def reading(stamp: str = "2026-03-01T00:15:00Z", value: object = "1.25", *codes: str, more: str = "") -> str:
    """Return an interval reading."""
    qualities = "".join(
        f"<ReadingQualities><ReadingQualityType ref='{code}'/></ReadingQualities>" for code in codes
    )
    return (
        f"<IntervalReadings>{qualities}{more}<timeStamp>{stamp}</timeStamp>"
        f"<value>{value}</value></IntervalReadings>"
    )


def test_what_it_says() -> None:
    parsed = read_iec61968(message(reading("2026-03-01T00:30:00+00:00", "-2"), reading()))
    assert parsed.errors == []
    block = parsed.blocks[0]
    assert (block.usage_point, block.meter_serial, block.channel) == ("UP-1", "M-1", "import")
    assert (block.unit, block.interval_s) == ("Wh", 900)
    assert block.starts_at_s.tolist() == [1_772_323_200, 1_772_324_100]  # the stamp is the interval's end
    assert block.value_milliwh.tolist() == [1_250_000, -2_000_000]


def test_a_period_says_more_than_a_stamp() -> None:
    period = "<timePeriod><end>2026-03-01T02:00:00Z</end><start>2026-03-01T01:00:00Z</start></timePeriod>"
    kind = QUARTER_HOUR_KWH.replace("0.0.2.", "0.0.0.")
    block = read_iec61968(message(reading(more=period), kind=kind)).blocks[0]
    assert (block.interval_s, block.starts_at_s.tolist()) == (3600, [1_772_326_800])


def test_registers_and_the_meter_as_usage_point() -> None:
    register = (
        "<Readings><timeStamp>2026-03-01T00:00:00Z</timeStamp><value>1234.5</value>"
        "<ReadingType ref='0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.0.72.0'/></Readings>"
    )
    block = read_iec61968(MESSAGE.format(inner=register, point="").encode()).blocks[0]
    assert (block.usage_point, block.channel, block.interval_s) == ("M-1", "export", 0)
    assert block.value_milliwh.tolist() == [1_234_500]


PLACES = {
    "intervals": ("<IntervalBlocks><IntervalReadings>", "</IntervalReadings>", "</IntervalBlocks>"),
    "instants": ("<Readings>", "", "</Readings>"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("accumulation", "length_s"),
    [
        *((register, 0) for register in ("1", "2", "3", "9", "13", "14")),
        *(("4", 900), ("0", None), ("6", None), ("12", None)),
    ],
)
def test_the_type_says_what_is_a_register(place: str, accumulation: str, length_s: int | None) -> None:
    """What an interval used is no register, and what a register shows is not used in an interval.

    `length_s` None: the type says neither, so the place does.
    """
    begin, between, end = PLACES[place]
    kind = QUARTER_HOUR_KWH.replace("0.0.2.4.", f"0.0.2.{accumulation}.")
    said = "<timeStamp>2026-03-01T00:15:00Z</timeStamp><value>1234.5</value>"
    inner = f"{begin}{said}{between}<ReadingType ref='{kind}'/>{end}"
    parsed = read_iec61968(MESSAGE.format(inner=inner, point=POINT).encode())
    assert parsed.errors == []
    wanted_s = (900 if place == "intervals" else 0) if length_s is None else length_s
    assert [block.interval_s for block in parsed.blocks] == [wanted_s]
    assert parsed.blocks[0].starts_at_s.tolist() == [1_772_324_100 - wanted_s]
    again = read_iec61968(b"".join(write_iec61968(parsed.blocks, LossList())))
    assert rows_of(again.blocks) == rows_of(parsed.blocks)


PERIOD = "<timePeriod><end>2026-03-01T00:15:00Z</end>{start}</timePeriod>"
START = "<start>2026-03-01T00:00:00Z</start>"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("start", [START, ""])
@pytest.mark.parametrize("accumulation", ["1", "2", "3", "9"])
def test_a_sum_in_a_block_of_intervals_is_of_the_period_it_is_told_with(
    place: str, start: str, accumulation: str
) -> None:
    begin, between, end = PLACES[place]
    kind = QUARTER_HOUR_KWH.replace("0.0.2.4.", f"0.0.2.{accumulation}.")
    said = f"{PERIOD.format(start=start)}<value>2.5</value>"
    inner = f"{begin}{said}{between}<ReadingType ref='{kind}'/>{end}"
    parsed = read_iec61968(MESSAGE.format(inner=inner, point=POINT).encode())
    assert parsed.errors == []
    is_sum = (place, start, accumulation) == ("intervals", START, "9")
    assert [block.interval_s for block in parsed.blocks] == [900 if is_sum else 0]
    again = read_iec61968(b"".join(write_iec61968(parsed.blocks, LossList())))
    assert rows_of(again.blocks) == rows_of(parsed.blocks)


def test_what_an_instant_used_has_to_say_of_which_time() -> None:
    kind = QUARTER_HOUR_KWH.replace("0.0.2.", "0.0.0.")
    said = "<timeStamp>2026-03-01T00:15:00Z</timeStamp><value>1</value>"
    inner = f"<Readings>{said}<ReadingType ref='{kind}'/></Readings>"
    parsed = read_iec61968(MESSAGE.format(inner=inner, point=POINT).encode())
    assert [error.code for error in parsed.errors] == ["iec61968.no-length"]


@pytest.mark.parametrize(
    ("codes", "provenance", "flags", "method"),
    [
        (("1.0.0",), Provenance.MEASURED, Flag.NONE, Method.NONE),
        (("3.0.1", "1.2.32"), Provenance.MEASURED, Flag.VALIDATED | Flag.POWER_LOST, Method.NONE),
        (("2.8.0",), Provenance.ESTIMATED, Flag.NONE, Method.NONE),
        (("3.8.1",), Provenance.ESTIMATED, Flag.NONE, Method.LINEAR),
        (("2.5.259",), Provenance.MISSING, Flag.NONE, Method.NONE),
        (("3.6.3",), Provenance.MEASURED, Flag.SUSPECT, Method.NONE),
        (("1.4.131",), Provenance.MEASURED, Flag.NONE, Method.NONE),
    ],
)
def test_qualities(codes: tuple[str, ...], provenance: Provenance, flags: Flag, method: Method) -> None:
    block = read_iec61968(message(reading("2026-03-01T00:15:00Z", 1, *codes))).blocks[0]
    assert (block.provenance[0], block.flags[0], block.method[0]) == (provenance, flags, method)


GOOD = reading("2026-03-01T01:00:00Z", 3)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (reading("2026-03-01T00:15:00"), "iec61968.wrong-time"),
        (reading("yesterday"), "iec61968.wrong-time"),
        (reading(value="1,5"), "formats.not-a-number"),
        (reading("2026-03-01T00:15:00Z", 1, "3.8"), "iec61968.quality-unknown"),
        (reading("2026-03-01T01:00:00Z", 4), "iec61968.reading-twice"),
    ],
)
def test_a_wrong_reading_is_named_and_the_rest_is_read(wrong: str, code: str) -> None:
    parsed = read_iec61968(message(GOOD, wrong))
    assert [(error.line, error.code) for error in parsed.errors] == [(7, code)]
    assert parsed.blocks[0].value_milli.tolist() == [3_000_000]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (message(GOOD, kind="1.2.3"), "iec61968.wrong-type"),
        (message(GOOD, kind=QUARTER_HOUR_KWH.replace(".72.", ".999.")), "iec61968.wrong-type"),
        (message(GOOD, kind=QUARTER_HOUR_KWH.replace("0.0.2.", "0.0.0.")), "iec61968.no-length"),
        (message(GOOD).replace(b"M-1", b"").replace(b"UP-1", b""), "csv.wrong-name"),
        (message(), "formats.no-intervals"),
        (message(GOOD)[:-40], "xml.broken"),
    ],
)
def test_whole_files(content: bytes, code: str) -> None:
    assert code in [error.code for error in read_iec61968(content).errors]


def test_document_types_are_refused() -> None:
    with pytest.raises(FormatError, match=r"xml\.doctype"):
        read_iec61968(b'<!DOCTYPE m [<!ENTITY x "y">]>' + message(GOOD).split(b"?>")[1])


def test_types() -> None:
    kind = parse_type(QUARTER_HOUR_KWH)
    assert kind is not None
    assert (kind.unit, kind.exponent, kind.interval_s, kind.direction) == ("Wh", 6, 900, "1")
    for wrong in ("", "1", QUARTER_HOUR_KWH + ".0", QUARTER_HOUR_KWH.replace("72", "x")):
        assert parse_type(wrong) is None


@given(st.integers(0, 700), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_nothing_else_makes_it_raise(at: int, junk: bytes, cut: int) -> None:
    whole = message(GOOD, reading())
    for damaged in (whole[:at], whole[:at] + junk + whole[at + cut :]):
        try:
            parsed = read_iec61968(damaged)
            is_told = bool(parsed.errors or parsed.blocks)
        except FormatError as error:
            is_told = error.code.startswith("xml.")
        assert is_told
