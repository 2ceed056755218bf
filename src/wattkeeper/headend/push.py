"""Devices that speak first: what they push is made durable, and only then acknowledged.

Frames are the lines of `protocols.pulse`; over MQTT they are made from topic and payload.
"""

import asyncio
from typing import Protocol, runtime_checkable

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.batch import BatchBuilder
from wattkeeper.headend.collector import LinkCollector
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.services import Services, whole_seconds
from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import Counts, History, decode_line

_UNDER_WAY_MAX_COUNT = 1000
_log = structlog.get_logger(__name__)


@runtime_checkable
class AcknowledgingDriver(Protocol):
    """A driver whose device repeats what it pushed until it is acknowledged."""

    def acknowledgement(self, payload: bytes) -> bytes | None:
        """Return the frame that lets the device forget `payload`, or None if it waits for none."""
        ...


class PushReceiver:
    """Takes the frames that the devices of one link send by themselves."""

    def __init__(self, collector: LinkCollector, services: Services) -> None:
        self._collector = collector
        self._services = services
        self._locks: dict[int, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[bool]] = set()

    def take(self, frame: bytes) -> None:
        """Take a frame of a line; beyond a thousand under way it is dropped and the device repeats it."""
        if len(self._tasks) >= _UNDER_WAY_MAX_COUNT:
            self._services.metrics.count("pushes_refused")
            return
        task = asyncio.create_task(self.receive(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def receive(self, frame: bytes) -> bool:
        """Make a pushed frame durable and acknowledge it; whether it is durable."""
        with self._services.timetable.busy():
            try:
                return await self._receive(frame)
            except (WattkeeperError, PulseError) as error:
                _log.warning("headend.push-refused", link=self._collector.plan.name, code=error.code)
            except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
                self._services.metrics.count("exceptions")
                _log.exception("headend.unexpected", link=self._collector.plan.name)
            self._services.metrics.count("pushes_refused")
            return False

    async def _receive(self, frame: bytes) -> bool:
        topic, message = decode_line(frame)
        if isinstance(message, History):
            self._services.metrics.count("answers_late")
            return True
        if not isinstance(message, Counts):
            raise WattkeeperError("headend.push-unexpected", verb=topic.verb)
        state = self._find(f"{topic.site}/{topic.serial}")
        lock = self._locks.setdefault(state.plan.device_id, asyncio.Lock())
        async with lock:
            await self._keep(state, frame)
            newest_s = max((row[0] for row in message.rows), default=0)
            self._acknowledge(state, frame, newest_s)
        return True

    async def _keep(self, state: DeviceState, frame: bytes) -> None:
        """Raises WattkeeperError when the frame is not what its device sends, or cannot be made durable."""
        now_s = whole_seconds(self._services.clock.now())
        builder = BatchBuilder(link_id=self._collector.plan.link_id, device=state.plan, now_s=now_s)
        reads = state.driver.on_push(frame, builder.keep_frame(frame))
        builder.add(reads, now_s=now_s)
        batch = builder.build()
        if batch is not None:
            await self._services.spool.append(batch)
        state.held.add(sorted({read.measured_at_s for read in reads if read.measured_at_s is not None}))
        state.heard_at_s = now_s
        self._services.metrics.count("pushes")

    def _acknowledge(self, state: DeviceState, frame: bytes, newest_s: int) -> None:
        """An acknowledgement covers all before it: it waits until no earlier stamp is missing."""
        if not isinstance(state.driver, AcknowledgingDriver):
            return
        if not state.is_loaded or any(stamp < newest_s for stamp in state.missing(newest_s)):
            state.has_work_left = True
            self._collector.wake()
            return
        acknowledgement = state.driver.acknowledgement(frame)
        if acknowledgement is not None:
            self._collector.line.send_unasked(acknowledgement)

    def _find(self, address: str) -> DeviceState:
        state = self._collector.device_at(address)
        if state is None:
            raise WattkeeperError("headend.device-unknown", address=address)
        return state
