"""A server's clock was ahead: what it stamped hides nothing of what the meter recorded, before and after."""

import pytest

from pipeline_street import Street
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.pipeline import plain_derive, read_rules

NOW_S = START_S + DAY_S + 8 * 3600
AHEAD_S = 3600


def told(*, is_many: bool) -> Street:
    """Return a street after its server's clock was an hour ahead for half of one; its meter counts a step a
    second.
    """
    street = Street([facts()], is_many=is_many)
    shown = range(NOW_S - 1800, NOW_S, 60)
    early = [(at_s + AHEAD_S, at_s - START_S, 0, int(Source.LIVE)) for at_s in shown]
    street.deliver(1, REGISTER, early)
    stamps = range(START_S, NOW_S + 2 * AHEAD_S + 1, QUARTER_S)
    for now_s in (NOW_S, NOW_S + AHEAD_S // 2, NOW_S + 2 * AHEAD_S):
        street.deliver(
            1, REGISTER, [(at_s, at_s - START_S, 0, int(Source.PROFILE)) for at_s in stamps if at_s <= now_s]
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
def test_what_a_clock_ahead_stamped_hides_nothing(*, is_many: bool) -> None:
    told(is_many=is_many)


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
        told(is_many=is_many)
