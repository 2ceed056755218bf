"""Validation rules at their edges."""

import json
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from shared import shared_path
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.vee.register_rules import find_impossible_advances, find_impossible_instants
from wattkeeper.core.vee.rules import find_negative, find_spikes
from wattkeeper.core.vee.rules_days import find_wrong_counts
from wattkeeper.core.vee.rules_delivery import Deliveries
from wattkeeper.core.vee.table import EnergyTable, iter_runs

QUARTER_S = 900
DAY_S = 86_400


def table(energy: list[list[int]], *, starts_at_s: int = 0) -> EnergyTable:
    array = np.array(energy, dtype=np.int64)
    return EnergyTable(
        np.arange(len(energy)),
        starts_at_s + QUARTER_S * np.arange(array.shape[1]),
        QUARTER_S,
        array,
        np.ones(array.shape, dtype=np.bool_),
    )


DAYS = [
    day for day in json.loads(shared_path("vectors/calendar/day_lengths.json").read_text()) if day["n15"] > 0
]


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day['tz']} {day['day']}")
def test_each_local_day_expects_its_own_count(day: dict[str, Any]) -> None:
    zone, first = ZoneInfo(day["tz"]), date.fromisoformat(day["day"])
    bounds = [
        to_seconds(local_midnight(each, zone)) for each in (first, date.fromordinal(first.toordinal() + 1))
    ]
    count = int(day["n15"])
    whole = table([[1] * count, [1] * count], starts_at_s=bounds[0])
    whole.is_present[1, 5] = False
    day_bounds = np.array(bounds)
    present = whole.counts(whole.is_present, day_bounds)
    everywhere = np.ones((2, 1), dtype=np.bool_)
    judged = {
        "day_bounds_s": day_bounds,
        "expected_count": np.tile(np.diff(day_bounds) // QUARTER_S, (2, 1)),
        "present_count": present,
        "is_awaited": ~everywhere,
    }
    found = find_wrong_counts(whole, is_installed=everywhere, now_s=bounds[1] + 2 * DAY_S, **judged)
    assert [(f.series_id, f.evidence) for f in found] == [
        (1, {"day_count": 1, "expected_count": count, "present_count": count - 1})
    ]
    assert not find_wrong_counts(whole, is_installed=~everywhere, now_s=bounds[1] + 2 * DAY_S, **judged)
    assert not find_wrong_counts(whole, is_installed=everywhere, now_s=bounds[1] + DAY_S, **judged)


def test_a_missing_peak_is_no_peak_and_a_small_one_is_ordinary() -> None:
    rows = table([[1, 1, 1, 9, 1], [1, 1, 1, 9, 1], [1, 1, 1, 2, 1]])
    rows.is_present[1, 3] = False
    bounds = np.array([0, 5 * QUARTER_S])
    found = find_spikes(
        rows,
        day_bounds_s=bounds,
        is_confirmed=np.zeros((3, 1), dtype=np.bool_),
        power_max_w=np.array([0, 0, 0]),
    )
    assert [(f.series_id, f.starts_at_s) for f in found] == [(0, 3 * QUARTER_S)]
    big = np.full(3, 10**6)
    assert not find_spikes(
        rows, day_bounds_s=bounds, is_confirmed=np.zeros((3, 1), dtype=np.bool_), power_max_w=big
    )
    assert find_spikes(
        rows,
        day_bounds_s=bounds,
        is_confirmed=np.zeros((3, 1), dtype=np.bool_),
        power_max_w=big,
        spike_floor_pct=0,
    )


def test_negative_energy_is_found() -> None:
    assert [f.starts_at_s for f in find_negative(table([[1, -1, 0]]), day_bounds_s=np.array([0, 2700]))] == [
        QUARTER_S
    ]


def test_reads_from_the_future_and_from_before_are_found() -> None:
    at_s = np.array([5, 100, 1000, 1700, 1701])
    reads = Deliveries(np.ones(5, dtype=np.int64), at_s, at_s, at_s * 0)
    found = find_impossible_instants(reads, now_s=1100, installed_at_s=at_s * 0 + 100)
    assert [(f.evidence["cause"], f.starts_at_s, f.evidence["read_count"]) for f in found] == [
        ("future", 1701, 1),
        ("before-installation", 5, 1),
    ]


def test_impossible_advances_are_found() -> None:
    previous, current = np.array([10, 99, 10]), np.array([5, 3, 90])
    found = find_impossible_advances(
        channel_id=1,
        measured_at_s=np.array([1, 2, 3]),
        previous=previous,
        current=current,
        register_modulus=100,
        advance_max=np.array([20, 20, 20]),
    )
    assert [f.starts_at_s for f in found] == [1, 3]


def test_runs_are_found_row_by_row() -> None:
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=np.bool_)
    assert list(iter_runs(mask)) == [(0, 0, 2), (0, 3, 4), (2, 0, 4)]
