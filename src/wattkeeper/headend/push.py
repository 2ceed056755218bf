"""Devices that speak first: what they push is made durable, and only then acknowledged.

Frames are the lines of `protocols.pulse`; over MQTT they are made from topic and payload.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import Protocol, runtime_checkable

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.drivers.api import DeviceRead
from wattkeeper.headend.batch import AHEAD_MAX_S, BatchBuilder
from wattkeeper.headend.collector import LinkCollector
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.errors import LinkDown, SpoolFailed, SpoolFull
from wattkeeper.headend.services import Services, whole_seconds
from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import Counts, History, decode_line

_UNDER_WAY_MAX_COUNT = 1000
_HOUR_S = 3600
REPEATS_AN_HOUR_MAX_COUNT = 3
_log = structlog.get_logger(__name__)


class Outcome(Enum):
    """What became of a pushed frame."""

    KEPT = "kept"  # durable
    REFUSED = "refused"  # sending it again cannot help
    LATER = "later"  # it could not be made durable now


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
        self._withheld: dict[int, tuple[bytes, int]] = {}
        self._repeats: dict[int, list[int]] = {}
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def take(self, frame: bytes) -> None:
        """Take a frame of a line; beyond a thousand under way it is dropped and the device repeats it."""
        if len(self._tasks) >= _UNDER_WAY_MAX_COUNT:
            self._services.metrics.count("pushes_refused")
            return
        task = asyncio.create_task(self.receive(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def receive(self, frame: bytes) -> Outcome:
        """Make a pushed frame durable and acknowledge it."""
        outcome = Outcome.REFUSED
        with self._services.timetable.busy():
            try:
                await self._receive(frame)
                return Outcome.KEPT
            except (WattkeeperError, PulseError) as error:
                _log.warning("headend.push-refused", link=self._collector.plan.name, code=error.code)
                if isinstance(error, SpoolFull | SpoolFailed | LinkDown):
                    outcome = Outcome.LATER
            except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
                self._services.metrics.count("exceptions")
                _log.exception("headend.unexpected", link=self._collector.plan.name)
            self._services.metrics.count("pushes_refused")
            return outcome

    def acknowledge_withheld(self, state: DeviceState) -> None:
        """Acknowledge what waited for earlier stamps, if they are held by now."""
        frame, newest_s = self._withheld.get(state.plan.device_id, (b"", 0))
        if frame and not self._is_behind(state, newest_s):
            del self._withheld[state.plan.device_id]
            with suppress(LinkDown):
                self._acknowledge(state, frame, newest_s)

    async def _receive(self, frame: bytes) -> None:
        topic, message = decode_line(frame)
        if isinstance(message, History):
            self._services.metrics.count("answers_late")
            return
        if not isinstance(message, Counts):
            raise WattkeeperError("headend.push-unexpected", verb=topic.verb)
        state = self._find(f"{topic.site}/{topic.serial}")
        lock = self._locks.setdefault(state.plan.device_id, asyncio.Lock())
        async with lock:
            await self._keep(state, frame)
            newest_s = max((row[0] for row in message.rows), default=0)
            self._acknowledge(state, frame, newest_s)

    async def _keep(self, state: DeviceState, frame: bytes) -> None:
        """Raises WattkeeperError when the frame is not what its device sends, or cannot be made durable."""
        now_s = whole_seconds(self._services.clock.now())
        builder = BatchBuilder(link_id=self._collector.plan.link_id, device=state.plan, now_s=now_s)
        reads = state.driver.on_push(frame, builder.keep_frame(frame))
        builder.add(reads, now_s=now_s)
        self._services.metrics.count("reads_unstorable", builder.reads_unstorable_count)
        if builder.stamp_error_code is not None:
            self._collector.note_fault(state, builder.stamp_error_code)
        batch = builder.build()
        if batch is not None:
            await self._services.spool.append(batch)
        self._watch_repeats(state, reads, now_s)
        stamps_s = sorted({read.measured_at_s for read in reads if read.measured_at_s is not None})
        if stamps_s and stamps_s[-1] <= now_s + AHEAD_MAX_S:
            state.trust_clock()
        state.hold(stamps_s, now_s)
        state.heard_at_s = now_s
        self._services.metrics.count("pushes")

    def _watch_repeats(self, state: DeviceState, reads: Sequence[DeviceRead], now_s: int) -> None:
        """A frame that was kept before changes nothing and is acknowledged again; many an hour are told."""
        stamps = [read.measured_at_s for read in reads if read.measured_at_s is not None]
        if not stamps or not all(state.held.is_held(stamp) for stamp in stamps):
            return
        self._services.metrics.count("pushes_repeated")
        if state.plan.device_id in self._withheld:
            return  # it repeats because we have not acknowledged it yet
        seen = [at_s for at_s in self._repeats.get(state.plan.device_id, ()) if at_s > now_s - _HOUR_S]
        self._repeats[state.plan.device_id] = [*seen, now_s]
        if len(seen) == REPEATS_AN_HOUR_MAX_COUNT:
            self._collector.note_fault(state, "headend.push-replayed")

    def _acknowledge(self, state: DeviceState, frame: bytes, newest_s: int) -> None:
        """An acknowledgement covers all before it: it waits until no earlier stamp is missing."""
        if not isinstance(state.driver, AcknowledgingDriver):
            return
        if self._is_behind(state, newest_s):
            self._withheld[state.plan.device_id] = (frame, newest_s)
            state.has_work_left = True
            self._collector.wake()
            return
        acknowledgement = state.driver.acknowledgement(frame)
        if acknowledgement is not None:
            self._collector.line.send_unasked(acknowledgement)

    def _is_behind(self, state: DeviceState, newest_s: int) -> bool:
        """Whether a stamp before `newest_s` is missing that the device still remembers, as far as we know."""
        now_s = max(newest_s, whole_seconds(self._services.clock.now()))
        return not state.is_loaded or any(stamp < newest_s for stamp in state.missing(now_s))

    def _find(self, address: str) -> DeviceState:
        state = self._collector.device_at(address)
        if state is None:
            raise WattkeeperError("headend.device-unknown", address=address)
        return state
