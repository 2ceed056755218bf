"""The rules as data: all 27, each with its needs, parameters and names."""

from inspect import signature
from pathlib import Path

import numpy as np
import pytest

from unit.core.vee.energy_tables import DAY, DAY_S, bounds, nowhere, table
from wattkeeper.core.vee.registry import RULE_OF_FINDING, RULES, Rule, Scope, Severity
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.validate import Known, run_rules, validate
from wattkeeper.interfaces.web.console.texts import RULES as RULE_TEXTS

BY_NUMBER = {rule.number: rule for rule in RULES}


def test_all_27_rules_are_there_under_their_numbers() -> None:
    assert list(BY_NUMBER) == [f"V{number:02}" for number in range(1, 28)]
    assert len(RULE_OF_FINDING) == sum(len(rule.codes) for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_names_its_number_code_and_thresholds_in_its_head(rule: Rule) -> None:
    head = rule.find.__doc__ or ""
    assert head.startswith(f"{rule.number} ``{rule.code}``")
    for name in rule.parameters:
        assert name in head
    assert set(signature(rule.find).parameters) >= {*rule.needs, *rule.parameters}
    assert rule.source


@pytest.mark.parametrize(
    "rule", [each for each in RULES if each.scope is not Scope.READS], ids=lambda rule: rule.code
)
def test_what_a_rule_over_intervals_needs_can_be_known(rule: Rule) -> None:
    assert set(rule.needs) <= set(Known.__slots__)


def test_every_finding_has_a_text() -> None:
    assert {code for code in RULE_OF_FINDING if code not in RULE_TEXTS} == set()


def test_a_rule_rests_until_everything_it_needs_is_known() -> None:
    spiky = table([[1] * 90 + [9] + [1] * 5])
    known = Known(day_bounds_s=bounds(1), is_confirmed=nowhere((1, 1)))
    assert not validate(spiky, known, RuleSet())
    known = Known(day_bounds_s=bounds(1), is_confirmed=nowhere((1, 1)), power_max_w=np.array([0]))
    assert {found.rule for found in validate(spiky, known, RuleSet())} == {"vee.spike", "vee.max-demand"}
    off = RuleSet().with_setting("vee.max-demand", Severity.OFF)
    assert {found.rule for found in validate(spiky, known, off)} == {"vee.spike"}
    milder = off.with_setting("vee.spike", spike_pct=900)
    assert not validate(spiky, known, milder)


def test_an_empty_table_finds_nothing() -> None:
    known = Known(day_bounds_s=bounds(1), now_s=DAY_S)
    assert not run_rules(table(np.zeros((0, DAY))), known, RuleSet(), RULES)


def test_the_reference_names_every_rule_with_its_defaults() -> None:
    lines = (
        (Path(__file__).parents[4] / "docs/reference/validation.md").read_text(encoding="utf-8").splitlines()
    )
    for rule in RULES:
        (row,) = [line for line in lines if line.startswith(f"| {rule.number} | `{rule.code}`")]
        told = [f"`{code}`" for code in rule.codes]
        told += [rule.scope.value, rule.severity.value, *(f"{k} {v}" for k, v in rule.parameters.items())]
        assert [each for each in told if each not in row] == []
