"""How far the first fetch of the devices' memories has come."""

import asyncio
import time

from wattkeeper.headend.contained import call_port
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import ReportPort

LABEL = "headend.initial-fetch"
_SHORTEST_S = 0.25
_BEAT_S = 5.0


class Progress:
    """Counts interval stamps fetched against those missing at the start; reports now and then."""

    def __init__(self, report: ReportPort, metrics: HeadendMetrics) -> None:
        self._report = report
        self._metrics = metrics
        self._done_count = 0
        self._total_count = 0
        self._reported_at_s = 0.0
        self._turn = asyncio.Lock()  # one report after the other: the last that is told is the last there is

    @property
    def is_running(self) -> bool:
        """Whether stamps are still to be fetched."""
        return self._done_count < self._total_count

    def expect(self, count: int) -> None:
        """Note that `count` more stamps are to be fetched; fewer where it is negative."""
        self._total_count += count

    async def run(self) -> None:
        """Report again and again while stamps are still to be fetched: who reports nothing has ended."""
        while True:
            await asyncio.sleep(_BEAT_S)
            async with self._turn:
                if self.is_running:
                    await self._tell()

    async def advance(self, count: int) -> None:
        """Note that `count` stamps are done with."""
        self._done_count += count
        is_complete = self._done_count >= self._total_count
        if not is_complete and time.monotonic() - self._reported_at_s < _SHORTEST_S:
            return
        async with self._turn:
            await self._tell()

    async def _tell(self) -> None:
        self._reported_at_s = time.monotonic()
        done_count, total_count = self._done_count, self._total_count
        await call_port(
            lambda: self._report.report_progress(done_count=done_count, total_count=total_count, label=LABEL),
            self._metrics,
        )
