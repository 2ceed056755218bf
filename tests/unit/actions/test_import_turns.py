"""A file of hundreds of new meters leaves the database to others between parts of it."""

from dataclasses import replace
from random import Random

import pytest
from django.db import connection

from relational import NOW, People
from wattkeeper.actions.collection import file_meters
from wattkeeper.actions.collection import import_file as verb
from wattkeeper.actions.collection.file_meters import parts_of
from wattkeeper.actions.collection.import_file import import_file, try_import
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import Meter
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file

HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
PART_COUNT = 4
METERS_COUNT = 5 * PART_COUNT


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of few meters: there are as many of them, and each meter takes its time."""
    monkeypatch.setattr(file_meters, "PART_COUNT", PART_COUNT)


def table_of(meters_count: int) -> bytes:
    """Return an hour of many meters that nobody knows."""
    rows = (f"P{i:04d},import,2026-11-02T00:00:00Z,3600,1,kWh,measured\n" for i in range(meters_count))
    return (HEAD + "".join(rows)).encode()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("how", ["import", "whole", "trial"])
def test_no_transaction_makes_more_meters_than_a_part(
    ours: People, services: Services, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    outside, turns = list(connection.savepoint_ids), []

    def look() -> None:
        turns.append((connection.savepoint_ids == outside, Meter.objects.count() % PART_COUNT))

    monkeypatch.setattr(verb, "let_others_write", look)
    asked = {"actor": ours.operator, "now": NOW, "services": services, "content": table_of(METERS_COUNT)}
    if how == "trial":
        result, _ = try_import(**asked, label="x")  # type: ignore[arg-type]
    else:
        result = import_file(**asked, label="x", is_whole=how == "whole")  # type: ignore[arg-type]
    assert (result.meters_count, result.errors) == (METERS_COUNT, ())
    assert Meter.objects.count() == (0 if how == "trial" else METERS_COUNT)
    assert turns == [(True, 0)] * (METERS_COUNT // PART_COUNT - 1) * (2 if how == "whole" else 1)


@pytest.mark.usefixtures("small_parts")
def test_a_whole_file_with_a_fault_in_its_last_part_leaves_nothing(ours: People, services: Services) -> None:
    content = table_of(3 * PART_COUNT) + b"P9999,import,2026-11-02T00:00:00Z,3600,-1,kWh,measured\n"
    asked = {"actor": ours.operator, "now": NOW, "services": services, "content": content, "label": "x"}
    result = import_file(**asked, is_whole=True)  # type: ignore[arg-type]
    assert (result.rows_count, [error.code for error in result.errors]) == (0, ["imports.negative-value"])
    assert not Meter.objects.exists()
    assert import_file(**asked).rows_count == 3 * PART_COUNT  # type: ignore[arg-type]


def block_of(usage_point: str, serial_number: str) -> IntervalBlock:
    """Return a block by its names alone."""
    (block,) = read_file(table_of(1), CsvOptions()).blocks
    return replace(block, usage_point=usage_point, meter_serial=serial_number)


@pytest.mark.alike
@pytest.mark.parametrize("seed", range(20))
def test_what_names_one_meter_or_point_stays_together_and_in_order(seed: int) -> None:
    dice = Random(seed)
    points = ["", *(f"P{i}" for i in range(60))]
    blocks = [
        block_of(dice.choice(points), dice.choice(["", f"M{dice.randrange(80)}", "P3-FILE"]))
        for _ in range(90)
    ]
    blocks = [block for block in blocks if block.usage_point or block.meter_serial]
    parts = list(parts_of(blocks))
    assert sorted(id(block) for part in parts for block in part) == sorted(map(id, blocks))
    place = {id(block): index for index, block in enumerate(blocks)}
    for part in parts:
        assert [place[id(block)] for block in part] == sorted(place[id(block)] for block in part)
    part_of = {id(block): index for index, part in enumerate(parts) for block in part}
    for name in {name for block in blocks for name in (block.usage_point, block.meter_serial) if name}:
        own = {part_of[id(b)] for b in blocks if name in (b.usage_point, b.meter_serial)}
        assert len(own) == 1
