"""A connection that a device opened: a deadline for each of its states, nothing kept for who is unknown."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from wattkeeper.headend.tcp import TcpWire


class Stage(Enum):
    """How far a connection has come."""

    WAITING = "waiting"  # nothing known: its first frame is waited for
    ASKED = "asked"  # it is being asked who it is
    ADOPTED = "adopted"  # it speaks for a link
    QUARANTINED = "quarantined"  # unknown: what it says is dropped until its time is over


class Doorkeeper(Protocol):
    """Who decides about the connections of one port."""

    def arrived(self, wire: "DialledWire") -> None:
        """Somebody has connected."""
        ...

    def spoke(self, wire: "DialledWire") -> None:
        """Somebody whose first frame is waited for has sent bytes."""
        ...

    def left(self, wire: "DialledWire") -> None:
        """A connection is gone."""
        ...


class DialledWire(TcpWire):
    """One accepted connection; without a task of its own, so that thousands may wait."""

    __slots__ = ("_doorkeeper", "_heard_at_s", "_idle_s", "_timer", "has_spoken", "peer", "stage")

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        super().__init__()
        self.peer = ""
        self.stage = Stage.WAITING
        self.has_spoken = False
        self._doorkeeper = doorkeeper
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at_s = 0.0
        self._idle_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and announce the connection."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self._doorkeeper.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes as far as the stage allows."""
        if self.stage is Stage.QUARANTINED:
            return
        super().data_received(data)
        self._heard_at_s = asyncio.get_running_loop().time()
        if self.stage is Stage.WAITING:
            self._doorkeeper.spoke(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits and say good-bye."""
        self.set_deadline(None, None)
        super().connection_lost(exc)
        self._doorkeeper.left(self)

    def set_deadline(self, seconds: float | None, on_late: Callable[["DialledWire"], None] | None) -> None:
        """Call `on_late` unless another deadline is set within so many seconds; None: no deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None and on_late is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, on_late, self)

    def adopt(self, idle_s: float) -> None:
        """Let the connection speak for its link; it is closed once it has been silent for `idle_s`."""
        self.stage = Stage.ADOPTED
        self._idle_s = idle_s
        self._heard_at_s = asyncio.get_running_loop().time()
        self.set_deadline(idle_s, _close_if_idle)

    def quarantine(self) -> None:
        """Drop what was said and whatever is said from now on."""
        self.stage = Stage.QUARANTINED
        self.buffer.clear()

    def abort(self) -> None:
        """End the connection at once, without waiting for what is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def idle_left_s(self) -> float:
        """How long it may still be silent."""
        return self._heard_at_s + self._idle_s - asyncio.get_running_loop().time()


def _close_if_idle(wire: DialledWire) -> None:
    left_s = wire.idle_left_s
    if left_s <= 0:
        wire.abort()
    else:
        wire.set_deadline(left_s, _close_if_idle)
