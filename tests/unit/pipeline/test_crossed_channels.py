"""After an exchange a meter's channels are newer than those of later points: the state is the same."""

from dataclasses import replace
from random import Random

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, START_S, facts
from wattkeeper.core.kernel.quality import Source
from wattkeeper.pipeline import plain_derive
from wattkeeper.pipeline.ports import SeriesFacts

MODULUS = 10**5
DAYS = 3


def make_world(seed: int) -> tuple[list[SeriesFacts], dict[int, list[Row]]]:
    """Return series whose channels are in no order, and reads of registers that turn, on and off the grid."""
    chance = Random(seed)
    channels = chance.sample(range(10, 40), chance.choice((2, 4, 7)))
    known, reads = [], {}
    for series_id, channel_id in enumerate(channels, 1):
        (own,) = facts().installations
        own = replace(own, channel_id=channel_id, register_modulus=MODULUS, starts_at_s=START_S - 90 * DAY_S)
        known.append(replace(facts(), series_id=series_id, installations=(own,)))
        shown, off_s = MODULUS - chance.randrange(200, 9000), chance.choice((0, 0, 420))
        rows = []
        for at_s in range(START_S + off_s, START_S + DAYS * DAY_S + 1, QUARTER_S):
            rows.append((at_s, shown % MODULUS, 0, int(Source.PROFILE)))
            shown += chance.randrange(100)
        reads[channel_id] = chance.sample(rows, len(rows) - chance.choice((0, 3)))
    return known, reads


def told(
    seed: int, *, is_many: bool, has_late: bool
) -> tuple[dict[int, dict[int, tuple[int, ...]]], list[str]]:
    known, reads = make_world(seed)
    street, now_s = Street(known, is_many=is_many), START_S + DAYS * DAY_S
    for own in known:
        channel_id = own.installations[0].channel_id
        late_s = START_S + 2 * DAY_S if has_late else 0
        rows = reads[channel_id]
        street.deliver(own.series_id, channel_id, [row for row in rows if abs(row[0] - late_s) > QUARTER_S])
    assert not street.run(now_s).failures
    for own in known:
        channel_id = own.installations[0].channel_id
        street.deliver(own.series_id, channel_id, reads[channel_id])
    assert not street.run(now_s).failures
    return street.current(), sorted(map(str, street.recorded.values()))


def check_all() -> None:
    for seed in range(12):
        check(seed)


def check(seed: int) -> None:
    single = told(seed, is_many=False, has_late=False)
    assert told(seed, is_many=True, has_late=False) == single
    assert told(seed, is_many=True, has_late=True) == single
    assert min(value[0] for own in single[0].values() for value in own.values()) >= 0


@pytest.mark.parametrize("seed", range(12))
def test_channels_in_any_order_tell_the_same(seed: int) -> None:
    check(seed)


def test_reads_in_the_order_of_their_channels_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_derive, "in_order", lambda table: table)  # the plant
    with pytest.raises(AssertionError):
        check_all()
