"""What other meters, years and classes know of a gap, and the order in which they are asked."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.core.vee.energy_tables import series
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.candidates import (
    Candidate,
    Candidates,
    from_balance,
    from_check_meter,
    from_class_profile,
    from_known_zero,
    from_previous_year,
)
from wattkeeper.core.vee.estimate import DayCalendar, estimate
from wattkeeper.core.vee.rule_set import Estimation

CALENDAR = DayCalendar(ZoneInfo("UTC"))
ALL = np.ones(6, dtype=np.bool_)


def fill(
    lost: Intervals, candidates: Candidates | None = None, **options: Any
) -> tuple[list[int], list[int]]:
    """Return values and methods after estimation."""
    found = estimate(
        lost,
        CALENDAR,
        lost.gaps,
        candidates=candidates or Candidates(),
        estimation=Estimation(**options),
    )
    return found.value_milliwh.tolist(), found.method.tolist()


def candidate(method: Method, *energy: int) -> Candidate:
    """Return what a method knows; -1 is nothing."""
    values = np.array(energy, dtype=np.int64)
    return Candidate(method, np.maximum(values, 0), values >= 0)


def test_a_check_meter_comes_before_the_line() -> None:
    lost = series([10, None, None, None, None, 60], registers=False)
    check = from_check_meter(np.array([9, 5, 6, 7, 8, 9]), ALL)
    assert fill(lost, Candidates((check,))) == ([10, 5, 6, 7, 8, 60], [0, 6, 6, 6, 6, 0])
    assert fill(lost)[1] == [0, *[Method.LINEAR] * 4, 0]


def test_each_interval_takes_the_first_that_knows_it() -> None:
    lost = series([10, None, None, None, None, 60], registers=False)
    before = (
        candidate(Method.CHECK_METER, 0, 5, -1, -1, -1, 0),
        candidate(Method.NETWORK_BALANCE, 0, 1, 6, -1, -1, 0),
    )
    after = (
        candidate(Method.PREVIOUS_YEAR, 0, 1, 1, 7, -1, 0),
        candidate(Method.CLASS_PROFILE, 0, 1, 1, 1, 8, 0),
    )
    values, methods = fill(lost, Candidates(before, after), linear_max_s=0)
    assert values == [10, 5, 6, 7, 8, 60]
    assert methods[1:-1] == [
        Method.CHECK_METER,
        Method.NETWORK_BALANCE,
        Method.PREVIOUS_YEAR,
        Method.CLASS_PROFILE,
    ]


def test_what_is_known_to_be_zero_stays_zero_when_scaled() -> None:
    lost = series([10, None, None, None, None, 60])
    zero = from_known_zero(np.array([0, 1, 1, 0, 0, 0], dtype=np.bool_))
    profile = from_class_profile(np.array([1, 1, 1, 1, 3, 1]), 10**9)
    candidates = Candidates((zero,), (profile,))
    assert fill(lost, candidates, linear_max_s=0)[0] == [10, 0, 0, 1000, 3000, 60]


@given(
    st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
    st.integers(0, 10**12),
    st.sampled_from(["before", "after"]),
)
def test_energy_is_kept_whoever_knows_the_shape(shape: list[int], energy: int, place: str) -> None:
    lost = series([10, *[None] * 4, 60])
    lost = replace(lost, gaps=(replace(lost.gaps[0], energy_milliwh=energy),))
    lost.flags[0] = Flag.POWER_LOST
    known = (candidate(Method.CHECK_METER, 0, *shape, 0),)
    values, _ = fill(lost, Candidates(before=known) if place == "before" else Candidates(after=known))
    assert sum(values[1:-1]) == energy


def test_the_balance_of_a_node_is_what_the_others_leave() -> None:
    left = from_balance(
        np.array([100, 100, 50]),
        np.array([[30, 30, 30], [20, 20, 30]]),
        np.array([5, 5, 5]),
        np.ones(3, np.bool_),
    )
    assert left.energy_milliwh[:2].tolist() == [45, 45]
    assert left.is_known.tolist() == [True, True, False]


def test_last_year_is_scaled_by_the_growth_since() -> None:
    grown = from_previous_year(
        np.array([10, 11, 0]), np.array([True, True, False]), recent_milliwh=150, recent_last_year_milliwh=100
    )
    assert grown.energy_milliwh.tolist() == [15, 16, 0]
    assert grown.is_known.tolist() == [True, True, False]
    huge = from_previous_year(
        np.array([10**15]), np.array([True]), recent_milliwh=10**15, recent_last_year_milliwh=10**15
    )
    assert huge.energy_milliwh.tolist() == [10**15]
    with pytest.raises(UnableToEstimate, match="no-growth"):
        from_previous_year(np.array([1]), np.array([True]), recent_milliwh=1, recent_last_year_milliwh=0)


def test_a_profile_of_a_thousand_kilowatt_hours_is_scaled_to_the_year() -> None:
    found = from_class_profile(np.array([25_000, -1]), 3500 * 10**6)
    assert found.energy_milliwh[0] == 87_500
    assert found.is_known.tolist() == [True, False]


def flagged(lost: Intervals, *places: int) -> Intervals:
    lost.flags[list(places)] = Flag.POWER_LOST
    return lost


def test_between_two_power_failures_it_was_dark_unless_the_registers_moved() -> None:
    dark = flagged(series([10, None, None, 60], registers=False), 0, 3)
    assert fill(dark) == ([10, 0, 0, 60], [0, Method.KNOWN_ZERO, Method.KNOWN_ZERO, 0])
    moved = flagged(series([10, None, None, 60]), 0, 3)
    values, methods = fill(moved)
    assert values == [10, 1000, 1000, 60]
    assert methods[1] == Method.EVEN_SPREAD


def test_with_a_failure_on_one_side_a_day_is_asked_before_the_other_side() -> None:
    lost = flagged(series([10, None, None, 60], registers=False), 0)
    assert fill(lost) == ([10, 60, 60, 60], [0, Method.FLAT_LINE, Method.FLAT_LINE, 0])
    after = Candidates(after=(candidate(Method.CLASS_PROFILE, 0, 3, 4, 0),))
    assert fill(lost, after)[0] == [10, 3, 4, 60]


def test_nothing_known_stays_missing_unless_the_rule_set_says_zero() -> None:
    lost = flagged(series([10, *[None] * 9, 60], registers=False), 0)
    found = estimate(lost, CALENDAR, lost.gaps)
    assert (found.provenance[1:-1] == Provenance.MISSING).all()
    values, methods = fill(lost, is_zero_last=True)
    assert values == [10, *[0] * 9, 60]
    assert methods[1] == Method.KNOWN_ZERO


def test_a_register_is_prorated_by_a_profile() -> None:
    lost = series([10, *[None] * 4, 60])
    profile = Candidates(after=(candidate(Method.CLASS_PROFILE, 0, 1, 1, 0, 2, 0),))
    assert fill(lost, profile, linear_max_s=0)[0] == [10, 1000, 1000, 0, 2000, 60]


def test_a_line_fills_what_candidates_leave_of_a_short_gap() -> None:
    lost = series([10, None, None, None, None, 60], registers=False)
    check = candidate(Method.CHECK_METER, 0, 5, 6, -1, -1, 0)
    assert fill(lost, Candidates((check,))) == ([10, 5, 6, 40, 50, 60], [0, 6, 6, 1, 1, 0])
    assert fill(lost)[0] == [10, 20, 30, 40, 50, 60]


def test_the_line_beside_candidates_is_scaled_with_them() -> None:
    lost = series([10, None, None, None, None, 60])
    energy = lost.gaps[0].energy_milliwh
    assert energy is not None
    values, methods = fill(lost, Candidates((candidate(Method.CHECK_METER, 0, 20, 30, -1, -1, 0),)))
    assert sum(values[1:-1]) == energy
    assert methods == [0, 6, 6, 1, 1, 0]
    assert values[1:-1] == fill(lost)[0][1:-1]  # the same shape as the line


def test_what_candidates_leave_of_a_dark_gap_is_zero() -> None:
    lost = series([10, None, None, 60], registers=False)
    lost = replace(lost, flags=np.where([True, False, False, True], int(Flag.POWER_LOST), 0))
    values, methods = fill(lost, Candidates((candidate(Method.CHECK_METER, 0, 5, -1, 0),)))
    assert (values, methods) == ([10, 5, 0, 60], [0, Method.CHECK_METER, Method.KNOWN_ZERO, 0])
