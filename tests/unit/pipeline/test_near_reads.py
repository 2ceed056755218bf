"""A read beside midnight that comes late changes what the next day says of it; the state is as if in time."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings import near
from wattkeeper.core.readings.near import find_near
from wattkeeper.core.vee.registry import Severity
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.pipeline import single_derive

DAYS = 5
JUMPS = RuleSet().with_setting("vee.jump", Severity.WARN, jump_floor_pct=5)
State = tuple[dict[int, tuple[int, ...]], list[str]]


def reads_of(chance: Random) -> list[Row]:
    """Return reads of a register at regular or odd instants, now and then a wrong one beside a midnight."""
    step_s = chance.choice((300, QUARTER_S, QUARTER_S, 901, 1200, 0))
    at_s, shown, rows = START_S + chance.choice((0, 420, 600)), 0, []
    while at_s <= START_S + DAYS * DAY_S:
        is_beside = min((at_s - START_S) % DAY_S, (START_S - at_s) % DAY_S) <= 3600
        wrong = chance.choice((-4000, 900_000)) if is_beside and chance.random() < 0.2 else 0
        rows.append((at_s, max(0, shown + wrong), 0, int(Source.LIVE)))
        passed_s = step_s or chance.randrange(60, 2400)
        at_s, shown = at_s + passed_s, shown + chance.randrange(2 * passed_s)
    return rows


def watched(chance: Random) -> tuple[list[Row], list[int]]:
    """Return a register that is looked at every other minute of a night, and what is recorded late in it.

    What was shown within an interval of that counts no more. Or false reads in a row after the late one.
    """
    midnight_s, shown, rows, late = START_S + 2 * DAY_S, 0, [], []
    is_watched, false_s = chance.random() < 0.5, chance.choice((600, 900, 1200))
    for at_s in range(START_S, START_S + 3 * DAY_S + 1, 60):
        shown += chance.randrange(3)
        is_night = abs(at_s - midnight_s) < 3600
        if not is_watched and at_s % 300 == 0:
            false = 5000 if midnight_s <= at_s < midnight_s + false_s else 0
            rows.append((at_s + 7, shown + false, 0, int(Source.PUSH)))
        elif is_watched and is_night and at_s % 120 == 0:
            rows.append((at_s, shown, 0, int(Source.LIVE)))
        elif is_watched and not is_night and at_s % QUARTER_S == 0:
            rows.append((at_s, shown, 0, int(Source.PROFILE)))
        if at_s == midnight_s - 540 and is_watched:
            rows.append((at_s + 7, shown, 0, int(Source.PUSH)))
        if at_s == midnight_s - (540 if is_watched else 300):
            late.append(len(rows) - 1)
    return rows, late


def told(rows: list[Row], late: list[int], *, is_many: bool) -> State:
    """Return values and findings after some of the reads came late."""
    (installation,) = facts().installations
    long_there = replace(installation, starts_at_s=START_S - 90 * DAY_S)
    own, now_s = replace(facts(), rules=RulePlan.of(JUMPS), installations=(long_there,)), rows[-1][0]
    street = Street([own], is_many=is_many)
    street.deliver(1, REGISTER, [row for place, row in enumerate(rows) if place not in late])
    street.run(now_s)
    for place in late:
        street.deliver(1, REGISTER, [rows[place]])
        street.run(now_s)
    return street.current()[1], sorted(map(str, street.recorded.values()))


def is_order_nothing(seed: int, *, is_many: bool) -> bool:
    chance = Random(seed)
    rows = reads_of(chance)
    beside = [place for place, row in enumerate(rows) if (row[0] - START_S + 3000) % DAY_S <= 6000]
    late = [*chance.sample(beside[:-2], 3), chance.randrange(len(rows) - 2)]
    return told(rows, late, is_many=is_many) == told(rows, [], is_many=is_many)


@pytest.mark.parametrize("is_many", [True, False])
def test_a_late_read_beside_midnight_leaves_nothing_of_before(*, is_many: bool) -> None:
    assert [seed for seed in range(40) if not is_order_nothing(seed, is_many=is_many)] == []


@pytest.mark.parametrize("is_many", [True, False])
def test_what_a_late_read_beside_midnight_overrules_counts_nowhere(*, is_many: bool) -> None:
    for seed in range(8):
        rows, late = watched(Random(seed))
        assert told(rows, late, is_many=is_many) == told(rows, [], is_many=is_many), seed


@pytest.mark.parametrize("is_many", [True, False])
def test_of_the_days_of_the_late_read_alone_much_would_stay(
    monkeypatch: pytest.MonkeyPatch, *, is_many: bool
) -> None:
    monkeypatch.setattr(near, "NEAR_COUNT", 0)  # the plant
    monkeypatch.setattr(single_derive, "widen_to_breaks", lambda span, *_: span)  # which finds the same
    assert not all(is_order_nothing(seed, is_many=is_many) for seed in range(40))


def test_near_reads_are_those_of_the_series_alone() -> None:
    at_s = np.array([10, 20, 20, 30, 40, 5, 50, 7])
    firsts, ends = np.array([0, 5, 7]), np.array([5, 7, 8])
    changed_s = np.array([20, 20, 6]), np.array([21, 21, 9])
    before_s, after_s = find_near(at_s, firsts, ends, changed_s, 1, 60)
    assert (before_s.tolist(), after_s.tolist()) == ([10, 5, 6], [40, 50, 8])
    _, after_s = find_near(at_s, firsts, ends, changed_s, 1, 30)
    assert after_s.tolist() == [30, 20, 8]
