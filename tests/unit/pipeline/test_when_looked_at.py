"""What stands in a gap of a day or two does not depend on when runs looked, once the last one has."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from pipeline_street import Row
from unit.pipeline.test_later import CHANNEL, DAY_S, HOUR_S, OWN, facts_of, start_of
from unit.pipeline.test_open_gaps import LAST_READ, LOOK_BACK_S, run, state_of, street_with
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.vee.rule_set import Estimation, RuleSet
from wattkeeper.pipeline import plain_groups, widen
from wattkeeper.pipeline.ports import SeriesFacts

START_S = start_of(LAST_READ)
WAYS_COUNT = 3
CAUGHT_WITHIN = 10
Delivery = tuple[int, list[Row]]


def make_world(seed: int) -> tuple[SeriesFacts, list[Delivery], int, int]:
    """Return a meter that lacks 30 to 50 hours and some more beside them, what came when, and the end.

    And when the gap begins.
    """
    chance = Random(seed)
    lost_s = START_S + chance.choice((2, 3, 4, 9)) * DAY_S + chance.randrange(48) * HOUR_S
    end_s = lost_s + (chance.randrange(30, 51) + chance.randrange(1, 60)) * HOUR_S
    lost = set(range(lost_s, lost_s + chance.randrange(30, 51) * HOUR_S, HOUR_S))
    for _ in range(chance.randrange(4)):
        first_s = lost_s + chance.randrange(-20, 60) * HOUR_S
        lost.update(range(first_s, first_s + chance.randrange(1, 8) * HOUR_S, HOUR_S))
    shown, rows = 90_000, list[Row]()
    for at_s in range(START_S, end_s + 1, HOUR_S):
        shown += chance.randrange(5, 60)
        if at_s not in lost:
            rows.append((at_s, shown, 0, int(Source.PROFILE)))
    bounds = [lost_s - 10 * HOUR_S]
    while bounds[-1] < end_s:
        bounds.append(min(bounds[-1] + chance.randrange(3, 20) * HOUR_S, end_s))
    parts = [
        [row for row in rows if first_s < row[0] <= last_s] for first_s, last_s in pairwise([0, *bounds])
    ]
    late = [row for row in chance.choice(parts[:-1]) if chance.random() < 0.3]
    parts = [[row for row in part if row not in late] for part in parts]
    parts[-1] += late
    waiting_s = chance.choice((0, 0, 2 * DAY_S, 5 * DAY_S))
    rules = RuleSet(estimation=Estimation(after_s=waiting_s, is_average_first=chance.random() < 0.5))
    final_s = end_s + chance.choice((1, 20, 47)) * HOUR_S + chance.randrange(HOUR_S)
    return facts_of(rules), list(zip(bounds, parts, strict=True)), final_s, lost_s


def live(seed: int, way: int, *, is_many: bool) -> Any:
    """Return the state after the same deliveries, runs and looks at other moments, and the same last look."""
    facts, deliveries, final_s, lost_s = make_world(seed)
    chance, street = Random(f"{seed} {way}"), street_with(facts, is_many=is_many)
    events = [(at_s + chance.choice((60, 600, 3 * HOUR_S)), rows) for at_s, rows in deliveries]
    looks = [lost_s + chance.randrange(-20 * HOUR_S, 140 * HOUR_S) for _ in range(chance.randrange(6))]
    for at_s, rows in sorted([*events, *((look_s, list[Row]()) for look_s in looks)], key=lambda own: own[0]):
        now_s = min(at_s, final_s)
        street.deliver(OWN, CHANNEL, rows)
        if not rows:
            street.mark(OWN, now_s - LOOK_BACK_S, now_s)
        if chance.random() < 0.7:
            run(street, now_s)
    street.mark(OWN, final_s - LOOK_BACK_S, final_s)
    run(street, final_s)
    return state_of(street)


def at_once(seed: int) -> Any:
    """Return the state of all that was delivered derived at the last look, every day of it."""
    facts, deliveries, final_s, _ = make_world(seed)
    street = street_with(facts, is_many=False)
    for _, rows in deliveries:
        street.deliver(OWN, CHANNEL, rows)
    street.mark(OWN, START_S - DAY_S, final_s)
    run(street, final_s)
    return state_of(street)


def differing(seeds: range) -> Iterator[int]:
    for seed in seeds:
        wanted = at_once(seed)
        if any(live(seed, way, is_many=way % 2 == 0) != wanted for way in range(WAYS_COUNT)):
            yield seed


@pytest.mark.parametrize("first", [0, *(pytest.param(more, marks=pytest.mark.slow) for more in (4, 30))])
def test_when_runs_looked_changes_nothing_once_the_last_has_looked(first: int) -> None:
    assert list(differing(range(first, first + 4 + first))) == []


@pytest.mark.slow
def test_estimates_that_nobody_marks_again_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: who learnt from what is dirty is left as it was."""
    monkeypatch.setattr(widen, "may_have_learnt", lambda at_s, _method, _span: at_s < 0)
    monkeypatch.setattr(plain_groups, "may_have_learnt", lambda at_s, _method, _span: at_s < 0)
    assert any(differing(range(CAUGHT_WITHIN)))
