"""What a driver is: requests out, frames in, exact readings back. No socket, no clock, no log.

A driver is a register table and its exceptions. Each verb is a generator (`Steps`): it yields one `Request`,
is sent the `Answer` that matches it, and at last returns its result. Whoever runs it owns the line: the
head-end over asyncio, a test over a list of frames. A verb may raise `DeviceRefused` or `AnswerDamaged`;
time-outs, retries and reconnecting belong to the runner.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Protocol, TypeVar, runtime_checkable

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.relay import RelayState

T = TypeVar("T")


class DeviceRefused(WattkeeperError):
    """Raised when a device answers that it will not (error frame, exception code, access denied)."""


class AnswerDamaged(WattkeeperError):
    """Raised when an answer is whole and matches but its content cannot be what was asked for."""


class Capability(Enum):
    """What a device can do besides being read now."""

    PROFILE = "profile"
    FREEZES = "freezes"
    CLOCK = "clock"
    SET_CLOCK = "set_clock"
    RELAY = "relay"
    PUSH = "push"


class RelayCommand(Enum):
    """What a relay can be told. ARM: allow the person at the meter to close it."""

    DISCONNECT = "disconnect"
    ARM = "arm"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Request:
    """One frame to send and how to know its answer; others are late or foreign.

    `renew` returns the frame to send instead where the same one may not be sent twice. `is_question`: it only
    asks, so that it may be repeated even in a verb that makes the device do something.
    """

    frame: bytes
    matches: Callable[[bytes], bool]
    renew: Callable[[], bytes] | None = None
    is_question: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The frame that answered; `frame_index` names it in the batch, so that every read knows its frame."""

    frame: bytes
    frame_index: int


@dataclass(frozen=True, slots=True)
class DeviceRead:
    """One value as the device says it: secondary, exact, in the unit of its reading type.

    `measured_at_s` is the device's own time stamp in UTC seconds, or None for "now" (the runner stamps it).
    """

    reading_type: str
    value: Decimal
    measured_at_s: int | None
    source: Source
    frame_index: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """What the head of a receive buffer holds: `frame` None with `used_bytes` 0 asks for more bytes.

    `used_bytes` > 0 with `frame` None: that many bytes can never become a frame and are thrown away
    (`garbage`: why, for the counters).
    """

    frame: bytes | None
    used_bytes: int
    garbage: str = ""


Steps = Generator[Request, Answer, T]


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What a driver is told about one device.

    `interval_s`: of its load profile. `time_zone`: in which its clock runs where the protocol carries local
    time. `secrets`: keys and passwords by name, raw bytes. `settings`: the driver's own, validated by it.
    `reserve_counters(count)` durably reserves invocation counters and returns the first (DLMS only).
    """

    serial_number: str
    address: str
    interval_s: int = 900
    time_zone: str = "UTC"
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    settings: Mapping[str, object] = field(default_factory=dict)
    reserve_counters: Callable[[int], int] | None = None


class Driver(Protocol):
    """One device behind one line. Built by the family's `make_driver(config) -> Driver`."""

    capabilities: frozenset[Capability]

    def split(self, buffer: bytes) -> Split:
        """Return the first frame of `buffer`; damaged bytes are skipped and counted, never raised."""
        ...

    def open(self) -> Steps[None]:
        """Associate with the device; nothing for protocols without sessions. Checks the device's identity."""
        ...

    def close(self) -> Steps[None]:
        """Release the association."""
        ...

    def read_live(self) -> Steps[list[DeviceRead]]:
        """Read every register the table marks live."""
        ...

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read the load profile records with from_s <= stamp < to_s; what the device lacks is left out."""
        ...

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read daily and monthly frozen registers stamped in the span."""
        ...

    def read_clock(self) -> Steps[int]:
        """Return the device's clock in UTC seconds."""
        ...

    def set_clock(self, now_s: int) -> Steps[None]:
        """Set the device's clock."""
        ...

    def read_relay(self) -> Steps[RelayState]:
        """Return the control state, read from the device."""
        ...

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        """Tell the relay; the acknowledgement proves nothing: read it back."""
        ...

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:
        """Return the readings of a frame that the device sent by itself."""
        ...


@runtime_checkable
class TellsInterval(Protocol):
    """A driver whose device says how far apart the records of its load profile are."""

    profile_interval_s: int | None
    """As the device said when its profile was read; None before, and where it says nothing."""


@runtime_checkable
class TellsMultiplier(Protocol):
    """A driver whose device knows the ratios of its transformers; its registers are secondary nonetheless."""

    def read_multiplier(self) -> Steps[Fraction]:
        """Return by what the transformers multiply, as the device was told; 1 where it was not."""
        ...
