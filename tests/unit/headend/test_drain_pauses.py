"""How long the drain pauses after a store that took nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from unit.headend.bench import ManualClock
from unit.headend.test_dead_letters import batch
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.timetable import Dues, Sleeper
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import encode_batch

TRIES_COUNT = 10


class SetClock(ManualClock):
    """A clock that is set without anybody waiting for it."""

    def set_by(self, step: timedelta) -> None:
        self._now += step


class AwaySink:
    """A store that says only after a while that it is away."""

    def __init__(self, clock: SetClock, step: timedelta) -> None:
        self._clock = clock
        self._step = step

    def deliver(self, _: Sequence[RawBatch]) -> None:
        self._clock.set_by(self._step)
        raise WattkeeperError("carry.unconfirmed", is_permanent=False)


class Enough(Exception):
    """The drain has tried often enough."""


class NotingSleeper(Sleeper):
    """Notes how long it would sleep, and does not."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__(Dues())
        self.pauses_s: list[float] = []
        self._clock = clock

    async def sleep_until(self, instant: datetime) -> None:
        self.pauses_s.append((instant - self._clock.now()).total_seconds())
        if len(self.pauses_s) == TRIES_COUNT:
            raise Enough


async def pauses_s(folder: Path, try_takes: timedelta) -> list[float]:
    clock, spool = SetClock(), Spool(folder)
    spool.append([encode_batch(batch(1))])
    sleeper = NotingSleeper(clock)
    with pytest.raises(Enough):
        await Drain(spool, AwaySink(clock, try_takes), clock, sleeper, HeadendMetrics()).run()
    spool.close()
    return sleeper.pauses_s


async def test_a_store_that_says_so_at_once_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    found_s = await pauses_s(tmp_path, timedelta(0))
    assert found_s[0] <= 1.0
    assert 45.0 <= found_s[-1] <= 60.0


async def test_a_try_that_waited_long_has_paid_for_its_pause(tmp_path: Path) -> None:
    """What came back in the meantime is found by the next try: it waits, and is told."""
    assert set(await pauses_s(tmp_path, timedelta(seconds=60))) == {1.0}


async def test_a_clock_that_is_set_meanwhile_makes_no_pause_longer(tmp_path: Path) -> None:
    found_s = await pauses_s(tmp_path, timedelta(hours=-1))
    assert 45.0 <= max(found_s) <= 60.0
