"""What the head-end asks of the world: a clock, a plan, a place to hand reads over, commands to carry out.

`bootstrap` wires these; the head-end knows no database and no store. Port calls block and are run in threads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from fractions import Fraction
from typing import Protocol

from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.store.api import RawBatch


class Clock(Protocol):
    """The one clock of a process; tests and trials inject their own."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Return once `instant` is reached."""
        ...

    def report_settled(self, instant: datetime) -> None:
        """Say that everything due up to `instant` is finished; a wall clock ignores it."""
        ...


class Transport(Enum):
    """How a link is reached."""

    TCP = "TCP"  # we dial host:port; one bus, one request at a time
    MQTT = "MQTT"  # endpoint mqtts://host:port, mqtt:// on this machine; devices push
    PULSE_TCP = "PULSE_TCP"  # we dial host:port; newline-delimited JSON, devices push
    LISTEN = "LISTEN"  # the device dials us: endpoint listen://host:port?from=…&token=…


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """`step`: the unit of one count, in the unit of the reading type."""

    channel_id: int
    reading_type: str
    step: Fraction
    is_profiled: bool


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device, read while installed (`reads_from_s`, `reads_to_s`); memory reaches `memory_s` back."""

    device_id: int
    tenant_id: int
    serial_number: str
    family: str
    address: str
    channels: tuple[ChannelPlan, ...]
    interval_s: int
    memory_s: int
    time_zone: str
    reads_from_s: int
    reads_to_s: int | None
    has_relay: bool = False
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """One line and the devices on it. `timeout_s` per request in real seconds."""

    link_id: int
    tenant_id: int
    name: str
    transport: Transport
    endpoint: str
    timeout_s: float
    retries_count: int
    poll_s: int
    devices: tuple[DevicePlan, ...]


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What a session learned about a device besides its reads; None where it learned nothing.

    `error_params`: what the error that `error_code` names was about. `multiplier`: of its transformers, as it
    says itself; 1 where nobody told it of any. `intervals_s`: of its load profile, as planned and as it says.
    """

    device_id: int
    at: datetime
    is_answering: bool
    error_code: str | None = None
    clock_offset_s: int | None = None
    relay_state: RelayState | None = None
    failures_count: int = 0
    error_params: Mapping[str, object] = field(default_factory=dict)
    multiplier: Fraction | None = None
    intervals_s: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who connected to `port` from `peer` and was not let in, and why (`error_code`).

    `tenant_ids`: whose links wait at that port. `link_id`: for which it tried to speak, where that is known.
    `said`: the first bytes of what it sent. `serial_number`: the number it gave, which proves nothing.
    """

    port: int
    peer: str
    at: datetime
    error_code: str
    tenant_ids: tuple[int, ...]
    link_id: int | None = None
    said: bytes = b""
    serial_number: str = ""


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """How the spool does: filled to 80 % (`is_alarmed`), refusing for want of room, failing to write.

    `dead_letters_count`: batches set aside; `reason`: why the newest of them was.
    """

    is_alarmed: bool
    is_refusing: bool
    is_failing: bool
    dead_letters_count: int
    reason: str = ""


class PlanPort(Protocol):
    """Where links and devices come from."""

    def revision(self) -> str:
        """Return a token that changes whenever a plan changes; cheap."""
        ...

    def links(self) -> Sequence[LinkPlan]:
        """Return every active link with its devices."""
        ...

    def reserve_counters(self, device_id: int, count: int) -> int:
        """Reserve invocation counters durably and return the first."""
        ...


class HoldingsPort(Protocol):
    """What is already stored, so that only gaps are asked for."""

    def stamps_held(
        self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, Sequence[int]]:
        """Return, per channel, the profile instants held in the span."""
        ...


class SinkPort(Protocol):
    """Where spooled batches go; when `deliver` returns they are stored and their windows marked dirty."""

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """Store the batches. Raises WattkeeperError (is_permanent False) to be asked again later."""
        ...


class ReportPort(Protocol):
    """Where a session's findings about devices, links and progress go."""

    def report_devices(self, reports: Sequence[DeviceReport]) -> None:
        """Keep what was learned of devices."""
        ...

    def report_link(self, link_id: int, at: datetime, *, is_up: bool, error_code: str | None) -> None:
        """Keep a link's state."""
        ...

    def report_stranger(self, stranger: Stranger, untold_count: int) -> None:
        """Keep that somebody unknown connected; `untold_count` more times since it was last told."""
        ...

    def report_known(self, link_id: int, peer: str, port: int, at: datetime) -> None:
        """Keep that the device at `peer` speaks for a link now."""
        ...

    def report_spool(self, report: SpoolReport, at: datetime) -> None:
        """Keep how the spool does; called when that has changed."""
        ...

    def report_progress(self, *, done_count: int, total_count: int, label: str) -> None:
        """Keep how far the fetch of memories has come."""
        ...


class CommandKind(Enum):
    """What a dispatched command does."""

    DISCONNECT = "DISCONNECT"
    RECONNECT = "RECONNECT"  # arms: the person at the meter closes


@dataclass(frozen=True, slots=True)
class OutboxCommand:
    """A command that may leave: authorised, counted and written down before it gets here."""

    command_id: int
    device_id: int
    kind: CommandKind
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What happened: SENT, ACKED, REFUSED_BY_DEVICE, NO_ANSWER, READ_BACK (with `relay_state`), EXPIRED."""

    command_id: int
    outcome: str
    at: datetime
    relay_state: RelayState | None = None
    frame: bytes | None = None
    detail_code: str | None = None


class OutboxPort(Protocol):
    """Claims what is to be sent and read back; keeps results."""

    def claim(self, now: datetime) -> Sequence[OutboxCommand]:
        """Return commands to send now; each is returned once."""
        ...

    def pending_read_backs(self, now: datetime) -> Sequence[OutboxCommand]:
        """Return commands whose relay state is still to be read (sent, unknown, or armed)."""
        ...

    def record(self, result: CommandResult) -> None:
        """Keep a result durably."""
        ...
