"""What registers advanced between two instants, from the reads at both and from what happened between."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.core.readings.test_properties import (
    POWER_MAX_W,
    QUARTER_S,
    START_S,
    Row,
    derive,
    lives,
)
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.readings.ends import find_ends
from wattkeeper.core.readings.positions import Limits
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod, RegisterReset

ALWAYS = (MultiplierPeriod(0, None, Fraction(1)),)
STEP = Fraction(1_000_000)
QUARTERS = 40
END_S = START_S + QUARTERS * QUARTER_S


def advance(
    installations: list[ChannelInstallation], rows: dict[int, list[Row]], quarters: int = QUARTERS
) -> int | None:
    """Return the advance over so many quarters of an hour, None where it is not known."""
    reads = {channel_id: ReadColumns.of(own) for channel_id, own in rows.items()}
    limits = Limits(QUARTER_S, POWER_MAX_W, register_advance)
    position, chain = find_ends(installations, reads, limits, START_S, START_S + quarters * QUARTER_S)
    return int(position[1] - position[0]) if chain[0] == chain[1] != -1 else None


@given(lives(), st.data())
@settings(max_examples=60, deadline=None)
def test_it_is_the_energy_of_all_that_was_read_whatever_happened(
    life: tuple[Any, ...], data: st.DataObject
) -> None:
    installations, rows, quarters, truth_milliwh = life
    found = derive(installations, rows, quarters)
    is_unsure = any(each.rule == "readings.rollover-ambiguous" for each in found.findings)
    known = advance(installations, rows, quarters)
    assert known == (None if is_unsure else truth_milliwh)
    shuffled = {
        channel_id: data.draw(st.permutations(own + data.draw(st.lists(st.sampled_from(own), max_size=5))))
        for channel_id, own in rows.items()
    }
    assert advance(installations, shuffled, quarters) == known


@given(lives(), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_not_read_makes_it_unknown_never_wrong(life: tuple[Any, ...], data: st.DataObject) -> None:
    installations, rows, quarters, truth_milliwh = life
    kept = {channel_id: [row for row in own if data.draw(st.booleans())] for channel_id, own in rows.items()}
    assert advance(installations, kept, quarters) in (truth_milliwh, None)


def one(first: int, last: int, *, digits: int | None = 5, **facts: Any) -> int | None:
    """Return what a register of whole kilowatt-hours that is read at both ends alone advanced."""
    modulus = None if digits is None else 10**digits
    rows = [(START_S, first, 0, int(Source.FREEZE_DAILY)), (END_S, last, 0, int(Source.FREEZE_DAILY))]
    return advance([ChannelInstallation(1, 0, None, STEP, modulus, ALWAYS, **facts)], {1: rows})


def test_two_reads_are_enough_where_nothing_happened() -> None:
    assert one(10, 25) == 15_000_000
    assert one(99_990, 5) == 15_000_000
    assert one(25, 10, digits=None) is None


def test_a_register_that_may_have_come_round_once_more_is_unknown() -> None:
    assert one(10, 25, digits=3) is None


@pytest.mark.parametrize(("before", "found"), [(20, 15_000_000), (None, None)])
def test_a_told_reset_is_gone_through_where_the_register_was_read(
    before: int | None, found: int | None
) -> None:
    assert one(10, 5, resets=(RegisterReset(START_S + 4000, before, 0),)) == found


@pytest.mark.parametrize(("is_removal_read", "found"), [(True, 15_000_000), (False, None)])
def test_an_exchange_is_gone_through_where_both_meters_were_read(
    is_removal_read: bool, found: int | None
) -> None:
    cut_s = START_S + 4000
    meters = [
        ChannelInstallation(1, 0, cut_s, STEP, 10**5, ALWAYS),
        ChannelInstallation(2, cut_s, None, STEP, 10**5, ALWAYS),
    ]
    field = int(Source.FIELD)
    old, new = [(START_S, 10, 0, 4), (cut_s, 20, 0, field)], [(cut_s, 700, 0, field), (END_S, 705, 0, 4)]
    assert advance(meters, {1: old if is_removal_read else old[:1], 2: new}) == found


@pytest.mark.parametrize("cut_s", [START_S, END_S])
def test_an_exchange_at_an_end_leaves_each_span_the_meter_that_measured_it(cut_s: int) -> None:
    meters = [
        ChannelInstallation(1, 0, cut_s, STEP, 10**5, ALWAYS),
        ChannelInstallation(2, cut_s, None, STEP, 10**5, ALWAYS),
    ]
    own = [(START_S, 10, 0, 4), (END_S, 20, 0, 4)]
    beside_s = cut_s + (60 if cut_s == END_S else -60)  # near enough for an estimate of the cut
    other = [(beside_s, 900, 0, int(Source.FIELD))]
    first, second = (own, other) if cut_s == END_S else (other, own)
    assert advance(meters, {1: first, 2: second}) == 10_000_000


def test_reads_beside_the_ends_say_nothing() -> None:
    meter = [ChannelInstallation(1, 0, None, STEP, 10**5, ALWAYS)]
    assert advance(meter, {1: [(START_S - 60, 10, 0, 4), (END_S + 60, 20, 0, 4)]}) is None
    assert advance(meter, {1: [(START_S, 10, 0, 4), (END_S + 60, 20, 0, 4)]}) is None
    assert advance(meter, {}) is None
