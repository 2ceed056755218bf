"""Sums over dated parts against plain loops over single intervals, for any history of a tree."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.registry.aggregation import (
    OPEN_S,
    Links,
    count_due,
    fill_gaps,
    find_members,
    links_told,
    past,
    place_rows,
    sum_parts,
    within_gaps,
)
from wattkeeper.core.registry.topology import InvalidTopology

ROOT, STEP_S, DAY_S, DAYS = 999, 900, 86_400, 3
END_S = DAYS * DAY_S
COUNT = END_S // STEP_S
LEAVES = np.arange(1, 7, dtype=np.int64)
NODES = (101, 102, 201)  # groups of the first level, one of the second
Row = tuple[int, int, int, int | None]


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Draw where each part was over time: leaves in groups, groups in a group, with holes."""
    rows: list[Row] = []
    wholes = {**dict.fromkeys(LEAVES.tolist(), (101, 102)), 101: (201,), 102: (201,)}
    for part, choices in wholes.items():
        cuts = sorted(draw(st.sets(st.integers(0, END_S), max_size=4)))
        for from_s, to_s in zip(cuts, [*cuts[1:], None][: len(cuts)], strict=True):
            if draw(st.integers(0, 3)):
                rows.append((part, draw(st.sampled_from(choices)), from_s, to_s))
    return rows


def tree(rows: list[Row]) -> Links:
    return fill_gaps(Links.of(rows), np.append(LEAVES, NODES), ROOT)


def energies(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10**9, (len(LEAVES), COUNT))


def totals(rows: list[Row], energy: np.ndarray, node: int, *, planted: bool = False) -> dict[int, list[int]]:
    """Return sums by part and day: whole days as day rows, those that a change cuts by intervals."""
    links = tree(rows)
    if planted:  # membership as it is today, whatever the day
        now = links.where((links.from_s < END_S) & (links.to_s >= END_S))
        links = Links.always(now.part, now.whole)
    members = find_members(links, LEAVES, 0, END_S).of_node(node)
    parts = np.unique(members.via)
    day_of = np.tile(np.arange(DAYS), len(LEAVES))
    leaf = np.repeat(LEAVES, DAYS)
    place, is_cut = place_rows(members, leaf, day_of * DAY_S, (day_of + 1) * DAY_S)
    days = energy.reshape(len(LEAVES), DAYS, -1).sum(axis=2).reshape(1, -1)
    whole = sum_parts(members, place[~is_cut], day_of[~is_cut], days[:, ~is_cut], parts, DAYS)
    at = np.arange(COUNT) * STEP_S
    own = np.isin(
        np.repeat(LEAVES, COUNT) * DAYS + np.tile(at // DAY_S, len(LEAVES)), (leaf * DAYS + day_of)[is_cut]
    )
    leaf, at = np.repeat(LEAVES, COUNT)[own], np.tile(at, len(LEAVES))[own]
    place, _ = place_rows(members, leaf, at, at + STEP_S)
    split = sum_parts(members, place, at // DAY_S, energy.reshape(1, -1)[:, own], parts, DAYS)
    return dict(zip(parts.tolist(), (whole + split)[0].tolist(), strict=True))


def whole_at(rows: list[Row], part: int, at_s: int) -> int:
    """Return what a part is in at an instant, by looking at every row."""
    for own, whole, from_s, to_s in rows:
        if own == part and from_s <= at_s and (to_s is None or at_s < to_s):
            return whole
    return ROOT


def oracle(rows: list[Row], energy: np.ndarray, node: int) -> dict[int, list[int]]:
    """Return the same sums, one interval after the other, walking up the tree from each leaf."""
    found: dict[int, list[int]] = defaultdict(lambda: [0] * DAYS)
    for index, leaf in enumerate(LEAVES.tolist()):
        for at in range(COUNT):
            below, whole = leaf, whole_at(rows, leaf, at * STEP_S)
            while whole not in (node, ROOT):
                below, whole = whole, whole_at(rows, whole, at * STEP_S)
            if whole == node:
                found[below][at * STEP_S // DAY_S] += int(energy[index, at])
    return found


@given(histories(), st.integers(0, 2**32), st.sampled_from([*NODES, ROOT]))
def test_every_interval_counts_where_it_was(rows: list[Row], seed: int, node: int) -> None:
    energy = energies(seed)
    found = {part: days for part, days in totals(rows, energy, node).items() if any(days)}
    assert found == {part: days for part, days in oracle(rows, energy, node).items() if any(days)}


@given(histories(), st.integers(0, 2**32))
def test_the_parts_of_the_root_are_all_there_is(rows: list[Row], seed: int) -> None:
    energy = energies(seed)
    by_day = np.sum(list(totals(rows, energy, ROOT).values()), axis=0)
    assert by_day.tolist() == energy.sum(axis=0).reshape(DAYS, -1).sum(axis=1).tolist()


def test_membership_as_of_today_is_caught() -> None:
    rows: list[Row] = [(1, 101, 0, 2 * DAY_S), (1, 102, 2 * DAY_S, None)]
    energy = energies(1)
    expected = {part: days for part, days in oracle(rows, energy, 101).items() if any(days)}
    assert totals(rows, energy, 101) == expected
    assert totals(rows, energy, 101, planted=True) != expected


@given(histories(), st.integers(0, END_S))
def test_what_is_due_is_counted_once(rows: list[Row], now_s: int) -> None:
    installed = Links.of([(leaf, 0, 1000 * leaf, END_S - 7000 * leaf) for leaf in LEAVES.tolist()])
    bounds_s = np.arange(0, END_S + 1, DAY_S, dtype=np.int64)
    members = find_members(tree(rows), LEAVES, 0, END_S).of_node(ROOT)
    step_s = np.full(len(LEAVES), STEP_S)
    due = count_due(members, installed, step_s, bounds_s, np.unique(members.via), now_s)
    expected = [0] * DAYS
    for leaf in LEAVES.tolist():
        for at_s in range(0, END_S, STEP_S):
            is_over = at_s + STEP_S <= now_s
            if is_over and 1000 * leaf <= at_s < END_S - 7000 * leaf:
                expected[at_s // DAY_S] += 1
    assert due.sum(axis=0).tolist() == expected


def test_a_part_of_itself_is_refused() -> None:
    with pytest.raises(InvalidTopology) as refusal:
        find_members(Links.of([(1, 101, 0, None), (101, 102, 0, None), (102, 101, 0, None)]), LEAVES, 0, 10)
    assert refusal.value.code == "topology.cycle"


def test_one_link_stands_back_where_another_holds() -> None:
    first = Links.of([(1, 101, 10, 20), (1, 102, 30, 40)])
    cut = within_gaps(first, Links.of([(1, 5, 0, 35), (2, 5, 3, None)]))
    rows = sorted(zip(*(getattr(cut, name).tolist() for name in cut.__slots__), strict=True))
    assert rows == [(1, 5, 0, 10), (1, 5, 20, 30), (2, 5, 3, OPEN_S)]


@given(histories(), st.sets(st.sampled_from(NODES)))
@settings(max_examples=40)
def test_links_past_some_lead_to_the_first_other(rows: list[Row], over: set[int]) -> None:
    """At each instant at which anything changes; ROOT: in nothing."""
    links = past(Links.of(rows), np.array(sorted(over), dtype=np.int64))
    found = list(zip(*(getattr(links, name).tolist() for name in Links.__slots__), strict=True))
    for at in {0, *(row[2] for row in rows)}:
        for part in (*LEAVES.tolist(), *NODES):
            whole = whole_at(rows, part, at)
            while whole in over:
                whole = whole_at(rows, whole, at)
            own = [each[1] for each in found if each[0] == part and each[2] <= at < each[3]]
            assert own == [whole] * (whole != ROOT)


def test_nothing_has_no_members() -> None:
    members = find_members(Links.of([]), LEAVES, 0, 10).of_node(ROOT)
    place, is_cut = place_rows(members, LEAVES, LEAVES * 0, LEAVES * 0 + 10)
    assert (set(place.tolist()), is_cut.any()) == ({-1}, False)


Told = tuple[int, int | None, int]
TOLD = st.lists(
    st.tuples(st.integers(1, 2), st.none() | st.integers(101, 103), st.integers(0, 9)), max_size=12
)


@given(told=TOLD)
def test_links_told_hold_until_the_end_of_what_they_cut(told: list[Told]) -> None:
    """Beside ten instants, each with the number of the telling that holds there, filled one by one."""
    held: dict[int, list[int | None]] = {part: [None] * 10 for part in (1, 2)}
    for number, (part, _, at_s) in enumerate(told):
        own = held[part]
        before, after = own[at_s], at_s
        while after < 10 and own[after] == before:
            own[after] = number
            after += 1
        if told[number][1] is None:
            own[at_s:after] = [None] * (after - at_s)
    links = links_told(told)
    for part, own in held.items():
        for at_s, number in enumerate(own):
            is_there = (links.part == part) & (links.from_s <= at_s) & (at_s < links.to_s)
            assert links.whole[is_there].tolist() == ([] if number is None else [told[number][1]])
