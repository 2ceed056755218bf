"""Who knocked and was not let in: told once in a while for each address, never stored as a reading."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

import structlog

from wattkeeper.headend.contained import call_port
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import ReportPort, Stranger

_log = structlog.get_logger(__name__)
TELL_AGAIN_S = 600.0
TELLS_MAX_COUNT = 200  # in ten minutes: who knocks from a thousand addresses does not fill the findings
KNOWN_MAX_COUNT = 10_000
SAID_MAX_BYTES = 64


class Strangers:
    """Bounded memory of refused addresses; tells the first refusal of each and then one in ten minutes."""

    def __init__(
        self,
        report: ReportPort,
        metrics: HeadendMetrics,
        *,
        real_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._metrics = metrics
        self._real_s = real_s
        self._told: OrderedDict[tuple[int, str, str], tuple[float, int]] = OrderedDict()
        self._span_from_s, self._tells_count = real_s(), 0

    async def tell(self, stranger: Stranger) -> None:
        """Report a refusal unless the same address was reported for the same reason lately."""
        key = (stranger.port, stranger.peer, stranger.error_code)
        told_at_s, untold_count = self._told.pop(key, (float("-inf"), 0))
        is_fresh = self._real_s() - told_at_s >= TELL_AGAIN_S and self._may_tell()
        self._told[key] = (self._real_s(), 0) if is_fresh else (told_at_s, untold_count + 1)
        if len(self._told) > KNOWN_MAX_COUNT:
            self._told.popitem(last=False)
        if is_fresh:
            _log.warning("headend.stranger", port=stranger.port, peer=stranger.peer, code=stranger.error_code)
            await call_port(lambda: self._report.report_stranger(stranger, untold_count), self._metrics)

    def _may_tell(self) -> bool:
        if self._real_s() - self._span_from_s >= TELL_AGAIN_S:
            self._span_from_s, self._tells_count = self._real_s(), 0
        self._tells_count += 1
        return self._tells_count <= TELLS_MAX_COUNT

    async def settle(self, link_id: int, peer: str, port: int, now: datetime) -> None:
        """The address speaks for a link now: what was told of it is settled, also by an earlier process."""
        for key in [key for key in self._told if key[:2] == (port, peer)]:
            del self._told[key]
        await call_port(lambda: self._report.report_known(link_id, peer, port, now), self._metrics)
