"""What a file says of its values is what is stored of them, and what goes out again, in every format."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from relational import NOW, People
from wattkeeper.actions.collection import import_file as importing
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import ROWS, Quality, parse_quality_name, quality_name
from wattkeeper.core.readings.told import Told, flags_of_device, mark_told, read_told
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kinds_of
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import write_file
from wattkeeper.interfaces.reads.export import export_blocks
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.memory import MemoryReadingStore

FIRST_S = to_seconds(datetime(2026, 10, 29, 14, tzinfo=UTC))  # a market day of NEM12
POINT = "VABC005890"
NAMES = [row.name for row in ROWS if row.name != "missing"] + ["est.linear+suspect", "est+power_lost"]
NAMES += ["valid+suspect", "raw+rollover", "raw+clock_adjusted+late", "raw.exchange"]
BECOME = {
    "raw": "valid",
    "valid+suspect": "verified",
    **{name: name.replace("raw", "valid") for name in NAMES[-3:]},
}  # once the rules have looked at them
FORMATS: tuple[Format, ...] = ("csv", "xlsx", "nem12", "greenbutton", "iec61968", "mscons")
HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality,meter_serial\n"


def file_of(names: list[str]) -> bytes:
    """Return a day of half-hours of some qualities, then of plain ones, each with a value of its own."""
    told = [*names, *["raw"] * (48 - len(names))]
    starts = np.datetime_as_string(
        (FIRST_S + 1800 * np.arange(48)).astype("datetime64[s]"), timezone="UTC"
    ).tolist()
    rows = [
        f"{POINT},import,{at},1800,0.{k:03d}007,kWh,{name},M1\n"
        for k, (at, name) in enumerate(zip(starts, told, strict=True), 1)
    ]
    return (HEAD + "".join(rows)).encode()


def bring(people: People, services: Services, store: MemoryReadingStore, content: bytes) -> None:
    result = import_file(actor=people.operator, now=NOW, services=services, content=content, label="a")
    assert result.errors == ()
    while DirtyWindow.objects.exists():
        assert not run_once(pipeline_ports(store, people.tenant.id, lambda: NOW), NOW).failures


def stored(people: People, store: MemoryReadingStore) -> list[IntervalBlock]:
    days = {"first": date(2026, 10, 29), "last": date(2026, 10, 30)}
    blocks = export_blocks(store, tenant_id=people.tenant.id, codes=[], **days)
    assert len(blocks) == 1
    return blocks


def rows_of(block: IntervalBlock) -> list[tuple[int, int, str]]:
    kinds, place = kinds_of(block)
    names = [quality_name(kinds[k][0]) for k in place.tolist()]
    rows = zip(block.starts_at_s.tolist(), block.value_milli.tolist(), names, strict=True)
    return [row for row in rows if row[0] < FIRST_S + 48 * 1800]


@pytest.mark.parametrize("form", FORMATS)
def test_what_goes_in_goes_out_and_in_again(
    ours: People, theirs: People, services: Services, store: MemoryReadingStore, form: Format
) -> None:
    names = [name for name in NAMES if form != "nem12" or name != "suspect"]  # kept back there
    bring(ours, services, store, file_of(names))
    blocks = stored(ours, store)
    told = [BECOME.get(name, name) for name in names]
    assert [row[2] for row in rows_of(blocks[0])][: len(names)] == told
    assert [row[1] for row in rows_of(blocks[0])] == [1007 + 1000 * k for k in range(48)]
    losses = LossList()
    bring(theirs, services, store, b"".join(write_file(form, blocks, losses)))
    assert [loss for loss in losses.all() if loss.params["quality"] != "missing.unfilled"] == []  # later on
    assert rows_of(stored(theirs, store)[0]) == rows_of(blocks[0])


def test_the_planted_fault_all_that_is_not_measured_is_suspect(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def suspect(told: Told) -> object:
        is_doubtful = told.provenance != Provenance.MEASURED
        return np.where(is_doubtful, told.flags | int(Flag.SUSPECT), told.flags)

    monkeypatch.setattr(importing, "mark_told", suspect)
    bring(ours, services, store, file_of(["est.linear"]))
    block = stored(ours, store)[0]
    assert rows_of(block)[0][2] == "suspect"
    losses = LossList()
    b"".join(write_file("nem12", [block], losses))
    assert [loss.code for loss in losses.all()] == ["formats.quality-folded"]  # and the value is not there


def test_what_was_measured_stands_whenever_it_comes(
    ours: People, theirs: People, services: Services, store: MemoryReadingStore
) -> None:
    estimated = file_of(["est.linear"])
    measured = file_of(["raw"]).replace(b"0.001007", b"0.005")
    for people, files in ((ours, (estimated, measured)), (theirs, (measured, estimated))):
        for content in files:
            bring(people, services, store, content)
        assert rows_of(stored(people, store)[0])[0] == (FIRST_S, 5000, "valid")


@pytest.mark.parametrize(
    ("better", "worse", "stands"),
    [("raw", "suspect", "valid"), ("est.linear", "suspect", "est.linear"), ("edited", "forecast", "edited")],
)
def test_a_corrected_file_stands_whichever_came_first(
    ours: People,
    theirs: People,
    services: Services,
    store: MemoryReadingStore,
    better: str,
    worse: str,
    stands: str,
) -> None:
    """The state is a function of the set of files; of one interval the best told stands, not the latest."""
    corrected = file_of([better])
    first = file_of([worse]).replace(b"0.001007", b"0.005")
    for people, files in ((ours, (first, corrected)), (theirs, (corrected, first, corrected))):
        for content in files:
            bring(people, services, store, content)
        assert rows_of(stored(people, store)[0])[0] == (FIRST_S, 1007, stands)


@pytest.mark.parametrize("name", NAMES)
def test_a_quality_fits_the_flags_of_a_read(name: str) -> None:
    quality = parse_quality_name(name)
    assert quality is not None
    flags = mark_told(Told(*(np.array([int(part)]) for part in quality)))
    assert 0 <= int(flags[0]) < 2**31
    assert int(flags_of_device(flags)[0]) <= sum(Flag)
    back = [int(part[0]) for part in read_told(flags)]
    found = Quality(Provenance(back[0]), Flag(back[1]), Method(back[2]))
    assert quality_name(found) == {"valid+suspect": "verified"}.get(name, name)
