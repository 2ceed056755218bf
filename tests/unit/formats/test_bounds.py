"""Times and names that some format can't say are refused by each reader, with the line."""

import numpy as np
import pytest

from cpu_time import Slowest
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import intervals, tables
from wattkeeper.formats.api import EARLIEST_S, LATEST_S, LossList
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import FORMATS, Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.interfaces.reads.imports import about_block

PLAIN = CsvOptions()
CSV = (
    "usage_point,channel,starts_at,interval_s,value,unit,quality\r\n"
    "{point},{channel},{at},{length},1,kWh,raw\r\n"
)
ESPI = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><entry><content><ReadingType><uom>72</uom></ReadingType></content>'
    '</entry><entry><link rel="self" href="/UsagePoint/7/MeterReading/1/IntervalBlock/1"/>'
    '<content><IntervalBlock xmlns="http://naesb.org/espi"><IntervalReading><timePeriod><duration>{length}</duration>'
    "<start>{at}</start></timePeriod><value>1</value></IntervalReading></IntervalBlock></content></entry></feed>"
)
IEC = (
    "<MeterReadings><MeterReading><IntervalBlocks><IntervalReadings><timeStamp>{at}</timeStamp><value>1</value>"
    '<ReadingQualities><ReadingQualityType ref="1.0.0"/></ReadingQualities></IntervalReadings>'
    '<ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/></IntervalBlocks>'
    "<Meter><mRID>{serial}</mRID></Meter><UsagePoint><mRID>{point}</mRID>"
    "<Names><name>{channel}</name><NameType><name>channel</name></NameType></Names></UsagePoint>"
    "</MeterReading></MeterReadings>"
)
MSCONS = (
    "UNB+UNOC:3+1:500+2:500+260301:0000+1'UNH+1+MSCONS:D:04B:UN:2.4c'NAD+DP'LOC+172+{point}'LIN+1'"
    "PIA+5+{channel}:SRW'QTY+220:1'DTM+163:{at}?+00:303'DTM+164:{end}?+00:303'UNT+7+1'UNZ+1+1'"
)
NEM12 = "100,NEM12,202603010000,A,B\n200,6001234567,E1,1,E1,,M1,kWh,60,\n300,{at}," + "1," * 24 + "A\n900\n"
NEM13 = (
    "100,NEM13,202603010000,A,B\n250,6001234567,11,1,11,,{serial},E,1,{at},A,,,2,{end},A,,,1,kWh,,,\n900\n"
)
TIMES = {
    "csv, year 1": CSV.format(point="U", channel="c", at="0001-01-01T00:00:00Z", length=900),
    "csv, a century early": CSV.format(point="U", channel="c", at="1799-12-31T00:00:00Z", length=900),
    "csv, ends never": CSV.format(point="U", channel="c", at="9999-12-31T23:45:00Z", length=900),
    "espi, far": ESPI.format(at=99_999_999_999_999, length=900),
    "espi, early": ESPI.format(at=-99_999_999_999_999, length=900),
    "espi, long": ESPI.format(at=0, length=999_999_999_999_999),
    "espi, ends never": ESPI.format(at=253_402_300_799, length=900),
    "iec, year 1": IEC.format(at="0001-01-01T00:00:00Z", point="U", serial="M", channel="c"),
    "iec, ends never": IEC.format(at="9999-12-31T23:59:59Z", point="U", serial="M", channel="c"),
    "mscons, year 1": MSCONS.format(at="000101010000", end="000101010015", point="U", channel="c"),
    "mscons, ends never": MSCONS.format(at="999912312300", end="999912312359", point="U", channel="c"),
    "nem12, ends never": NEM12.format(at="99991231"),
    "nem13, all of time": NEM13.format(at="00010102000000", end="99991231000000", serial="M"),
}
NAMES = {
    "iec, point": IEC.format(at="2026-03-01T00:00:00Z", point="U\n1", serial="M", channel="c"),
    "iec, serial": IEC.format(at="2026-03-01T00:00:00Z", point="U", serial="M\n1", channel="c"),
    "iec, long serial": IEC.format(at="2026-03-01T00:00:00Z", point="U", serial="M" * 65, channel="c"),
    "iec, channel": IEC.format(at="2026-03-01T00:00:00Z", point="U", serial="M", channel="c\u2028d"),
    "iec, nobody": IEC.format(at="2026-03-01T00:00:00Z", point="", serial="", channel="c"),
    "mscons, channel": MSCONS.format(at="202603010000", end="202603010015", point="U", channel="c" * 65),
    "mscons, point": MSCONS.format(at="202603010000", end="202603010015", point="U\x01", channel="c"),
}


@pytest.mark.parametrize("content", TIMES.values(), ids=list(TIMES))
def test_a_time_beyond_all_formats_is_an_error_of_its_row(content: str) -> None:
    """It ended the conversion, and the try of an import on its page, in a stack trace."""
    parsed = read_file(content.encode(), PLAIN)
    assert parsed.blocks == []
    (error,) = parsed.errors
    assert error.code in ("formats.time-out-of-range", "nem12.wrong-date")
    assert error.line > 0


@pytest.mark.parametrize("module", [intervals, tables], ids=["messages", "tables"])
def test_teeth_of_the_bounds(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: any time will do."""
    monkeypatch.setattr(module, "is_time", lambda at_s, _length: np.ones(len(at_s), dtype=np.bool_))
    blocks = [block for content in TIMES.values() for block in read_file(content.encode(), PLAIN).blocks]
    with pytest.raises(OverflowError):
        list(map(about_block, blocks))


def test_the_sum_that_a_try_shows_is_exact_whatever_its_size() -> None:
    """It came round: more than 2**63 thousandths were shown as less than nothing."""
    key = ("U", "", "import", "Wh", 900)
    block = make_block(key, [0, 900, 1800], [2**62 - 1] * 3, [(Quality(Provenance.MEASURED), "")], [0] * 3)
    assert about_block(block)["sum"] == "13835058055282.163709"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_first_and_the_last_instant(form: Format) -> None:
    starts = [EARLIEST_S, LATEST_S - 900]
    key = ("6001234567", "M1", "E1", "Wh", 900)
    block = make_block(key, starts, [1_000_000, 2_000_000], [(Quality(Provenance.MEASURED), "")], [0, 0])
    losses = LossList()
    parsed = read_file(b"".join(write_file(form, [block], losses)), PLAIN)
    about_block(block)
    if form in ("nem12", "nem13"):  # days since 1970 only; no reads of a register
        assert all(error.line for error in parsed.errors)
    else:
        assert losses.all() == []
        assert {row[1:3] for row in rows_of(parsed.blocks)} == {row[1:3] for row in rows_of([block])}


@pytest.mark.parametrize("content", NAMES.values(), ids=list(NAMES))
def test_a_name_that_not_every_format_can_say_is_refused(content: str) -> None:
    """A line break in it broke the CSV that was written of it."""
    parsed = read_file(content.encode(), PLAIN)
    assert (parsed.blocks, [error.code for error in parsed.errors]) == ([], ["csv.wrong-name"])
    assert parsed.errors[0].line > 0


@pytest.mark.parametrize("qualifier", ["1\r3", "R\x94\xc1", "9=9", "1639", ""])
def test_a_date_of_mscons_whose_kind_is_none_takes_its_value_along(qualifier: str) -> None:
    """It became part of a detail's name, and broke the CSV that was written of it."""
    content = MSCONS.format(at="202603010000", end="202603010015", point="U", channel="c")
    odd = content.replace("'DTM+164", f"'DTM+{qualifier}:202603010000?+00:303'DTM+164")
    parsed = read_file(odd.encode("latin-1"), PLAIN)
    assert (parsed.blocks, [(e.line, e.code) for e in parsed.errors]) == ([], [(9, "mscons.wrong-time")])


def test_meters_of_nem13_whose_names_are_no_ascii_are_not_made_one() -> None:
    """Two unlike bytes were one sign for what is unknown."""
    rows = [NEM13.format(at="20260201000000", end="20260301000000", serial=serial) for serial in ("Mä", "Mö")]
    content = b"".join(row.encode("cp1252") for row in rows)
    for one in content.split(b"900\n")[:2]:
        assert [error.code for error in read_file(one + b"900\n", PLAIN).errors] == ["nem12.wrong-name"]


def test_an_advance_of_years_goes_over_csv() -> None:
    """An empty house is read after two years: CSV refused more than 400 days."""
    content = NEM13.format(at="20240101000000", end="20260101000000", serial="M1").encode()
    parsed = read_file(content, PLAIN)
    again = read_file(b"".join(write_file("csv", parsed.blocks, LossList())), PLAIN)
    assert rows_of(again.blocks) == rows_of(parsed.blocks) != set()
    assert again.errors == []


def test_a_day_told_ten_thousand_times_takes_no_longer_than_as_many_days() -> None:
    """Each looked for the first one by itself: a megabyte took minutes."""
    rows = NEM12.format(at="20260301").split("\n")
    content = "\n".join([*rows[:2], *[rows[2]] * 10_000, *rows[3:]]).encode()
    slowest = Slowest()
    parsed = slowest.did(read_file, content, PLAIN)
    assert [error.params for error in parsed.errors[:2]] == [{"first_line": 3}] * 2
    assert [len(block.value_milli) for block in parsed.blocks] == [24]
    assert slowest.ratio() < 20
