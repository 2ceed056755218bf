"""What something else holds of a gap with cuts is taken from the side that it lies in."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wattkeeper.core.readings.intervals import Gap
from wattkeeper.core.readings.rest import find_rest

HOUR_S = 3600


@st.composite
def gaps(draw: st.DrawFn) -> tuple[Gap, list[bool], list[int]]:
    """Draw a gap that begins at interval 5, which of its intervals are held, and what they hold."""
    count = draw(st.integers(1, 12))
    cuts_s = sorted(draw(st.sets(st.integers(1, count * HOUR_S - 1), max_size=3)))
    sides = draw(st.lists(st.integers(0, 10**6), min_size=len(cuts_s) + 1, max_size=len(cuts_s) + 1))
    total = np.cumsum(sides).tolist()
    is_held = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    value = draw(st.lists(st.integers(0, 10**5), min_size=count, max_size=count))
    return Gap(5, 5 + count, total[-1], True, tuple(zip(cuts_s, total, strict=False))), is_held, value


def held_milliwh(is_held: list[bool], value: list[int], from_s: int, to_s: int) -> Fraction:
    """Return what is held between two seconds of a gap, by time."""
    total = Fraction(0)
    for place, energy in enumerate(value):
        inside_s = min(to_s, (place + 1) * HOUR_S) - max(from_s, place * HOUR_S)
        total += Fraction(is_held[place] * energy * max(0, inside_s), HOUR_S)
    return total


def bounds_of(gap: Gap) -> list[tuple[int, int]]:
    return [(0, 0), *gap.cuts, ((gap.end_index - gap.first_index) * HOUR_S, gap.energy_milliwh or 0)]


@given(gaps())
def test_each_side_has_what_was_read_of_it_less_what_is_held(
    drawn: tuple[Gap, list[bool], list[int]],
) -> None:
    gap, is_held, value = drawn
    rest = find_rest(gap, np.array(is_held), np.array(value), HOUR_S)
    of_sides = [
        until - before - held_milliwh(is_held, value, from_s, to_s)
        for (from_s, before), (to_s, until) in pairwise(bounds_of(gap))
    ]
    if rest is None:
        shut = [
            all(is_held[from_s // HOUR_S : -(-to_s // HOUR_S)])
            for (from_s, _), (to_s, _) in pairwise(bounds_of(gap))
        ]
        assert any(own < 1 or is_shut for own, is_shut in zip(of_sides, shut, strict=True))
        return
    assert min(of_sides) > -1
    places = [place for each in rest for place in range(each.first_index - 5, each.end_index - 5)]
    assert places == [place for place, each in enumerate(is_held) if not each]
    held = sum(energy for energy, each in zip(value, is_held, strict=True) if each)
    assert sum(each.energy_milliwh or 0 for each in rest) == (gap.energy_milliwh or 0) - held
    for (from_s, _), (to_s, _), own in zip(bounds_of(gap), bounds_of(gap)[1:], of_sides, strict=False):
        inside = sum(part for each in rest for part in parts_within(each, from_s, to_s))
        assert abs(inside - own) <= 1 + len(rest)


def parts_within(gap: Gap, from_s: int, to_s: int) -> list[int]:
    """Return the energy of what lies of a gap between two cuts."""
    offset_s = (gap.first_index - 5) * HOUR_S
    bounds = [(offset_s + at_s, energy) for at_s, energy in bounds_of(gap)]
    return [
        until - before
        for (first_s, before), (end_s, until) in pairwise(bounds)
        if from_s <= first_s and end_s <= to_s
    ]


@given(gaps())
def test_what_nothing_holds_is_the_gap_itself(drawn: tuple[Gap, list[bool], list[int]]) -> None:
    gap, is_held, value = drawn
    assert find_rest(gap, np.zeros(len(is_held), dtype=np.bool_), np.array(value), HOUR_S) == (gap,)
    assume(gap.energy_milliwh)
    assert find_rest(gap, np.ones(len(is_held), dtype=np.bool_), np.zeros(len(value)), HOUR_S) is None


@pytest.mark.parametrize(("held", "left"), [(300, (1700, 6000)), (301, (1699, 6000)), (2001, None)])
def test_more_than_was_read_of_a_side_leaves_it_to_the_whole(held: int, left: tuple[int, int] | None) -> None:
    gap = Gap(0, 4, 8000, True, ((2 * HOUR_S, 2000),))
    rest = find_rest(gap, np.array([True, False, False, False]), np.array([held, 0, 0, 0]), HOUR_S)
    if left is None:
        assert rest is None
    else:
        assert rest == (Gap(1, 4, sum(left), True, ((HOUR_S, left[0]),)),)
