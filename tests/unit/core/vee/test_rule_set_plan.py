"""Rule sets over time: cuts, differences, and windows derived under more than one."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.profile import ClassProfile
from wattkeeper.core.vee.registry import Severity
from wattkeeper.core.vee.rule_set import Estimation, RuleSet, SeriesLimits
from wattkeeper.core.vee.rule_set_plan import FOREVER_S, RulePlan, is_same_judgement, validate_by_plan
from wattkeeper.core.vee.schedule import Assignment, RuleSchedule
from wattkeeper.core.vee.series import validate_and_estimate

ZONE = ZoneInfo("Europe/Berlin")
HOUR_S = 3600
DAYS = 40
START_S = to_seconds(local_midnight(date(2026, 6, 1), ZONE))
CUT_S = START_S + 30 * 24 * HOUR_S
END_S = START_S + DAYS * 24 * HOUR_S
OLD = RuleSet("old")
NEW = RuleSet("new").with_setting("vee.spike", Severity.OFF)
PLAN = RulePlan((-(2**40), CUT_S), (OLD, NEW))
LIMITS = SeriesLimits(7, 50_000, 1000)


def derived(value_milliwh: list[int] | None = None, gaps: tuple[Gap, ...] = ()) -> Intervals:
    size = DAYS * 24
    value = np.array(value_milliwh or [1_000_000 + 1000 * (i % 24) for i in range(size)], dtype=np.int64)
    provenance = np.full(size, int(Provenance.MEASURED))
    position = np.concatenate(([0], np.cumsum(value)))
    chain = np.zeros(size + 1, dtype=np.int64)
    for gap in gaps:
        provenance[gap.first_index : gap.end_index] = int(Provenance.MISSING)
        value[gap.first_index : gap.end_index] = 0
        chain[gap.first_index + 1 : gap.end_index] = -1
    return Intervals(
        interval_s=HOUR_S,
        starts_at_s=START_S + HOUR_S * np.arange(size),
        value_milliwh=value,
        provenance=provenance,
        flags=np.zeros(size, dtype=np.int64),
        method=np.zeros(size, dtype=np.int64),
        is_installed=np.ones(size, dtype=np.bool_),
        position_milliwh=position,
        position_chain=chain,
        gaps=gaps,
        findings=(),
    )


def under(plan: RulePlan, rows: Intervals) -> tuple[Intervals, set[tuple[str, int]]]:
    window, findings = validate_by_plan(
        rows,
        plan=plan,
        limits=LIMITS,
        calendar=DayCalendar(ZONE),
        from_s=START_S,
        to_s=END_S,
        now_s=END_S + 10 * 86_400,
    )
    return window, {(finding.rule, finding.starts_at_s) for finding in findings}


def test_a_plan_knows_what_holds_when() -> None:
    assert PLAN.at(CUT_S - 1) is OLD
    assert PLAN.at(CUT_S) is NEW
    assert PLAN.held(CUT_S) == (CUT_S, FOREVER_S)
    assert PLAN.over(CUT_S - 10, CUT_S + 10) == [(CUT_S - 10, CUT_S, OLD), (CUT_S, CUT_S + 10, NEW)]
    assert PLAN.over(CUT_S, CUT_S + 10) == [(CUT_S, CUT_S + 10, NEW)]


def test_plans_differ_only_where_they_judge_differently() -> None:
    later = RulePlan((-(2**40), CUT_S + 86_400), (OLD, NEW))
    renamed = RulePlan.of(replace(OLD, code="another name"))
    assert PLAN.differs(later, 0, FOREVER_S) == [(CUT_S, CUT_S + 86_400)]
    assert PLAN.differs(RulePlan.of(OLD), START_S, END_S) == [(CUT_S, END_S)]
    assert RulePlan.of(OLD).differs(renamed, 0, FOREVER_S) == []


def test_defaults_told_are_defaults() -> None:
    told = RuleSet("told").with_setting("vee.spike", Severity.FAIL)
    assert is_same_judgement(told, OLD)
    assert not is_same_judgement(replace(OLD, estimation=Estimation(linear_max_s=0)), OLD)


def test_a_schedule_gives_each_group_its_plan() -> None:
    shops, everyone = RuleSet("shops"), RuleSet("everyone")
    schedule = RuleSchedule(
        (Assignment("shops", shops, 100, 200), Assignment(None, everyone, 150, None)), default=OLD
    )
    assert [schedule.plan(["shops"]).at(at_s).code for at_s in (99, 100, 199, 200)] == [
        "old",
        "shops",
        "shops",
        "everyone",
    ]
    assert [schedule.plan([]).at(at_s).code for at_s in (100, 149, 150)] == ["old", "old", "everyone"]


def test_each_day_is_judged_by_its_own_rule_set() -> None:
    value = [1_000_000 + 1000 * (i % 24) for i in range(DAYS * 24)]
    before, after = 29 * 24 + 5, 31 * 24 + 5
    value[before] = value[after] = 40_000_000
    window, found = under(PLAN, derived(value))
    spikes = {at_s for rule, at_s in found if rule == "vee.spike"}
    assert spikes == {START_S + before * HOUR_S}
    assert not window.flags[before] & Flag.VALIDATED
    assert window.flags[after] & Flag.VALIDATED


@pytest.mark.parametrize("code", ["old", "new"])
def test_under_one_rule_set_nothing_is_different(code: str) -> None:
    rules = {"old": OLD, "new": NEW}[code]
    rows = derived(gaps=(Gap(100, 160, 60_000_000, True),))
    window, found = under(RulePlan.of(rules), rows)
    plain, findings = validate_and_estimate(
        rows,
        limits=LIMITS,
        calendar=DayCalendar(ZONE),
        from_s=START_S,
        to_s=END_S,
        now_s=END_S + 10 * 86_400,
        rules=rules,
    )
    assert (window.value_milliwh == plain.value_milliwh).all()
    assert found == {(finding.rule, finding.starts_at_s) for finding in findings}


def test_a_gap_that_a_change_cuts_keeps_its_energy() -> None:
    """It is estimated by the rule set where it begins; half by each adds up to another sum."""
    lines = replace(NEW, estimation=Estimation(linear_max_s=10 * 86_400))
    cut = 30 * 24
    gap = Gap(cut - 9, cut + 14, 23_456_789, True)
    rows = derived(gaps=(gap,))
    window, _ = under(RulePlan((-(2**40), CUT_S), (OLD, lines)), rows)
    inside = slice(gap.first_index, gap.end_index)
    assert int(window.value_milliwh[inside].sum()) == gap.energy_milliwh
    assert (window.provenance[inside] == Provenance.ESTIMATED).all()
    halves = [under(RulePlan.of(rules), rows)[0].value_milliwh for rules in (OLD, lines)]
    mixed = int(halves[0][gap.first_index : cut].sum() + halves[1][cut : gap.end_index].sum())
    assert mixed != gap.energy_milliwh  # the fault that one owner a gap prevents
    assert (window.value_milliwh[inside] == halves[0][inside]).all()


def test_a_gap_begins_with_its_meter() -> None:
    """Of the time before the installation nothing is said, by no rule set: no run of values begins there."""
    curve = tuple(10**9 // 365 // 24 + 10 * hour for hour in range(24))
    profiled = RuleSet("profiled", estimation=Estimation(profile=ClassProfile(3500, (curve,) * 3)))
    cut = 30 * 24
    rows = derived(gaps=(Gap(cut, DAYS * 24, 7_654_321, True),))
    for column in (rows.provenance, rows.value_milliwh, rows.is_installed):
        column[:cut] = 0
    rows.position_chain[:cut] = -1
    window, _ = under(RulePlan((-(2**40), CUT_S), (OLD, profiled)), rows)
    assert set(window.method[cut:].tolist()) == {Method.CLASS_PROFILE}
    assert int(window.value_milliwh[cut:].sum()) == 7_654_321
