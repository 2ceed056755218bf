"""A server's clock was ahead: what it stamped says nothing before its time, then the same in any order."""

from random import Random

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.pipeline import derive, plain_derive, read_rules

NOW_S = START_S + DAY_S + 8 * 3600
AHEAD_S = 3600
MIDNIGHT_S = START_S + 2 * DAY_S


def told(*, is_many: bool, source: Source) -> Street:
    """Return a street after its server's clock was an hour ahead for half of one; its meter counts a step a
    second.
    """
    street = Street([facts()], is_many=is_many)
    shown = range(NOW_S - 1800, NOW_S, 60)
    early = [(at_s + AHEAD_S, at_s - START_S, 0, int(Source.LIVE)) for at_s in shown]
    street.deliver(1, REGISTER, early)
    stamps = range(START_S, NOW_S + 2 * AHEAD_S + 1, QUARTER_S)
    moments = [NOW_S, NOW_S + AHEAD_S // 2]
    if source != Source.LIVE:
        moments.append(NOW_S + 2 * AHEAD_S)
    for now_s in moments:
        street.deliver(
            1, REGISTER, [(at_s, at_s - START_S, 0, int(source)) for at_s in stamps if at_s <= now_s]
        )
        street.run(now_s)
        values = street.current()[1]
        expected = {at_s: QUARTER_S * 1000 for at_s in stamps if at_s + QUARTER_S <= now_s}
        assert {at_s: value[0] for at_s, value in values.items()} == expected, now_s - NOW_S
        if now_s < early[0][0] - 600:
            assert {value[1] for value in values.values()} == {Provenance.MEASURED}
            assert "vee.impossible-instant" in {found.rule for found in street.recorded.values()}
    return street


@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("source", [Source.PROFILE, Source.LIVE])
def test_what_a_clock_ahead_stamped_hides_nothing(source: Source, *, is_many: bool) -> None:
    told(is_many=is_many, source=source)


@pytest.mark.parametrize("is_many", [True, False])
def test_of_a_meter_that_records_nothing_all_energy_is_kept_at_any_time(*, is_many: bool) -> None:
    """Looked at every quarter of an hour, a run after each; the clock was ahead over midnight."""
    street = Street([facts()], is_many=is_many)
    midnight_s = START_S + DAY_S
    shown = range(midnight_s - 3600, midnight_s - 1800, 300)
    street.deliver(1, REGISTER, [(at_s + AHEAD_S, at_s - START_S, 0, int(Source.LIVE)) for at_s in shown])
    for now_s in range(START_S, midnight_s + 3 * AHEAD_S + 1, QUARTER_S):
        street.deliver(1, REGISTER, [(now_s, now_s - START_S, 0, int(Source.LIVE))])
        street.run(now_s)
    values = street.current()[1]
    assert sum(value[0] for value in values.values()) == (midnight_s + 3 * AHEAD_S - START_S) * 1000


@pytest.mark.parametrize("is_many", [True, False])
def test_to_believe_it_at_once_is_caught(monkeypatch: pytest.MonkeyPatch, *, is_many: bool) -> None:
    for module in (plain_derive, read_rules):
        monkeypatch.setattr(module, "is_early", lambda reads, *_: reads.source > 10**6)  # the plant
    with pytest.raises(AssertionError):
        told(is_many=is_many, source=Source.PROFILE)


def live(at_s: int, shown_at_s: int) -> Row:
    return at_s, shown_at_s - START_S, 0, int(Source.LIVE)


def arrivals(chance: Random) -> list[tuple[int, Row]]:
    """Return when each look of a night came, and the look: what a clock ahead stamped beside a midnight came
    when it was shown or hours later.
    """
    ahead_s, step_s = chance.randrange(600, 3 * 3600), chance.choice((60, 300, 700))
    first_s, lasts_s = MIDNIGHT_S - ahead_s + chance.randrange(-1800, 1800), chance.randrange(60, 5400)
    late_s = chance.choice((0, 0, 3600, 4 * 3600))
    came = [
        (shown_s + chance.randrange(late_s + 1), live(shown_s + ahead_s, shown_s))
        for shown_s in range(first_s, first_s + lasts_s, step_s)
    ]
    at_s = MIDNIGHT_S - 4 * 3600
    while at_s < MIDNIGHT_S + 4 * 3600:
        came.append((at_s, live(at_s, at_s)))
        at_s += chance.choice((60, QUARTER_S, QUARTER_S, 1000, 3 * 3600))
    return sorted(came)


def is_order_nothing(seed: int, *, is_many: bool) -> bool:
    """Whether the same stands at an instant after runs in between as if all had come at once."""
    chance = Random(seed)
    to_s = MIDNIGHT_S + chance.randrange(-3600, 5 * 3600)
    street, once = Street([facts()], is_many=is_many), Street([facts()], is_many=is_many)
    for each in (street, once):
        each.deliver(
            1, REGISTER, [live(at_s, at_s) for at_s in range(START_S, MIDNIGHT_S - 4 * 3600, QUARTER_S)]
        )
    for came_s, row in arrivals(chance):
        if came_s <= to_s:
            street.deliver(1, REGISTER, [row])
            once.deliver(1, REGISTER, [row])
            if chance.random() < 0.5:
                street.run(came_s)
    street.run(to_s)
    once.run(to_s)
    return street.current() == once.current()


@pytest.mark.parametrize("is_many", [True, False])
def test_in_any_order_the_same_stands_at_the_same_time(*, is_many: bool) -> None:
    assert [seed for seed in range(30) if not is_order_nothing(seed, is_many=is_many)] == []


@pytest.mark.parametrize("is_many", [True, False])
def test_not_to_look_again_at_its_time_is_caught(monkeypatch: pytest.MonkeyPatch, *, is_many: bool) -> None:
    monkeypatch.setattr(derive, "find_postponed", lambda *_: {})  # the plant
    assert not all(is_order_nothing(seed, is_many=is_many) for seed in range(30))
