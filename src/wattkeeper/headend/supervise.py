"""Keeps an endless loop going: what ends it unexpectedly is logged and counted, and it starts again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from wattkeeper.headend.metrics import HeadendMetrics

_PAUSE_REAL_S = 0.5
_log = structlog.get_logger(__name__)


async def supervise(loop: Callable[[], Awaitable[None]], metrics: HeadendMetrics) -> None:
    """Run `loop` for ever."""
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            metrics.count("exceptions")
            _log.exception("headend.unexpected")
        await asyncio.sleep(_PAUSE_REAL_S)
