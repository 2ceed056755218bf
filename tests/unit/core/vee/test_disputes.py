"""Measured intervals that a rule set wants estimated anew: never lost, always visible."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.core.vee.energy_tables import DAY, DAY_S, series
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee import disputes
from wattkeeper.core.vee.disputes import put_back, take_out
from wattkeeper.core.vee.edits import Edit
from wattkeeper.core.vee.estimate import DayCalendar, estimate
from wattkeeper.core.vee.registry import Severity
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits
from wattkeeper.core.vee.series import validate_and_estimate

CALENDAR = DayCalendar(ZoneInfo("UTC"))
ESTIMATING = RuleSet().with_setting("vee.spike", Severity.ESTIMATE)


def run(
    derived: Intervals, rules: RuleSet, *, has_registers: bool = False, edits: tuple[Edit, ...] = ()
) -> tuple[Intervals, tuple[Finding, ...]]:
    """Validate and estimate a series of 10 kW that begins at time 0."""
    return validate_and_estimate(
        derived,
        limits=SeriesLimits(7, 10_000, 1000, has_registers=has_registers),
        calendar=CALENDAR,
        from_s=0,
        to_s=len(derived) * 900,
        now_s=len(derived) * 900,
        rules=rules,
        edits=edits,
    )


def spiky() -> Intervals:
    """Return a day with one peak of 2 kWh among 0.1 kWh."""
    values: list[int | None] = [100_000] * DAY
    values[40] = 2_000_000
    return series(values, registers=False)


def test_a_disputed_interval_is_used_but_not_validated_by_default() -> None:
    found, findings = run(spiky(), RuleSet())
    assert [each.rule for each in findings] == ["vee.spike"]
    assert (found.value_milliwh[40], found.provenance[40], found.flags[40]) == (
        2_000_000,
        Provenance.MEASURED,
        0,
    )
    assert found.flags[41] == Flag.VALIDATED


def test_where_the_rule_set_says_so_it_is_estimated_and_stays_suspect() -> None:
    found, findings = run(spiky(), ESTIMATING)
    assert [(each.rule, each.evidence["energy_milliwh"]) for each in findings] == [("vee.spike", 2_000_000)]
    assert (found.value_milliwh[40], found.provenance[40], found.method[40]) == (
        100_000,
        Provenance.ESTIMATED,
        Method.LINEAR,
    )
    assert found.flags[40] == Flag.SUSPECT


def test_with_registers_the_energy_stays_in_its_place() -> None:
    found, _ = run(spiky(), ESTIMATING, has_registers=True)
    assert (found.value_milliwh[40], found.provenance[40]) == (2_000_000, Provenance.ESTIMATED)
    assert found.flags[40] == Flag.SUSPECT | Flag.REGISTER_BRACKETED


def named(*places: int) -> list[Finding]:
    return [Finding("vee.spike", 900 * place, 900 * (place + 1)) for place in places]


@given(
    st.lists(st.none() | st.integers(0, 5000), min_size=6, max_size=30),
    st.sets(st.integers(0, 29), min_size=1),
    st.booleans(),
)
def test_no_energy_is_lost_between_registers(
    values: list[int | None], places: set[int], is_estimated: bool
) -> None:
    whole = series([1, *values, 1])
    total = int(whole.value_milliwh.sum()) + sum(gap.energy_milliwh or 0 for gap in whole.gaps)
    disputed = take_out(whole, named(*places), has_registers=True)
    gaps = disputed.intervals.gaps if is_estimated else ()
    found = put_back(disputed, estimate(disputed.intervals, CALENDAR, gaps), whole)
    missing = found.provenance == Provenance.MISSING
    rest = sum(gap.energy_milliwh or 0 for gap in found.gaps)
    assert int(found.value_milliwh[~missing].sum()) + rest == total
    named_places = [place for place in places if place < len(whole) and whole.provenance[place]]
    assert (found.flags[named_places] & Flag.SUSPECT != 0).all()


def test_what_no_estimate_is_found_for_stays_as_measured() -> None:
    lonely = series([50], registers=False)
    disputed = take_out(lonely, named(0), has_registers=False)
    found = put_back(disputed, estimate(disputed.intervals, CALENDAR, disputed.intervals.gaps), lonely)
    assert (found.value_milliwh[0], found.provenance[0], found.flags[0]) == (
        50,
        Provenance.MEASURED,
        Flag.SUSPECT,
    )
    assert not found.gaps


def test_gaps_beside_a_disputed_interval_become_one() -> None:
    whole = series([10, None, 20, None, 10])
    (gap,) = take_out(whole, named(2), has_registers=True).intervals.gaps
    assert (gap.first_index, gap.end_index, gap.energy_milliwh, gap.is_exact) == (1, 4, 2020, True)
    (gap,) = take_out(whole, named(2), has_registers=False).intervals.gaps
    assert (gap.energy_milliwh, gap.is_exact) == (None, False)


def test_what_was_read_inside_the_gaps_stays_known() -> None:
    whole = series([10, None, 20, None, 10])
    first, second = whole.gaps
    cut = replace(
        whole, gaps=(replace(first, cuts=((300, 70),)), replace(second, cuts=((60, 5), (800, 900))))
    )
    (gap,) = take_out(cut, named(2), has_registers=True).intervals.gaps
    assert gap.cuts == ((300, 70), (1860, 1025), (2600, 1920))
    (gap,) = take_out(cut, named(2), has_registers=False).intervals.gaps
    assert gap.cuts == ()


def test_gaps_that_touch_no_disputed_interval_stay_apart() -> None:
    whole = series([10, None, None, 20, 10, 10])
    first = replace(whole.gaps[0], end_index=2, energy_milliwh=300)
    second = replace(whole.gaps[0], first_index=2, energy_milliwh=1700)
    cut = replace(whole, gaps=(first, second))
    gaps = take_out(cut, named(4), has_registers=True).intervals.gaps
    assert [(gap.first_index, gap.energy_milliwh) for gap in gaps] == [(1, 300), (2, 1700), (4, 10)]


def test_a_person_s_edit_is_not_disputed() -> None:
    edit = Edit(1, 40 * 900, (2_000_000,), (100_000,), 23, author_id=1, recorded_at_s=DAY_S)
    found, findings = run(series([100_000] * DAY, registers=False), ESTIMATING, edits=(edit,))
    assert (found.value_milliwh[40], found.provenance[40]) == (2_000_000, Provenance.EDITED)
    assert [each.rule for each in findings] == ["vee.spike"]


def test_estimates_can_be_checked_again() -> None:
    values: list[int | None] = [100_000] * DAY
    values[40] = None
    lost = series(values)
    position = lost.position_milliwh + np.where(np.arange(DAY + 1) > 40, 1_999_000, 0)
    lost = replace(lost, gaps=(replace(lost.gaps[0], energy_milliwh=2_000_000),), position_milliwh=position)
    again = replace(RuleSet(), estimation=replace(RuleSet().estimation, is_checked_again=True))
    assert [each.rule for each in run(lost, RuleSet(), has_registers=True)[1]] == []
    assert "vee.spike" in [each.rule for each in run(lost, again, has_registers=True)[1]]


def test_energy_that_is_dropped_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: gaps that forget what the disputed intervals held."""
    own = disputes._join_gaps
    monkeypatch.setattr(
        disputes,
        "_join_gaps",
        lambda *given, **options: tuple(replace(gap, energy_milliwh=0) for gap in own(*given, **options)),
    )
    with pytest.raises(AssertionError):
        test_gaps_beside_a_disputed_interval_become_one()
    whole = series([1, 9, 1])
    disputed = take_out(whole, named(1), has_registers=True)
    found = put_back(disputed, estimate(disputed.intervals, CALENDAR, disputed.intervals.gaps), whole)
    assert int(np.sum(found.value_milliwh)) != 11
