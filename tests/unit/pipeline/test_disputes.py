"""Measured values that a rule set has estimated anew: both paths alike, in any order of arrival."""

from random import Random

import pytest

from pipeline_street import Street
from unit.pipeline.test_plain import compare, live
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.vee.registry import Severity
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.pipeline import derive, plain_derive

ESTIMATING = (
    RuleSet("strict")
    .with_setting("vee.spike", Severity.ESTIMATE, spike_floor_pct=0, spike_pct=20)
    .with_setting("vee.max-demand", Severity.ESTIMATE, demand_pct=12)
)
SERIES = [["surge"], ["gaps", "surge"], ["long-gap", "flags"], ["exchange", "surge"], []]


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derive, "RuleSet", lambda: ESTIMATING)


@pytest.mark.parametrize("seed", range(4))
def test_both_paths_estimate_the_same_anew(seed: int) -> None:
    street = compare(seed, SERIES)
    values = [value for own in street.current().values() for value in own.values()]
    disputed = [value for value in values if value[1] == Provenance.ESTIMATED and value[2] & Flag.SUSPECT]
    assert disputed
    assert {key[0] for key in street.recorded} >= {"vee.spike", "vee.max-demand"}


@pytest.mark.parametrize("seed", range(4))
def test_energy_between_registers_is_what_it_was(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disputed value may move within its gap, never out of it: the sum of each series stays."""
    strict, plain = Street([], is_many=True), Street([], is_many=True)
    for _ in live([strict], seed, SERIES):
        pass
    monkeypatch.undo()
    for _ in live([plain], seed, SERIES):
        pass
    for series_id, own in plain.current().items():
        other = strict.current()[series_id]
        assert own.keys() == other.keys()
        if all(
            value[1] != Provenance.ESTIMATED or value[2] & Flag.REGISTER_BRACKETED for value in own.values()
        ):
            assert sum(value[0] for value in own.values()) == sum(value[0] for value in other.values())


def test_rows_that_are_forgotten_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: the array path passes over what is to be estimated anew."""
    own = plain_derive.find_rows_to_estimate
    monkeypatch.setattr(
        plain_derive, "find_rows_to_estimate", lambda *given, **options: own(*given, **options) & False
    )
    with pytest.raises(AssertionError):
        compare(Random(1).randrange(4), SERIES)
