"""A link whose devices dial in: who may speak for it, and the connection that does."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.dial_in import DialIn
from wattkeeper.headend.dialled_wire import DialledWire
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.line import Line
from wattkeeper.headend.ports import LinkPlan
from wattkeeper.headend.tcp import Wire

_GRACE_REAL_S = 5.0  # a device that was just let go dials again within seconds
_IDLE_LEAST_S = 600.0
_IDLE_POLLS_COUNT = 3


class Collecting(Protocol):
    """Who reads the link's devices once a connection stands."""

    line: Line
    devices: dict[int, DeviceState]

    def take_up(self) -> None:
        """A device has dialled in."""
        ...


@dataclass(slots=True, eq=False)
class Slot:
    """One link's place at a door. `door_error_code`: why nobody can knock there."""

    plan: LinkPlan
    dial_in: DialIn | None
    door_error_code: str | None = None
    collector: Collecting | None = None
    wire: DialledWire | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def idle_s(self) -> float:
        """How long a connection of this link may be silent: several polls."""
        return max(_IDLE_LEAST_S, float(_IDLE_POLLS_COUNT * self.plan.poll_s))

    @property
    def is_taken(self) -> bool:
        """Whether a connection speaks for the link."""
        return self.wire is not None and self.wire.is_open

    async def connect(self) -> Wire:
        """
        Return the connection of the device that has dialled in; wait a moment for one.

        :raises LinkDown: if none stands
        """
        if not self.is_taken and self.door_error_code is None:
            self.arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_REAL_S):
                    await self.arrived.wait()
        if self.wire is None or not self.wire.is_open:
            code = self.door_error_code or "headend.not-dialled-in"
            raise LinkDown(code, is_permanent=False, endpoint=self._where())
        return self.wire

    def adopt(self, wire: DialledWire) -> None:
        """Let the connection speak for the link from now on."""
        former, self.wire = self.wire, wire
        if former is not None and former.is_open:
            former.abort()
        wire.adopt(self.idle_s)
        self.arrived.set()
        if self.collector is not None:
            self.collector.take_up()

    def release(self) -> None:
        """Let go of the connection for good."""
        if self.wire is not None:
            self.wire.abort()
        self.wire = None

    def _where(self) -> str:
        return "" if self.dial_in is None else f"{self.dial_in.host}:{self.dial_in.port}"
