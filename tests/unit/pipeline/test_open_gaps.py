"""A gap that no read has ended yet: what time adds is derived, and what stands there only when it changes.

The state after any looks and deliveries is that of everything derived at once, on either path.
"""

from collections.abc import Iterator
from dataclasses import astuple, replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_later import DAY_S, HOUR_S, OWN, PROFILE, Alone, facts_of, hourly, start_of
from unit.pipeline.test_rollups import RollUpsOf, held
from wattkeeper.core.kernel.quality import Method, Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.vee.rule_set import Estimation, RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.pipeline import later, plain_groups, widen
from wattkeeper.pipeline.ports import SeriesFacts
from wattkeeper.pipeline.window import FAR_S

CHANNEL = 10
LAST_READ = date(2026, 3, 9)
YEAR = timedelta(days=364)
LOOK_BACK_S = 2 * DAY_S
CAUGHT_WITHIN = 12
ESTIMATIONS = (
    Estimation(),
    Estimation(after_s=5 * DAY_S),
    Estimation(profile=PROFILE),
    Estimation(is_zero_last=True, is_average_first=True),
)
Event = tuple[int, list[Row]]  # an instant, and what arrives then; a look where nothing does


def make_world(seed: int) -> tuple[SeriesFacts, list[Event]]:
    """Return a meter that fell silent, and what came when: what was known, later looks and late reads."""
    chance = Random(seed)
    since = date(2026, 1, 1) + timedelta(days=chance.choice((0, 50)))
    known = hourly(since, (LAST_READ - since).days, 21, 90_000)
    monthly = [row for row in known if row[0] % (30 * DAY_S) < HOUR_S]
    before = chance.choice((known, [*monthly, known[-1]], monthly))
    last_year = hourly(since - YEAR, chance.randrange(60, 150), 10, 1000)
    known_at_once = chance.choice(([*last_year, *before], before, before[-300:]))
    late = list(_late_reads(known[-1], chance))
    if chance.random() < 0.5:
        late.append(last_year)
    if chance.random() < 0.5:
        late.append(chance.sample(known, 3))
    now_s = start_of(LAST_READ) + chance.randrange(40 * DAY_S)
    events: list[Event] = [(now_s, known_at_once)]
    for _ in range(chance.randrange(4, 9)):
        now_s += chance.choice((6 * HOUR_S, 6 * HOUR_S, DAY_S, 5 * DAY_S, 70 * DAY_S)) + chance.randrange(
            HOUR_S
        )
        events.append((now_s, late.pop() if late and chance.random() < 0.3 else []))
    events = [(at_s, [row for row in rows if row[0] < at_s + 2 * DAY_S]) for at_s, rows in events]
    facts = facts_of(RuleSet(estimation=chance.choice(ESTIMATIONS)))
    if facts.rules is not None and chance.random() < 0.2:  # other rules since
        other = RuleSet(estimation=chance.choice(ESTIMATIONS))
        changed_s = start_of(LAST_READ + timedelta(days=chance.randrange(-3, 90)))
        plan = RulePlan((*facts.rules.starts_at_s, changed_s), (*facts.rules.rule_sets, other))
        facts = replace(facts, rules=plan)
    return facts, events


def _late_reads(last: Row, chance: Random) -> Iterator[list[Row]]:
    """Yield reads of the time of silence, each in a delivery of its own."""
    at_s, count = last[:2]
    for _ in range(chance.randrange(3)):
        at_s += chance.randrange(1, 60) * DAY_S + chance.randrange(DAY_S)
        count += chance.randrange(2000)
        yield [(at_s, count, 0, int(Source.FIELD))]


def run(street: Street, now_s: int) -> int:
    """Run until nothing is dirty, and return how many intervals were derived."""
    count = 0
    for _ in range(8):
        if not street.dirty:
            return count
        report = street.run(now_s)
        assert not report.failures
        count += report.interval_count
    raise AssertionError


def street_with(facts: SeriesFacts, *, is_many: bool) -> Street:
    street = Street([facts], is_many=is_many)
    street.hints, street.roll_ups = Alone(street), RollUpsOf(street)
    return street


def live(facts: SeriesFacts, events: list[Event], *, is_many: bool) -> Street:
    """Return the street after every event, each followed by the look that the worker takes."""
    street = street_with(facts, is_many=is_many)
    for now_s, rows in events:
        street.deliver(OWN, CHANNEL, rows)
        street.mark(OWN, now_s - LOOK_BACK_S, now_s)
        run(street, now_s)
    return street


def at_once(facts: SeriesFacts, events: list[Event]) -> Street:
    """Return a street that everything was delivered to at the end, every day of it derived."""
    street = street_with(facts, is_many=False)
    now_s = events[-1][0]
    for _, rows in events:
        street.deliver(OWN, CHANNEL, rows)
    run(street, now_s)
    street.mark(OWN, start_of(date(2025, 12, 1)), now_s)
    run(street, now_s)
    return street


def state_of(street: Street) -> Any:
    """Return values, what waits for something to learn from, findings and roll-ups."""
    values = {at_s: value for at_s, value in sorted(street.values[OWN].items()) if any(value[1:])}
    findings = sorted(str(astuple(found)) for found in street.recorded.values())
    assert isinstance(street.roll_ups, RollUpsOf)
    return values, findings, held(street.roll_ups, street)


def as_file(facts: SeriesFacts, events: list[Event]) -> tuple[SeriesFacts, list[Event]]:
    """Return the world of a meter that files tell intervals of, the last one that before midnight."""
    end_s = start_of(LAST_READ)
    told = [(at_s, [row for row in rows if row[0] != end_s]) for at_s, rows in events]
    return replace(facts, kind=Kind.INTERVAL), told


def differing(first: int, count: int, *, is_file: bool = False) -> Iterator[int]:
    """Yield the seeds of worlds that do not end as they would all at once."""
    for seed in range(first, first + count):
        facts, events = as_file(*make_world(seed)) if is_file else make_world(seed)
        wanted = state_of(at_once(facts, events))
        if state_of(live(facts, events, is_many=seed % 2 == 0)) != wanted:
            yield seed


@pytest.mark.parametrize(("first", "count"), [(0, 2), pytest.param(2, 6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_file", [False, True])
def test_looks_at_a_silent_meter_end_as_all_derived_at_once(first: int, count: int, *, is_file: bool) -> None:
    assert list(differing(first, count, is_file=is_file)) == []


@pytest.mark.soak
@pytest.mark.parametrize("is_file", [False, True])
def test_looks_at_a_silent_meter_end_as_all_derived_at_once_in_hundreds_of_worlds(*, is_file: bool) -> None:
    assert list(differing(1000, 300, is_file=is_file)) == []


@pytest.mark.parametrize("is_file", [False, True])
def test_a_look_derives_what_time_has_added_and_no_more(*, is_file: bool) -> None:
    facts, rows = facts_of(), hourly(LAST_READ - timedelta(days=40), 40, 21, 90_000)
    if is_file:
        facts, ((_, rows),) = as_file(facts, [(0, rows)])
    street = street_with(facts, is_many=True)
    street.deliver(OWN, CHANNEL, rows)
    now_s = start_of(LAST_READ + timedelta(days=400))
    street.mark(OWN, now_s - LOOK_BACK_S, now_s)
    assert run(street, now_s) > 400 * 24
    street.mark(OWN, now_s + 6 * HOUR_S - LOOK_BACK_S, now_s + 6 * HOUR_S)
    street.written.clear()
    assert run(street, now_s + 6 * HOUR_S) < 8 * 24
    assert len(street.written) == 6


@pytest.mark.slow
def test_a_look_that_starts_too_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: whatever lies before the look is taken to stand."""
    monkeypatch.setattr(widen, "find_standing_until", lambda _ports, _facts, _read_s, at_s: at_s)
    assert any(differing(0, CAUGHT_WITHIN))


LATE_PERIOD = 22  # in this world a read of weeks before the last ones comes when the gap is months long


def test_a_daily_load_that_becomes_known_late_is_told_to_all_of_its_gap() -> None:
    assert list(differing(LATE_PERIOD, 1)) == []


def test_a_daily_load_that_is_told_to_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: who learns is looked for as near as like days lie."""
    for module in (widen, plain_groups):
        monkeypatch.setattr(module, "may_have_learnt", lambda at_s, _method, span: at_s < span[1] + FAR_S)
    assert list(differing(LATE_PERIOD, 1)) == [LATE_PERIOD]


def growth_told_late() -> tuple[SeriesFacts, list[Event]]:
    """Return a gap of months of which last year is known, and the growth until it began only later."""
    known = hourly(LAST_READ - timedelta(days=60), 60, 21, 90_000)
    then = hourly(LAST_READ - YEAR, 150, 10, 50_000)
    before_then = hourly(LAST_READ - YEAR - timedelta(days=28), 10, 10, 1000)
    now_s = start_of(LAST_READ + timedelta(days=120))
    return facts_of(), [(now_s, [*known, *then]), (now_s + DAY_S, before_then)]


@pytest.mark.parametrize("is_many", [True, False])
def test_a_growth_that_becomes_known_late_is_told_to_all_of_its_gap(*, is_many: bool) -> None:
    facts, events = growth_told_late()
    state = state_of(live(facts, events, is_many=is_many))
    assert state == state_of(at_once(facts, events))
    assert Method.PREVIOUS_YEAR in {value[3] for value in state[0].values()}


def test_a_growth_that_is_told_to_last_methods_only_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "LEARNT_METHODS", later.LAST_METHODS)  # the planted fault
    facts, events = growth_told_late()
    assert state_of(live(facts, events, is_many=True)) != state_of(at_once(facts, events))
