"""What the collector knows of one device: its cadence, the stamps it holds, which of them are gaps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wattkeeper.drivers.api import Capability, Driver
from wattkeeper.headend.batch import AHEAD_MAX_S
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
    `frozen_s`: the newest stamp of a frozen register that came. `multiplier_due_s`: when to ask again what it
    knows of its transformers. `ahead_s`: stamps held by reads from ahead of our clock alone, which nobody
    vouches for; `ahead_at_s`: when the last of them came.
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
    frozen_s: int = 0
    multiplier_due_s: int = 0
    expected_count: int = 0
    heard_at_s: int = 0
    asked_s: set[int] = field(default_factory=set)
    ahead_s: set[int] = field(default_factory=set)
    ahead_at_s: int = 0

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
        return self.held.start_of(device_now_s)

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

    def forget_dues(self, now_s: int) -> None:
        """Forget what was done when by a clock of ours that was ahead and is set back.

        What it froze is asked for from the newest that came: all of its memory once more would be kept twice
        where its clock seemed to be off in between.
        """
        self.freezes_until_s = self.frozen_s if self.frozen_s <= now_s else 0
        self.multiplier_due_s = self.heard_at_s = 0

    def hold(self, stamps_s: Sequence[int], now_s: int) -> None:
        """Note stamps as held: not asked for again; those from ahead of our clock until its own is right."""
        self.held.add(stamps_s)
        ahead = {stamp for stamp in stamps_s if stamp > now_s + AHEAD_MAX_S}
        self.ahead_s |= ahead
        self.ahead_at_s = now_s if ahead else self.ahead_at_s

    def trust_clock(self) -> None:
        """Let go of what it stamped ahead of when that was last seen, now that its clock is right: true reads
        of then will come. Of the time before it has only those that it stamped wrong.
        """
        self.held.drop(stamp for stamp in self.ahead_s if stamp > self.ahead_at_s)
        self.ahead_s.clear()

    def note_answered(self, asked_s: Sequence[int], present_s: Sequence[int], now_s: int) -> list[int]:
        """Note what an answered request brought; return the stamps now given up."""
        self.hold(present_s, now_s)
        absent = {stamp for stamp in asked_s if not self.held.is_held(stamp)}
        self.asked_s -= set(asked_s) - absent
        newest_s = self.newest_s(now_s)
        if newest_s in absent and self.unripe_s != newest_s:
            self.unripe_s = newest_s
        elif self.unripe_s in absent:
            self.unripe_s = None  # it had its time: from now on it is a gap
        absent.discard(newest_s)  # a device that stamps beside the grid may have it later in the interval
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
