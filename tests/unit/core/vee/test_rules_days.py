"""Days that lack intervals, and energy where none should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.core.vee.energy_tables import DAY, DAY_S, bounds, nowhere, table
from wattkeeper.core.vee.rules_days import (
    find_missing_siblings,
    find_prolonged_estimation,
    find_usage_on_inactive,
)
from wattkeeper.core.vee.table import find_long_runs, iter_runs


@given(
    st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=4), st.integers(1, 13)
)
def test_long_runs_are_the_runs_that_are_long(rows: list[list[bool]], least: int) -> None:
    mask = np.array(rows, dtype=np.bool_)
    assert find_long_runs(mask, least) == [run for run in iter_runs(mask) if run[2] - run[1] >= least]


def test_energy_while_disconnected_is_one_finding_a_run_and_day() -> None:
    energy = table([[0, 5, 5] + [0] * 93 + [7] * 96])
    off = ~nowhere((1, 2 * DAY))
    found = find_usage_on_inactive(energy, day_bounds_s=bounds(2), is_disconnected=off)
    assert [(f.starts_at_s, f.evidence["energy_milliwh"]) for f in found] == [(900, 10), (DAY_S, 7 * 96)]
    floor = find_usage_on_inactive(
        energy, day_bounds_s=bounds(2), is_disconnected=off, inactive_floor_milliwh=5
    )
    assert [f.starts_at_s for f in floor] == [DAY_S]


def test_a_channel_that_lacks_what_its_sibling_has_is_found() -> None:
    energy = table(np.ones((3, 4 * DAY)))
    energy.is_present[1, DAY : 3 * DAY] = False
    energy.is_present[2, :] = False
    found = find_missing_siblings(
        energy,
        day_bounds_s=bounds(4),
        device_id=np.array([7, 7, 8]),
        is_installed=~nowhere((3, 4 * DAY)),
    )
    assert [(f.series_id, f.starts_at_s, f.ends_at_s, f.evidence["day_count"]) for f in found] == [
        (1, DAY_S, 3 * DAY_S, 2)
    ]


@pytest.mark.parametrize(("days", "is_found"), [(5, False), (6, True)])
def test_more_than_five_estimated_days_want_somebody_to_go_there(days: int, is_found: bool) -> None:
    energy = table(np.ones((1, 10 * DAY)))
    energy.is_present[0, : days * DAY] = False
    found = find_prolonged_estimation(energy, day_bounds_s=bounds(10), is_estimated=~energy.is_present)
    assert bool(found) is is_found
