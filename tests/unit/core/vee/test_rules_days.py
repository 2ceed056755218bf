"""Days that lack intervals, and energy where none should be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.core.vee.energy_tables import DAY, DAY_S, bounds, nowhere, table
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.vee.rules_days import (
    find_missing_siblings,
    find_prolonged_estimation,
    find_usage_on_inactive,
    find_wrong_counts,
)
from wattkeeper.core.vee.table import EnergyTable, find_long_runs, iter_runs

DAYS = 6


def lost(*spans: tuple[int, int]) -> EnergyTable:
    """Return a series of `DAYS` days without the given spans of intervals."""
    whole = table([[1] * (DAY * DAYS)])
    for first, end in spans:
        whole.is_present[0, first:end] = False
    return whole


def count(energy: EnergyTable, **changed: Any) -> list[tuple[int, int, int]]:
    """Return (first day, end day, present intervals) of what V02 finds, long after."""
    shape = energy.energy_milliwh.shape
    given: dict[str, Any] = {
        "day_bounds_s": bounds(shape[1] // DAY),
        "is_installed": ~nowhere(shape),
        "is_awaited": nowhere(shape),
        "now_s": 100 * DAY_S,
    }
    found = find_wrong_counts(energy, **(given | changed))
    return [days_of(each) for each in found]


def days_of(finding: Finding) -> tuple[int, int, int]:
    return finding.starts_at_s // DAY_S, finding.ends_at_s // DAY_S, int(finding.evidence["present_count"])


def test_days_that_one_gap_joins_are_one_finding() -> None:
    assert count(lost((DAY + 50, 4 * DAY + 10))) == [(1, 5, 50 + 86)]


def test_gaps_of_their_own_are_findings_of_their_own() -> None:
    assert count(lost((50, 60), (DAY + 10, DAY + 12), (DAY * 4, DAY * 5))) == [
        (0, 1, 86),
        (1, 2, 94),
        (4, 5, 0),
    ]


def test_a_day_is_judged_when_its_reads_should_be_there() -> None:
    gap = lost((DAY * 3, DAY * 6))
    assert count(gap, now_s=DAY * 900) == count(gap)[:0] or count(gap, now_s=6 * DAY_S) == [(3, 4, 0)]
    assert count(gap, now_s=5 * DAY_S) == []
    assert count(gap, now_s=6 * DAY_S, due_day_count=0) == [(3, 6, 0)]


def test_what_may_not_have_been_fetched_yet_is_not_missing_until_it_is_old() -> None:
    gap = lost((0, DAY * 2))
    awaited = nowhere((1, DAY * DAYS))
    awaited[0, : DAY * 2] = True
    assert count(gap, is_awaited=awaited, now_s=10 * DAY_S) == []
    assert count(gap, is_awaited=awaited, now_s=36 * DAY_S) == [(0, 1, 0)]
    assert count(gap, is_awaited=awaited, now_s=10 * DAY_S, silent_day_count=3) == [(0, 2, 0)]


@given(st.lists(st.tuples(st.integers(0, DAY * DAYS - 1), st.integers(1, 150)), max_size=6), st.data())
def test_it_does_not_matter_which_days_are_looked_at_together(
    spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    energy = lost(*((first, first + length) for first, length in spans))
    cut = data.draw(st.integers(1, DAYS - 1)) * DAY
    whole = count(energy)
    if not energy.is_present[0, cut - 1 : cut + 1].any():
        return  # a gap is derived as a whole, so no window ends in one
    parts = []
    for first, end in ((0, cut), (cut, DAY * DAYS)):
        part = EnergyTable(
            energy.series_id,
            energy.starts_at_s[first:end],
            energy.interval_s,
            energy.energy_milliwh[:, first:end],
            energy.is_present[:, first:end],
        )
        parts += count(part, day_bounds_s=bounds(DAYS)[first // DAY : end // DAY + 1])
    assert parts == whole


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
