import json
from fractions import Fraction
from pathlib import Path

import pytest

from wattkeeper.simulators import faulty
from wattkeeper.simulators.plant import Plant
from wattkeeper.simulators.registers import Registers
from wattkeeper.simulators.truth import build_truth, write_truth
from wattkeeper.simulators.world_model import World

HOURS = 3600


@pytest.fixture(scope="module")
def plant(check_world: World) -> Plant:
    return Plant.build(check_world)


@pytest.fixture(scope="module")
def truth(plant: Plant) -> dict[str, dict]:
    start = plant.world.now_s
    return {p["usage_point"]: p for p in build_truth(plant, start, start + 48 * HOURS)["usage_points"]}


def test_every_point_has_one(plant: Plant, truth: dict[str, dict]) -> None:
    assert set(truth) == {entry.usage_point for entry in plant.world.entries}
    assert all(len(p["intervals_milliwh"]) == len(p["held"]) == 192 for p in truth.values())


def test_intervals_add_up_to_the_advance(truth: dict[str, dict]) -> None:
    for point in truth.values():
        if point["usage_point"] != faulty.DEAD_POINT:
            assert sum(point["intervals_milliwh"]) == Fraction(point["register_advance_milliwh"])


def test_the_advance_is_what_flowed_but_for_a_step_an_installation(truth: dict[str, dict]) -> None:
    for point in truth.values():
        difference = Fraction(point["register_advance_milliwh"]) - Fraction(point["physical_milliwh"])
        allowed = len(point["installations"]) * Fraction(point["register_step_milliwh"])
        assert abs(difference) < allowed


def test_a_register_that_counts_wrongly_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above has teeth: one lost count a quarter hour breaks it."""
    honest = Registers.counts
    monkeypatch.setattr(Registers, "counts", lambda self, at_s: honest(self, at_s) - at_s // 900)
    start = plant.world.now_s
    for point in build_truth(plant, start, start + 48 * HOURS)["usage_points"]:
        difference = Fraction(point["register_advance_milliwh"]) - Fraction(point["physical_milliwh"])
        assert abs(difference) > len(point["installations"]) * Fraction(point["register_step_milliwh"])


def test_the_rollover_falls_into_the_outage(plant: Plant) -> None:
    meter = plant.by_point[faulty.ROLLOVER_POINT][0]
    (outage,) = next(link.outages for link in plant.world.links if link.outages)
    before, after = (meter.registers.display(at) for at in outage)
    assert before > 10**8 - 10_000
    assert after < 10_000


def test_an_exchange_loses_nothing(plant: Plant, truth: dict[str, dict]) -> None:
    point = truth[faulty.EXCHANGE_POINT]
    old, new = plant.by_point[faulty.EXCHANGE_POINT]
    at_s = plant.world.exchanges[0].at_s
    assert point["serials"] == [old.entry.meter_serial, new.entry.meter_serial]
    assert point["cut"] == [at_s // 900 * 900]
    start, end = plant.world.now_s, plant.world.now_s + 48 * HOURS
    by_hand = old.registers.display(at_s) - old.registers.display(start)
    by_hand += new.registers.display(end) - new.registers.display(at_s)
    assert Fraction(point["register_advance_milliwh"]) == by_hand * 10_000
    assert all(point["held"])


def test_a_changed_ratio_multiplies_from_noon_on(plant: Plant, truth: dict[str, dict]) -> None:
    registers = plant.by_point[faulty.RATIO_POINT][0].registers
    start, noon, end = (plant.world.now_s + h * HOURS for h in (0, 36, 48))
    first, middle, last = (registers.display(at) for at in (start, noon, end))
    by_hand = (middle - first) * 40_000 + (last - middle) * 60_000
    assert Fraction(truth[faulty.RATIO_POINT]["register_advance_milliwh"]) == by_hand
    assert truth[faulty.RATIO_POINT]["register_advance_wh"] == f"{by_hand // 1000}.000"


def test_a_dead_meter_tells_nothing_after_its_last_record(plant: Plant, truth: dict[str, dict]) -> None:
    point = truth[faulty.DEAD_POINT]
    assert point["ends_at_s"] == plant.world.now_s + 10 * HOURS
    assert point["held"] == [True] * 40 + [False] * 152
    assert sum(point["intervals_milliwh"][:40]) == Fraction(point["register_advance_milliwh"])


def test_four_missing_records_leave_five_intervals_unheld(truth: dict[str, dict]) -> None:
    held = truth[faulty.HOLE_POINT]["held"]
    assert [i for i, is_held in enumerate(held) if not is_held] == [107, 108, 109, 110, 111]


def test_the_slow_clock_names_its_own_intervals(plant: Plant, truth: dict[str, dict]) -> None:
    registers = plant.by_point[faulty.SLOW_POINT][0].registers
    start = plant.world.now_s + 420
    by_hand = [
        registers.display(start + 900 * (i + 1)) - registers.display(start + 900 * i) for i in range(192)
    ]
    assert truth[faulty.SLOW_POINT]["intervals_milliwh"] == [10_000 * n for n in by_hand]


def test_the_file_appears_whole(plant: Plant, tmp_path: Path) -> None:
    start = plant.world.now_s
    write_truth(plant, start, start + HOURS, tmp_path / "deep" / "truth.json")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["truth.json"]
    assert json.loads((tmp_path / "deep" / "truth.json").read_text())["from_s"] == start
