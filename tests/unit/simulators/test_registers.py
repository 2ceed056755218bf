from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.simulators.load import DAY_S, PARTS_PER_MILLIWH, Loads
from wattkeeper.simulators.registers import Registers
from wattkeeper.simulators.supply import Supply

STARTS_AT_S = 1_793_289_600
END_S = STARTS_AT_S + 3 * DAY_S
LOADS = Loads(seed=3, starts_at_s=STARTS_AT_S)


def make(**changes: object) -> Registers:
    values: dict = {
        "supply": Supply(LOADS, (0,)),
        "step_milliwh": Fraction(10_000),
        "digits": 8,
        "start_counts": 500,
        "installed_s": STARTS_AT_S,
        "ratios": [(STARTS_AT_S, Fraction(1))],
        **changes,
    }
    return Registers(**values)


def array(*instants: int) -> np.ndarray:
    return np.array(instants, dtype=np.int64)


def flowed_milliwh(registers: Registers, from_s: int, to_s: int) -> Fraction:
    first, last = registers.supply.positions(array(from_s, to_s))
    return Fraction(int(last - first), PARTS_PER_MILLIWH)


@given(
    at_s=st.integers(STARTS_AT_S, END_S),
    step=st.fractions(Fraction(1, 3), 20_000, max_denominator=7),
    ratio=st.fractions(Fraction(1, 2), 400, max_denominator=5),
)
@settings(max_examples=150, deadline=None)
def test_the_advance_is_the_energy_that_flowed_but_for_one_step(
    at_s: int, step: Fraction, ratio: Fraction
) -> None:
    registers = make(step_milliwh=step, ratios=[(STARTS_AT_S, ratio)])
    advance = int(registers.counts(array(at_s))[0]) - 500
    rest = flowed_milliwh(registers, STARTS_AT_S, at_s) - advance * step * ratio
    assert 0 <= rest < step * ratio


@given(cut_s=st.integers(STARTS_AT_S, END_S), at_s=st.integers(STARTS_AT_S, END_S))
@settings(max_examples=150, deadline=None)
def test_a_changed_ratio_holds_from_its_instant_on(cut_s: int, at_s: int) -> None:
    registers = make(step_milliwh=Fraction(1000), ratios=[(STARTS_AT_S, Fraction(40)), (cut_s, Fraction(60))])
    before = flowed_milliwh(registers, STARTS_AT_S, min(at_s, cut_s)) / 40
    after = flowed_milliwh(registers, cut_s, at_s) / 60 if at_s > cut_s else 0
    assert int(registers.counts(array(at_s))[0]) == 500 + (before + after) // 1000


def test_the_display_rolls_over_and_the_counts_do_not() -> None:
    registers = make(start_counts=10**8 - 3)
    at = np.arange(STARTS_AT_S, END_S, 60, dtype=np.int64)
    counts, shown = registers.counts(at), registers.display_many(at)
    assert counts.max() > 10**8
    assert (np.diff(counts) >= 0).all()
    assert int((np.diff(shown) < 0).sum()) == 1
    assert ((counts - shown) % 10**8 == 0).all()


def test_a_meter_counts_only_while_installed() -> None:
    installed, removed = STARTS_AT_S + 5000, STARTS_AT_S + 50_000
    registers = make(installed_s=installed, removed_s=removed)
    first, at_start, at_end, later = registers.counts(array(STARTS_AT_S, installed, removed, END_S))
    assert first == at_start == 500
    assert at_end == later > 500
    assert not registers.is_installed(removed)
    assert registers.is_installed(installed)


def test_records_stand_at_the_meters_own_quarter_hours() -> None:
    registers = make(clock_offset_s=-420)
    records = registers.profile(0, 1 << 40, STARTS_AT_S + DAY_S)
    assert all(stamp % 900 == 0 for stamp, _ in records)
    assert records[-1][0] == STARTS_AT_S + DAY_S - 900  # its clock shows 23:53
    stamp, shown = records[7]
    assert shown == registers.display(stamp + 420)


def test_the_memory_is_a_ring_of_so_many_days() -> None:
    registers = make(memory_days=1)
    records = registers.profile(0, 1 << 40, STARTS_AT_S + 2 * DAY_S + 30)
    assert len(records) == 97  # both ends of 96 intervals
    assert records[0][0] == STARTS_AT_S + DAY_S


def test_nothing_is_recorded_before_its_time_and_asking_early_spoils_nothing() -> None:
    registers = make()
    assert registers.profile(STARTS_AT_S + 900, STARTS_AT_S + 1800, STARTS_AT_S + 899) == []
    assert len(registers.profile(0, 1 << 40, STARTS_AT_S + 899)) == 1
    assert len(registers.profile(0, 1 << 40, STARTS_AT_S + 900)) == 2


def test_a_hole_stays_a_hole() -> None:
    hole = (STARTS_AT_S + 3600, STARTS_AT_S + 7200)
    stamps = [stamp for stamp, _ in make(holes=(hole,)).profile(0, 1 << 40, STARTS_AT_S + 10_000)]
    assert len(stamps) == 8
    assert not any(hole[0] <= stamp < hole[1] for stamp in stamps)


def test_what_was_recorded_before_a_cut_stays_when_the_supply_is_cut() -> None:
    registers = make()
    now = STARTS_AT_S + 4 * 3600
    before = registers.profile(0, 1 << 40, now)
    registers.supply.open_switch(now)
    later = registers.profile(0, 1 << 40, now + 3600)
    assert later[: len(before)] == before
    assert {shown for _, shown in later[len(before) :]} == {before[-1][1]}


@pytest.mark.parametrize("removed_after_s", [900, 1000])
def test_a_removed_meter_keeps_its_last_record(removed_after_s: int) -> None:
    registers = make(removed_s=STARTS_AT_S + removed_after_s)
    assert registers.profile(0, 1 << 40, END_S)[-1][0] == STARTS_AT_S + 900
