"""Port calls in threads, whose failures are logged and counted and never end an actor."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.metrics import HeadendMetrics

T = TypeVar("T")
_log = structlog.get_logger(__name__)


async def call_port(
    call: Callable[[], T], metrics: HeadendMetrics, threads: Executor | None = None
) -> T | None:
    """Call a port in one of `threads`, else of those that all share; None when it failed."""
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
    except WattkeeperError as error:
        _log.warning("headend.port-failed", code=error.code)
    except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
        metrics.count("exceptions")
        _log.exception("headend.unexpected")
    return None
