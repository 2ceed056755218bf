"""Files of ours in the hands of independent readers, and shared files in both: equal value by value.

aemo-mdff-reader and nemreader read NEM12 and NEM13, greenbutton-objects Green Button (which must also hold to
the schema, by xmlschema), pydifact MSCONS. What they keep as floats must round to our integers.
"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aemo_mdff_reader
import nemreader
import numpy as np
import pytest
import xmlschema
from greenbutton_objects import parse as greenbutton
from pydifact.segmentcollection import Interchange

from format_files import shared_files
from shared import shared_path
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_aemo
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kinds_of, make_block
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import write_file
from wattkeeper.formats.nem12 import read_nem12
from wattkeeper.formats.nem13 import read_nem13

MARKET_MIDNIGHT_S = 1_772_287_200  # 2026-03-01 in market time, UTC+10
MARKET = timedelta(hours=10)
ATOM = "{http://www.w3.org/2005/Atom}"


def blocks(unit: str = "Wh") -> list[IntervalBlock]:
    """Return three days of two channels: provenances that all formats know, and a quality that few do."""
    rng = np.random.default_rng(11)
    kinds = [
        (Quality(Provenance.MEASURED), ""),
        (Quality(Provenance.ESTIMATED, method=Method.LINEAR), ""),
        (Quality(Provenance.PROJECTED), ""),
        (Quality(Provenance.ESTIMATED, Flag.SUSPECT | Flag.LATE, Method.CHECK_METER), ""),
    ]
    found = []
    for channel in ("E1", "B1"):
        starts = MARKET_MIDNIGHT_S + 900 * np.arange(3 * 96)
        values = rng.integers(0, 5_000_000, len(starts)) * 1000
        place = np.where(np.arange(len(starts)) < 96, 0, rng.integers(0, 4, len(starts)))
        found.append(make_block(("6001234567", "METER1", channel, unit, 900), starts, values, kinds, place))
    return found


def put(folder: Path, form: Format, content: list[IntervalBlock]) -> Path:
    """Return the path of a file that holds the blocks."""
    losses = LossList()
    path = folder / f"file.{form}"
    path.write_bytes(b"".join(write_file(form, content, losses)))
    assert losses.all() == []
    return path


def market_rows(content: list[IntervalBlock]) -> dict[tuple[str, str, datetime], tuple[int, str]]:
    """Return thousandths and provenance's letter by usage point, channel and start in market time."""
    found = {}
    for block in content:
        kinds, place = kinds_of(block)
        rows = zip(block.starts_at_s.tolist(), block.value_milli.tolist(), place.tolist(), strict=True)
        for at_s, value, kind in rows:
            start = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None) + MARKET
            found[block.usage_point, block.channel, start] = (value, kinds[kind][0].provenance.name)
    return found


def of_nemreader(path: Path, power: dict[str, int]) -> dict[tuple[str, str, datetime], tuple[int, str]]:
    """Return the same as nemreader has it."""
    found = {}
    data = nemreader.read_nem_file(str(path))
    for nmi, channels in data.readings.items():
        for channel, rows in channels.items():
            for row in rows:
                quality = decode_aemo((row.quality_method or "").strip())
                assert quality is not None
                value = round((row.read_value or 0) * 10 ** power[row.uom.upper()])
                is_missing = quality.provenance is Provenance.MISSING
                found[nmi, channel, row.t_start] = (0 if is_missing else value, quality.provenance.name)
    return found


POWERS = {"": 3, "KWH": 6, "KVARH": 6, "WH": 3, "VARH": 3, "MWH": 9, "NONE": 3, "V": 3}


def test_our_nem12_in_two_readers(tmp_path: Path) -> None:
    content = blocks()
    path = put(tmp_path, "nem12", content)
    ours = market_rows(content)
    assert of_nemreader(path, POWERS) == ours
    columns = aemo_mdff_reader.parse_to_columns(str(path))
    names = zip(columns["NMI"], columns["Suffix"], columns["IntervalStart"], strict=True)
    values = [round(value * 10**6) for value in columns["Value"]]
    assert dict(zip(names, values, strict=True)) == {key: value for key, (value, _name) in ours.items()}


def test_shared_nem12_in_two_readers(tmp_path: Path) -> None:
    """Every file that both readers take and that has no error of ours."""
    shared_path("vectors/nem12")
    seen_count = 0
    for name, content in shared_files("nem12"):
        parsed = read_nem12(content)
        if "invalid" in name or parsed.errors:
            continue
        path = tmp_path / "shared.csv"
        path.write_bytes(content)
        assert of_nemreader(path, POWERS) == market_rows(parsed.blocks), name
        columns = aemo_mdff_reader.parse_to_columns(str(path))
        total = sum(
            round(value * 10 ** POWERS[unit.upper()])
            for value, unit in zip(columns["Value"], columns["UOM"], strict=True)
        )
        provenances = [block.provenance for block in parsed.blocks]
        if not any((one == Provenance.MISSING).any() for one in provenances):
            assert total == sum(int(block.value_milli.sum()) for block in parsed.blocks), name
        seen_count += 1
    assert seen_count >= 60


def test_shared_nem12_written_again_in_an_independent_reader(tmp_path: Path) -> None:
    shared_path("vectors/nem12")
    for name, content in shared_files("nem12/valid"):
        held = [block for block in read_nem12(content).blocks if len(block.usage_point) == 10]
        path = tmp_path / "again.csv"
        path.write_bytes(b"".join(write_file("nem12", held, LossList())))
        assert of_nemreader(path, POWERS) == market_rows(held), name


def test_shared_nem13_written_again_in_an_independent_reader(tmp_path: Path) -> None:
    shared_path("vectors/nem13")
    seen_count = 0
    for name, content in shared_files("nem13"):
        parsed = read_nem13(content)
        path = tmp_path / "again.csv"
        path.write_bytes(b"".join(write_file("nem13", parsed.blocks, LossList())))
        columns = aemo_mdff_reader.parse_accumulations_to_columns(str(path))
        quantity = next(values for key, values in columns.items() if key.lower() == "quantity")
        unit = next(values for key, values in columns.items() if key.lower() == "uom")
        theirs = sorted(round(q * 10 ** POWERS[u.upper()]) for q, u in zip(quantity, unit, strict=True))
        ours = sorted(value for block in parsed.blocks for value in block.value_milli.tolist())
        assert theirs == ours, name
        seen_count += 1
    assert seen_count > 40


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    """Return the schema of ESPI 4.0."""
    path = shared_path("vectors/greenbutton/xsd/espi_4.0.xsd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xmlschema.XMLSchema(str(path))


def resources(path: Path) -> Iterator[ET.Element]:
    """Yield what the entries of a feed hold."""
    for content in ET.parse(path).getroot().iter(f"{ATOM}content"):
        yield from content


def test_our_greenbutton_in_an_independent_reader(tmp_path: Path) -> None:
    content = blocks()
    points = greenbutton.parse_feed(str(put(tmp_path, "greenbutton", content)))
    theirs: dict[tuple[int, int], int] = {}
    for point in points:
        for meter_reading in point.meterReadings:
            flow = meter_reading.readingType.flowDirection.value
            for one in meter_reading.intervalReadings:
                start_s = int(one.timePeriod.start.replace(tzinfo=UTC).timestamp())
                theirs[flow, start_s] = round(float(one.value) * 1000)
    ours = {
        (19 if block.channel == "B1" else 1, at_s): value
        for block in content
        for at_s, value in zip(block.starts_at_s.tolist(), block.value_milli.tolist(), strict=True)
    }
    assert theirs == ours


def test_our_greenbutton_holds_to_the_schema(tmp_path: Path, schema: xmlschema.XMLSchema) -> None:
    kinds = [(Quality(Provenance.MEASURED), "espi.reading.cost=12&espi.reading.tou=1&espi.currency=840")]
    odd = make_block(("<UP & co>", "S'1", "=1", "m3", 0), [0, 60], [1, 2], kinds, [0, 0])
    for block in [*blocks(), *blocks("V"), odd]:
        for resource in resources(put(tmp_path, "greenbutton", [block])):
            schema.validate(resource)


def test_the_schema_sees_a_wrong_feed(tmp_path: Path, schema: xmlschema.XMLSchema) -> None:
    """The test of the test."""
    path = put(tmp_path, "greenbutton", blocks()[:1])
    path.write_text(path.read_text().replace("<duration>900</duration>", "<duration>soon</duration>"))
    assert not all(schema.is_valid(resource) for resource in resources(path))


def test_our_mscons_in_an_independent_reader(tmp_path: Path) -> None:
    content = blocks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interchange: Any = Interchange.from_str(put(tmp_path, "mscons", content).read_text("latin-1"))
        segments = list(interchange.segments)
    times = [segment.elements[0] for segment in segments if segment.tag == "DTM"]
    starts = [moment for qualifier, moment, _format in times if qualifier == "163"]
    quantities = [segment.elements[0] for segment in segments if segment.tag == "QTY"]
    values = [round(float(parts[1]) * 10**6) for parts in quantities]
    ours = [
        (f"{datetime.fromtimestamp(at_s, UTC):%Y%m%d%H%M}+00", value)
        for block in content
        for at_s, value in zip(block.starts_at_s.tolist(), block.value_milli.tolist(), strict=True)
    ]
    assert list(zip(starts, values, strict=True)) == ours
    estimated = sum(int((block.provenance == Provenance.ESTIMATED).sum()) for block in content)
    suspect = sum(int((block.method == Method.CHECK_METER).sum()) for block in content)
    assert sum(parts[0] == "67" for parts in quantities) == estimated
    statuses = [segment.elements[0] for segment in segments if segment.tag == "STS"]
    assert [statuses.count(category) for category in ("Z32", "Z40")] == [estimated, 2 * suspect]
    items = [segment.elements[1] for segment in segments if segment.tag == "PIA"]
    assert items == [["E1", "SRW"], ["B1", "SRW"]]
