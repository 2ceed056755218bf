"""What the collector knows of one device: its cadence, the stamps it holds, which of them are gaps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wattkeeper.drivers.api import Capability, Driver
from wattkeeper.headend.ports import DevicePlan
from wattkeeper.headend.schedule import Cadence
from wattkeeper.headend.stamps import HeldStamps


@dataclass(slots=True)
class DeviceState:
    """One device under collection. Instants are UTC seconds.

    `initial_until_s`: stamps up to here belong to the first fetch of its memory. `gap_until_s`: stamps up to
    here were missed because its link was down. `unripe_s`: the newest stamp, when the device did not have it
    yet. `clock_offset_s`: its clock less ours. `expected_count`: stamps of the first fetch still to come.
    `heard_at_s`: when it last sent something by itself. `asked_s`: stamps asked for and not yet got.
    `multiplier_due_s`: when to ask again what it knows of its transformers.
    """

    plan: DevicePlan
    driver: Driver
    cadence: Cadence
    held: HeldStamps
    is_loaded: bool = False
    initial_until_s: int = 0
    gap_until_s: int = 0
    unripe_s: int | None = None
    clock_offset_s: int | None = None
    has_work_left: bool = False
    freezes_until_s: int = 0
    multiplier_due_s: int = 0
    expected_count: int = 0
    heard_at_s: int = 0
    asked_s: set[int] = field(default_factory=set)

    @property
    def profiled_channel_ids(self) -> tuple[int, ...]:
        """The channels that its load profile holds."""
        return tuple(channel.channel_id for channel in self.plan.channels if channel.is_profiled)

    def is_installed(self, now_s: int) -> bool:
        """Whether the device is to be read at `now_s`."""
        ends_at_s = self.plan.reads_to_s
        return self.plan.reads_from_s <= now_s and (ends_at_s is None or now_s < ends_at_s)

    def is_heard(self, now_s: int) -> bool:
        """Whether a device that pushes has done so lately; others were just spoken to."""
        if Capability.PUSH not in self.driver.capabilities:
            return True
        return now_s - self.heard_at_s <= 2 * self.plan.interval_s

    def newest_s(self, now_s: int) -> int:
        """The newest stamp that its own clock has reached."""
        device_now_s = now_s + (self.clock_offset_s or 0)
        if self.plan.reads_to_s is not None:
            device_now_s = min(device_now_s, self.plan.reads_to_s)
        return device_now_s // self.plan.interval_s * self.plan.interval_s

    def missing(self, now_s: int) -> list[int]:
        """Return the stamps its memory should hold and we do not."""
        if not self.profiled_channel_ids or not self.is_loaded:
            return []
        oldest_s = max(self.plan.reads_from_s, now_s - self.plan.memory_s + 1)
        return self.held.missing(oldest_s, self.newest_s(now_s))

    def split_missing(self, now_s: int) -> "Missing":
        """Sort the missing stamps into the regular new ones, first fetch and gaps."""
        floor_s = self.newest_s(now_s) - self._regular_s()
        missing = Missing()
        for stamp in self.missing(now_s):
            if stamp <= self.initial_until_s:
                missing.initial.append(stamp)
            elif self._poll_of(stamp) > self.gap_until_s and (stamp > floor_s or stamp == self.unripe_s):
                missing.regular.append(stamp)
            else:
                missing.gaps.append(stamp)
        return missing

    def _poll_of(self, stamp_s: int) -> int:
        """The instant of the first poll that finds the record of `stamp_s` in the device."""
        ripe_s = stamp_s - (self.clock_offset_s or 0)
        return -(-ripe_s // self.cadence.poll_s) * self.cadence.poll_s

    def _regular_s(self) -> int:
        """How long a new record may take; a device that pushes repeats what was lost before it is a gap."""
        period_s = max(self.cadence.poll_s, self.plan.interval_s)
        return 2 * period_s if Capability.PUSH in self.driver.capabilities else period_s

    def note_answered(self, asked_s: Sequence[int], present_s: Sequence[int], now_s: int) -> list[int]:
        """Note what an answered request brought; return the stamps now given up."""
        self.held.add(present_s)
        self.asked_s.difference_update(present_s)
        newest_s = self.newest_s(now_s)
        absent = set(asked_s).difference(present_s)
        if newest_s in absent and self.unripe_s != newest_s:
            self.unripe_s = newest_s
            absent.discard(newest_s)
        elif self.unripe_s in absent:
            self.unripe_s = None  # it had its time: from now on it is a gap
        return self.held.miss(sorted(absent))

    def forget_old(self, now_s: int) -> None:
        """Forget stamps that the device itself has overwritten."""
        oldest_s = now_s - self.plan.memory_s - self.plan.interval_s
        self.held.forget_before(oldest_s)
        self.asked_s = {stamp for stamp in self.asked_s if stamp >= oldest_s}


@dataclass(slots=True)
class Missing:
    """Missing stamps by why they are missing, ascending."""

    regular: list[int] = field(default_factory=list)
    initial: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
