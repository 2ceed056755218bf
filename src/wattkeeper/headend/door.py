"""One port where devices knock: how many may wait, for how long, and who of them is let in.

Whoever connects costs one object and one timer. Only so many are asked at a time, the others wait their turn;
an address may hold only so many connections, and the port as a whole only as many as descriptors allow.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from wattkeeper.headend.dialled_wire import DialledWire, Stage
from wattkeeper.headend.identify import Identifier, Verdict
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.slot import Slot
from wattkeeper.headend.waiting import Waiting

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Deadlines in real seconds and how many of each.

    `first_frame_s`: from the connection to the first byte. `frame_s`: from there to a whole first frame.
    `asked_s`: for the answer to who somebody is. `quarantine_s`: how long somebody unknown is held, silent,
    before the connection ends: who is turned away at once comes back at once.
    """

    first_frame_s: float = 30.0
    frame_s: float = 10.0
    asked_s: float = 30.0
    quarantine_s: float = 60.0
    connections_max_count: int = 15_000
    per_peer_max_count: int = 128
    asked_max_count: int = 64
    quarantined_max_count: int = 1_000


class TellStranger(Protocol):
    """Takes what became of somebody who was not let in."""

    def __call__(self, door: "Door", wire: DialledWire, verdict: Verdict, said: bytes) -> None:
        """Tell of it."""
        ...


class Door:
    """Decides about the connections of one port; a `Doorkeeper`."""

    def __init__(
        self,
        port: int,
        *,
        waiting: Callable[[int], Waiting],
        identifier: Identifier,
        metrics: HeadendMetrics,
        tell: TellStranger,
        on_adopted: Callable[[Slot, DialledWire], None],
        limits: DoorLimits,
    ) -> None:
        self.port = port
        self.wires: set[DialledWire] = set()
        self._waiting_at = waiting
        self._identifier = identifier
        self._metrics = metrics
        self._tell = tell
        self._on_adopted = on_adopted
        self._limits = limits
        self._per_peer: Counter[str] = Counter()
        self._quarantined_count = 0
        self._queued: deque[tuple[DialledWire, list[Slot]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def arrived(self, wire: DialledWire) -> None:
        """Count a connection in, or end it where there are too many already."""
        limits = self._limits
        is_crowd = self._per_peer[wire.peer] >= limits.per_peer_max_count
        self.wires.add(wire)
        self._per_peer[wire.peer] += 1
        self._metrics.count("dial_ins")
        self._metrics.adjust("dialled_in", 1)
        if is_crowd or len(self.wires) > limits.connections_max_count:
            self._metrics.count("dial_ins_shed")
            wire.abort()
            return
        waiting = self._waiting_at(self.port)
        slots = waiting.from_peer(wire.peer)
        if not slots and waiting.has_tokens:
            wire.set_deadline(limits.first_frame_s, self._late)
        elif slots or waiting.unbound():
            self._queue(wire, slots or waiting.unbound())
        else:
            self._refuse(wire, Verdict(None, "headend.dial-in-unknown"))

    def spoke(self, wire: DialledWire) -> None:
        """Look for a registration packet in what has come; a wrong one is not told from half of one."""
        if not wire.has_spoken:
            wire.has_spoken = True
            wire.set_deadline(self._limits.frame_s, self._late)
        waiting = self._waiting_at(self.port)
        opened = waiting.opened_by(bytes(wire.buffer), wire.peer)
        if opened is not None:
            slot, token_bytes = opened
            del wire.buffer[:token_bytes]
            self._queue(wire, [slot])
        elif len(wire.buffer) >= waiting.token_max_bytes:
            self._refuse(wire, Verdict(None, "headend.dial-in-unknown"))

    def left(self, wire: DialledWire) -> None:
        """Count a connection out."""
        if wire not in self.wires:
            return
        self.wires.discard(wire)
        self._metrics.adjust("dialled_in", -1)
        self._per_peer[wire.peer] -= 1
        if not self._per_peer[wire.peer]:
            del self._per_peer[wire.peer]
        self._quarantined_count -= wire.stage is Stage.QUARANTINED

    async def close(self) -> None:
        """End every connection and every question under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in list(self.wires):
            wire.abort()

    def _queue(self, wire: DialledWire, slots: list[Slot]) -> None:
        wire.stage = Stage.ASKED
        wire.set_deadline(None, None)
        self._queued.append((wire, slots))
        self._ask_next()

    def _ask_next(self) -> None:
        while self._queued and len(self._tasks) < self._limits.asked_max_count:
            wire, slots = self._queued.popleft()
            if wire.is_open:
                task = asyncio.create_task(self._ask(wire, slots))
                self._tasks.add(task)
                task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ask_next()

    async def _ask(self, wire: DialledWire, slots: list[Slot]) -> None:
        try:
            async with asyncio.timeout(self._limits.asked_s):
                verdict = await self._identifier.identify(wire, slots)
        except TimeoutError:
            verdict = Verdict(None, "headend.dial-in-silent")
        except Exception:  # noqa: BLE001 - contained and counted; the rest goes on
            self._metrics.count("exceptions")
            _log.exception("headend.unexpected", port=self.port)
            verdict = Verdict(None, "headend.unexpected")
        if verdict.error_code is None and verdict.slot is not None:
            verdict.slot.adopt(wire)
            self._on_adopted(verdict.slot, wire)
        else:
            self._refuse(wire, verdict)

    def _late(self, wire: DialledWire) -> None:
        """A deadline has passed: the slow are told of and ended, not held."""
        self._metrics.count("dial_ins_late")
        code = "headend.dial-in-unknown" if wire.has_spoken else "headend.dial-in-silent"
        self._tell(self, wire, Verdict(None, code), bytes(wire.buffer))
        wire.abort()

    def _refuse(self, wire: DialledWire, verdict: Verdict) -> None:
        """Hold somebody unknown for a while without listening: who is sent away at once is back at once."""
        if not wire.is_open:
            return
        self._tell(self, wire, verdict, bytes(wire.buffer))
        wire.quarantine()
        self._quarantined_count += 1
        if self._quarantined_count > self._limits.quarantined_max_count:
            wire.abort()
        else:
            wire.set_deadline(self._limits.quarantine_s, DialledWire.abort)
