"""A gap across the end of a day: what follows it is taken from the reads at hand, else from the store."""

from collections.abc import Sequence

import pytest

from pipeline_street import Street
from unit.pipeline.test_slices import DAY_S, HOUR_S, START_S, facts_of, reads_of
from wattkeeper.core.kernel.quality import Source
from wattkeeper.pipeline import plain_reach

SERIES = 1
OPEN = range(40, 49)  # the last hours of the second day, midnight with them


def street_with(next_hour: int, now_s: int, *, is_many: bool) -> Street:
    """Return a street of which the second day ends in a gap, derived before a read so many hours later ended
    it, and the second day once more after that."""
    street = Street([facts_of(SERIES)], is_many=is_many)
    street.deliver(SERIES, SERIES, reads_of(SERIES, without=OPEN))
    street.run(START_S + 48 * HOUR_S)
    street.raw[SERIES].add((START_S + (48 + next_hour) * HOUR_S, 9_000, 0, int(Source.PROFILE)))
    street.mark(SERIES, START_S + 30 * HOUR_S, START_S + 31 * HOUR_S)
    street.run(now_s)
    return street


class Sought(Street):
    """A street that remembers the instants at or after which a read was sought."""

    sought_s: tuple[int, ...] = ()

    def nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        self.sought_s += () if is_before else (at_s,)
        return super().nearest(channel_ids, at_s, is_before=is_before)


@pytest.mark.parametrize(("days", "sought_s"), [(2, ()), (4, (START_S + 3 * DAY_S,))])
def test_the_store_is_not_asked_for_reads_still_to_come(days: int, sought_s: tuple[int, ...]) -> None:
    street = Sought([facts_of(SERIES)], is_many=True)
    street.deliver(SERIES, SERIES, reads_of(SERIES, without=OPEN))
    street.run(START_S + days * DAY_S + 600)
    assert street.sought_s == sought_s


@pytest.mark.parametrize("next_hour", [0, 1, 20, 23, 24, 25, 60, 24 * 40])
@pytest.mark.parametrize("later_s", [-1, 0, 600, 20 * DAY_S])
def test_the_next_read_ends_the_gap_wherever_it_is_known_from(next_hour: int, later_s: int) -> None:
    now_s = START_S + (48 + next_hour) * HOUR_S + later_s
    alone = street_with(next_hour, now_s, is_many=False)
    together = street_with(next_hour, now_s, is_many=True)
    assert together.current() == alone.current()
    assert together.recorded == alone.recorded


def test_a_read_at_hand_that_is_not_seen_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    true = plain_reach.next_reads
    monkeypatch.setattr("wattkeeper.pipeline.plain_derive.next_reads", lambda *told: true(*told) * 0 - 1)
    now_s = START_S + 69 * HOUR_S
    assert street_with(20, now_s, is_many=True).current() != street_with(20, now_s, is_many=False).current()
