"""Rule sets: what they change, how they are written and refused, and from when they hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.vee.formula import InvalidFormula, parse_formula
from wattkeeper.core.vee.registry import RULE_BY_CODE, RULES, Scope, Severity
from wattkeeper.core.vee.rule_set import Estimation, RuleSet, Setting
from wattkeeper.core.vee.rule_set_json import (
    InvalidRuleSet,
    dump_rule_set,
    parse_rule_set,
)
from wattkeeper.core.vee.rules_periods import STATISTIC_NAMES
from wattkeeper.core.vee.schedule import Assignment, OverlappingRuleSets, RuleSchedule


def settings_of(code: str) -> st.SearchStrategy[Setting]:
    names = sorted(RULE_BY_CODE[code].parameters)
    numbers = st.dictionaries(st.sampled_from(names), st.integers(0, 10**9)) if names else st.just({})
    return st.builds(Setting, st.none() | st.sampled_from(Severity), numbers)


FORMULAS = [parse_formula(text, STATISTIC_NAMES) for text in ("max < 3 * mean", "not zero_count > 20")]
RULE_SETS = st.builds(
    RuleSet,
    st.text(min_size=1, max_size=20),
    st.fixed_dictionaries({}, optional={code: settings_of(code) for code in RULE_BY_CODE}),
    st.builds(Estimation, st.integers(0, 10**9), st.integers(0, 10**9), *[st.booleans()] * 3),
    st.lists(st.sampled_from(FORMULAS), max_size=2).map(tuple),
)


@given(RULE_SETS)
def test_a_rule_set_survives_json(rule_set: RuleSet) -> None:
    assert parse_rule_set(json.loads(json.dumps(dump_rule_set(rule_set)))) == rule_set


@pytest.mark.parametrize(
    ("value", "code", "params"),
    [
        ([], "vee.rule-set-value", {"place": "rule set"}),
        ({}, "vee.rule-set-field", {"field": "code"}),
        ({"code": ""}, "vee.rule-set-value", {"place": "code"}),
        ({"code": "a", "formulas": "max < 1"}, "vee.rule-set-value", {"place": "formulas"}),
        ({"code": "a", "formulas": ["max < 1"] * 21}, "vee.rule-set-value", {"place": "formulas"}),
        ({"code": "a", "formulas": ["max < 1", 7]}, "vee.rule-set-value", {"place": "formulas[1]"}),
        ({"code": "a", "extra": 1}, "vee.rule-set-field", {"field": "extra"}),
        ({"code": "a", "rules": {"vee.spikes": {}}}, "vee.rule-set-rule", {"rule": "vee.spikes"}),
        (
            {"code": "a", "rules": {"vee.spike": {"pct": 1}}},
            "vee.rule-set-parameter",
            {"rule": "vee.spike", "parameter": "pct"},
        ),
        (
            {"code": "a", "rules": {"vee.spike": {"spike_pct": -1}}},
            "vee.rule-set-value",
            {"place": "vee.spike.spike_pct"},
        ),
        ({"code": "a", "rules": {"vee.spike": {"spike_pct": True}}}, "vee.rule-set-value", {}),
        ({"code": "a", "rules": {"vee.spike": {"spike_pct": 1.5}}}, "vee.rule-set-value", {}),
        ({"code": "a", "rules": {"vee.spike": {"severity": "loud"}}}, "vee.rule-set-value", {}),
        ({"code": "a", "rules": {"vee.spike": 3}}, "vee.rule-set-value", {"place": "vee.spike"}),
        (
            {"code": "a", "estimation": {"after_s": "1"}},
            "vee.rule-set-value",
            {"place": "estimation.after_s"},
        ),
        ({"code": "a", "estimation": {"is_zero_last": 1}}, "vee.rule-set-value", {}),
        ({"code": "a", "estimation": {"order": []}}, "vee.rule-set-field", {"field": "order"}),
    ],
)
def test_what_is_no_rule_set_is_refused_with_its_place(value: Any, code: str, params: dict[str, str]) -> None:
    with pytest.raises(InvalidRuleSet) as refused:
        parse_rule_set(value)
    assert refused.value.code == code
    assert params.items() <= refused.value.params.items()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("max <", "vee.formula-syntax"),
        ("top < 1", "vee.formula-name"),
        ("-" * 30 + "max", "vee.formula-too-long"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidFormula) as refused:
        parse_rule_set({"code": "a", "formulas": ["max < 1", text]})
    assert refused.value.code == code


def test_severities_say_what_a_failure_does() -> None:
    rules = RuleSet().with_setting("vee.spike", Severity.ESTIMATE).with_setting("vee.negative", Severity.OFF)
    assert [rule.code for rule in rules.estimating_rules] == ["vee.spike"]
    assert rules.is_disputing_code("vee.spike")
    assert rules.is_disputing_code("vee.negative-gap")
    assert not rules.is_disputing_code("vee.interval-count")
    assert not rules.is_disputing_code("readings.rollover")
    assert "vee.negative" not in {rule.code for rule in rules.rules(Scope.INTERVALS)}
    assert RuleSet().severity_of("vee.jump") is Severity.OFF
    with pytest.raises(KeyError):
        RuleSet().with_setting("vee.spike", steps=3)


A, B, C = (RuleSet(code) for code in "ABC")


def test_the_most_specific_group_in_force_wins() -> None:
    schedule = RuleSchedule(
        (
            Assignment(None, A, 0),
            Assignment("shops", B, 100, 200),
            Assignment("shops", C, 300),
            Assignment("solar", C, 150, 160),
        )
    )
    assert schedule.find(["shops"], 99) is A
    assert schedule.find(["shops"], 100) is B
    assert schedule.find(["shops"], 200) is A
    assert schedule.find(["solar", "shops"], 155) is C
    assert schedule.find(["shops", "solar"], 155) is B
    assert schedule.find([], 155) is A
    assert schedule.spans(["shops"], 50, 400) == [(50, 100, A), (100, 200, B), (200, 300, A), (300, 400, C)]
    assert schedule.spans(["homes"], 50, 400) == [(50, 400, A)]
    assert RuleSchedule().find(["shops"], 5).code == RuleSet().code


@pytest.mark.parametrize(("ends_at_s", "is_refused"), [(None, True), (101, True), (100, False)])
def test_two_sets_for_one_group_may_not_overlap(ends_at_s: int | None, is_refused: bool) -> None:
    both = (Assignment("shops", B, 100), Assignment("shops", A, 0, ends_at_s))
    if is_refused:
        with pytest.raises(OverlappingRuleSets):
            RuleSchedule(both)
    else:
        assert RuleSchedule(both).find(["shops"], 99) is A


@given(st.data())
def test_the_spans_of_a_series_are_what_holds_at_each_instant(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, 40), min_size=2, max_size=6)))
    assignments = tuple(
        Assignment(data.draw(st.sampled_from(["x", None])), RuleSet(str(i)), first, end)
        for i, (first, end) in enumerate(zip(cuts[::2], cuts[1::2], strict=False))
    )
    schedule = RuleSchedule(assignments)
    spans = schedule.spans(["x"], 0, 50)
    assert (spans[0][0], spans[-1][1]) == (0, 50)
    for first, end, own in spans:
        assert all(schedule.find(["x"], at_s) is own for at_s in range(first, end))


def test_every_rule_can_be_switched_off() -> None:
    off = RuleSet("none", {rule.code: Setting(Severity.OFF) for rule in RULES})
    assert not [rule for scope in Scope for rule in off.rules(scope)]
