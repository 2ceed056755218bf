"""Watches the spool: says when it fills, refuses or fails, and puts dead letters back that were asked for."""

import asyncio

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.contained import call_port
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import Clock, ReportPort, SpoolReport
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.store.batch_codec import decode_batch

_PERIOD_REAL_S = 1.0
_log = structlog.get_logger(__name__)


class SpoolWatch:
    """Looks once a second; reports what has changed."""

    def __init__(
        self, writer: SpoolWriter, report: ReportPort, clock: Clock, metrics: HeadendMetrics
    ) -> None:
        self._writer = writer
        self._spool = writer.spool
        self._letters = writer.spool.dead_letters
        self._report = report
        self._clock = clock
        self._metrics = metrics
        self._reported: SpoolReport | None = None

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_PERIOD_REAL_S)

    async def look(self) -> None:
        """Replay what was asked for and report what is new."""
        for name in await asyncio.to_thread(self._letters.asked_again):
            await self._replay(name)
        found = await asyncio.to_thread(self._state)
        self._metrics.gauge("dead_letters", found.dead_letters_count)
        if found != self._reported:
            self._reported = found
            now = self._clock.now()
            await call_port(lambda: self._report.report_spool(found, now), self._metrics)

    async def _replay(self, name: str) -> None:
        """Put a letter back; it is gone only once the spool has it on disk."""
        try:
            content = await asyncio.to_thread(self._letters.content, name)
            decode_batch(content)
        except (WattkeeperError, ValueError, OSError):
            _log.error("headend.dead-letter-damaged", name=name)
            self._letters.refuse(name)
            return
        try:
            await self._writer.append_bytes(content)
        except WattkeeperError as error:
            _log.warning("headend.dead-letter-waits", name=name, code=error.code)
            return
        await asyncio.to_thread(self._letters.forget, name)
        self._metrics.count("batches_replayed")
        self._writer.announce()

    def _state(self) -> SpoolReport:
        letters = self._letters.letters()
        return SpoolReport(
            is_alarmed=self._spool.is_alarmed,
            is_refusing=self._spool.is_refusing,
            is_failing=self._spool.is_failing,
            dead_letters_count=len(letters),
            reason=letters[-1].reason if letters else "",
        )
