"""Equal intervals: a fault where chance does not explain them, else the steps of a register."""

import numpy as np
import pytest

from unit.core.vee.energy_tables import DAY, bounds, table
from wattkeeper.core.vee.rules_constant import chance_of_equals, find_constant

WH = 1000


def run_of(value_wh: int, count: int, *, rest_wh: int = 300, step_wh: int = 1, days: int = 1) -> int:
    """Return how many findings a run of equal intervals in days of changing load makes."""
    chance = np.random.default_rng(3)
    energy = chance.integers(rest_wh // 2, rest_wh * 2, (1, DAY * days)) // step_wh * step_wh * WH
    energy[0, 20 : 20 + count] = value_wh * WH
    return len(
        find_constant(table(energy), day_bounds_s=bounds(days), resolution_milliwh=np.array([step_wh * WH]))
    )


@pytest.mark.parametrize(
    ("value_wh", "count", "step_wh", "is_found"),
    [
        (200, 12, 1, True),
        (200, 11, 1, False),
        (500, 12, 10, False),  # 50 steps
        (500, 40, 10, True),
        (100, 76, 10, False),  # ten steps: a night of a pulse meter
        (0, 40, 1, False),
    ],
)
def test_a_run_counts_where_the_steps_are_fine_enough(
    value_wh: int, count: int, step_wh: int, is_found: bool
) -> None:
    assert bool(run_of(value_wh, count, step_wh=step_wh)) is is_found


def test_a_load_that_repeats_itself_all_day_is_no_fault() -> None:
    steady = np.where(np.arange(DAY) % 24 == 0, 5001, 5000) * WH
    found = find_constant(table([steady]), day_bounds_s=bounds(1), resolution_milliwh=np.array([WH]))
    assert not found


def test_a_run_is_cut_at_midnight() -> None:
    energy = np.random.default_rng(5).integers(100, 900, (1, 2 * DAY)) * WH
    energy[0, DAY - 8 : DAY + 8] = 400 * WH
    days = {"day_bounds_s": bounds(2), "resolution_milliwh": np.array([WH])}
    assert not find_constant(table(energy), **days)
    energy[0, DAY - 20 : DAY + 30] = 400 * WH
    found = find_constant(table(energy), **days)
    assert [(f.starts_at_s // 900, f.ends_at_s // 900) for f in found] == [(DAY - 20, DAY), (DAY, DAY + 30)]


@pytest.mark.parametrize("deviation", [0.05, 0.3, 1.0, 3.0, 10.0])
def test_the_chance_of_equals_is_what_a_draw_shows(deviation: float) -> None:
    draw = np.random.default_rng(1)
    place = draw.uniform(0, 1, 200_000)
    pair = np.floor(place + draw.normal(0, deviation, (2, 200_000)))
    assert (pair[0] == pair[1]).mean() == pytest.approx(chance_of_equals(deviation), abs=0.004)


def test_a_load_without_deviation_is_always_equal() -> None:
    assert chance_of_equals(0) == 1


def test_false_alarms_are_as_rare_as_promised_on_a_normal_load() -> None:
    """10 000 meter-days of a load that varies by 1 % around 30 to 300 steps: none expected, none found."""
    draw = np.random.default_rng(11)
    base = draw.integers(30, 300, (10_000, 1))
    energy = np.floor(base * (1 + draw.normal(0, 0.01, (10_000, DAY)))).astype(np.int64) * WH
    resolution = np.full(10_000, WH)
    assert not find_constant(table(energy), day_bounds_s=bounds(1), resolution_milliwh=resolution)
    naive = find_constant(
        table(energy), day_bounds_s=bounds(1), resolution_milliwh=resolution, constant_chance_digits=0
    )
    assert naive
