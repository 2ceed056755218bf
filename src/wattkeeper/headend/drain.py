"""From the spool to the store: oldest first, deleted only once the store has it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.errors import SpoolFailed
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import Clock, SinkPort
from wattkeeper.headend.schedule import backoff_s
from wattkeeper.headend.spool import Spool, SpooledBatch
from wattkeeper.headend.timetable import FAR_FUTURE, Sleeper
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import decode_batch

GROUP_MAX_COUNT = 8192  # a store takes a million reads at a time as easily as a thousand
FILLING_PAUSE_REAL_S = 0.5  # while memories are fetched, many batches make one insert
_RETRY_MIN_S = 1.0
_RETRY_MAX_S = 60.0
_POISON_TRIES_COUNT = 3
_REFUSED_IN_A_ROW_MAX_COUNT = 8
_log = structlog.get_logger(__name__)


class Drain:
    """Hands batches over until the spool is empty; a store that is down is asked again with back-off."""

    def __init__(
        self,
        spool: Spool,
        sink: SinkPort,
        clock: Clock,
        sleeper: Sleeper,
        metrics: HeadendMetrics,
        *,
        is_filling: Callable[[], bool] = lambda: False,
    ) -> None:
        self._spool = spool
        self._sink = sink
        self._clock = clock
        self._sleeper = sleeper
        self._metrics = metrics
        self._is_filling = is_filling
        self._dice = random.Random()
        self._failures_count = 0
        self._refused_in_a_row_count = 0
        self._tried_at = clock.now()

    def wake(self) -> None:
        """Say that there is something new."""
        if self._failures_count == 0:
            self._sleeper.poke()

    async def run(self) -> None:
        """Drain, for ever."""
        while True:
            if self._is_filling():
                await asyncio.sleep(FILLING_PAUSE_REAL_S)
            is_drained = await self.drain()
            until = FAR_FUTURE if is_drained else self._retry_at()
            await self._sleeper.sleep_until(until)

    async def drain(self) -> bool:
        """Deliver what waits; whether all of it is delivered."""
        while True:
            self._tried_at = self._clock.now()
            try:
                waiting = await asyncio.to_thread(self._spool.peek, GROUP_MAX_COUNT)
            except SpoolFailed as error:
                _log.error("headend.spool-unreadable", **error.params)
                self._failures_count += 1
                return False
            self._gauge()
            if not waiting:
                self._failures_count = 0
                return True
            if not await self._hand_over(waiting):
                self._failures_count += 1
                self._metrics.count("sink_failures")
                return False
            self._failures_count = 0

    async def _hand_over(self, waiting: Sequence[SpooledBatch]) -> bool:
        """Deliver and delete what can be decoded; whether to go on."""
        batches = await asyncio.to_thread(_decode_leading, waiting)
        if not batches:
            return await self._bury(waiting[0], "store.batch-damaged")
        return await self._settle(waiting[: len(batches)], batches)

    async def _settle(self, waiting: Sequence[SpooledBatch], batches: Sequence[RawBatch]) -> bool:
        """Deliver and delete; whether to go on. A batch refused for good is found by halving."""
        error = await self._deliver(batches)
        if error is None:
            await asyncio.to_thread(self._spool.delete, waiting)
            self._metrics.count("batches_delivered", len(waiting))
            self._refused_in_a_row_count = 0
            return True
        if not error.is_permanent:
            return False
        if len(waiting) == 1:
            return await self._refuse(waiting[0], batches, error.code)
        half = len(waiting) // 2
        is_settled = await self._settle(waiting[:half], batches[:half])
        return is_settled and await self._settle(waiting[half:], batches[half:])

    async def _deliver(self, batches: Sequence[RawBatch]) -> WattkeeperError | None:
        try:
            await asyncio.to_thread(self._sink.deliver, batches)
        except WattkeeperError as error:
            _log.warning("headend.sink-failed", code=error.code, batches_count=len(batches))
            return error
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            _log.exception("headend.unexpected")
            self._metrics.count("exceptions")
            return WattkeeperError("headend.unexpected", is_permanent=False)
        return None

    async def _refuse(self, spooled: SpooledBatch, batches: Sequence[RawBatch], reason: str) -> bool:
        """Try a poison batch twice more and set it aside at once: the others do not wait for it.

        A store that refuses one batch after the other may be what is broken: then it is one batch a pause.
        """
        for _ in range(_POISON_TRIES_COUNT - 1):
            error = await self._deliver(batches)
            if error is None:
                await asyncio.to_thread(self._spool.delete, [spooled])
                self._metrics.count("batches_delivered")
                return True
            if not error.is_permanent:
                return False
        self._refused_in_a_row_count += 1
        is_buried = await self._bury(spooled, reason)
        return is_buried and self._refused_in_a_row_count <= _REFUSED_IN_A_ROW_MAX_COUNT

    async def _bury(self, spooled: SpooledBatch, reason: str) -> bool:
        try:
            await asyncio.to_thread(self._spool.quarantine, spooled, reason)
        except SpoolFailed as error:
            _log.error("headend.spool-failed", **error.params)
            return False
        self._metrics.count("batches_quarantined")
        return True

    def _gauge(self) -> None:
        self._metrics.gauge("spool_bytes", self._spool.content_bytes)
        self._metrics.gauge("spool_batches", self._spool.batches_count)

    def _retry_at(self) -> datetime:
        """Return when to try again; a try that waited long itself has paid for its pause."""
        pause_s = backoff_s(
            max(1, self._failures_count), least_s=_RETRY_MIN_S, most_s=_RETRY_MAX_S, dice=self._dice
        )
        now = self._clock.now()
        from_at = min(now, self._tried_at)  # a clock that was set back meanwhile makes no pause longer
        return max(now + timedelta(seconds=_RETRY_MIN_S), from_at + timedelta(seconds=pause_s))


def _decode_leading(waiting: Sequence[SpooledBatch]) -> list[RawBatch]:
    """Return the batches before the first that is none."""
    batches = []
    for spooled in waiting:
        try:
            batches.append(decode_batch(spooled.content))
        except (WattkeeperError, ValueError):
            break
    return batches
