"""One hand-over in the making: frames as they came, reads as exact counts of their channel's step."""

import itertools
import secrets
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.quality import UNTRUSTED
from wattkeeper.drivers.api import AnswerDamaged, DeviceRead
from wattkeeper.headend.ports import DevicePlan
from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.ranges import INSTANT_MAX_S

AHEAD_MAX_S = 600  # a clock is corrected before it is this far ahead
EARLY_MAX_S = 86_400  # an installation may be recorded a day late
_RANDOM_BITS = 30
_SECONDS_MASK = (1 << 33) - 1
_serial = itertools.count(secrets.randbits(_RANDOM_BITS))


def new_batch_id(now_s: int) -> int:
    """Return an id of 63 bits: the second, then a number that starts at random and rises by one."""
    return ((now_s & _SECONDS_MASK) << _RANDOM_BITS) | (next(_serial) % (1 << _RANDOM_BITS))


def to_count(value: Decimal, step: Fraction, reading_type: str) -> int:
    """
    Return how many steps `value` is.

    :raises AnswerDamaged: if that is not a whole number, or too large to be one
    """
    numerator, denominator = value.as_integer_ratio() if value.is_finite() else (1, 0)
    if denominator == 0:
        raise AnswerDamaged("headend.not-a-number", reading_type=reading_type)
    count, remainder = divmod(numerator * step.denominator, denominator * step.numerator)
    if remainder or not -(2**63) <= count < 2**63:
        raise AnswerDamaged(
            "headend.not-on-step", reading_type=reading_type, value=str(value), step=str(step)
        )
    return count


class BatchBuilder:
    """Frames and reads of one device session; only frames that reads point at are handed over."""

    def __init__(self, *, link_id: int, device: DevicePlan, now_s: int) -> None:
        self.reads_unplanned_count = 0
        self.reads_unstorable_count = 0
        self.stamp_error_code: str | None = None
        self._link_id = link_id
        self._device = device
        self._now_s = now_s
        self._channels = {channel.reading_type: channel for channel in device.channels}
        self._frames: list[bytes] = []
        self._rows: list[tuple[int, int, int, int, int, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def keep_frame(self, content: bytes) -> int:
        """Keep a frame and return its index."""
        self._frames.append(content)
        return len(self._frames) - 1

    def add(self, reads: Sequence[DeviceRead], *, now_s: int, flags: int = 0) -> None:
        """
        Add reads; those without a time stamp are stamped `now_s`, all get `flags` besides their own.

        A stamp is kept as the device says it. One that no store can hold leaves its read out, one that lies
        ahead of the head-end's clock makes its read suspect, one from before the device was installed changes
        nothing: `stamp_error_code` tells of each.

        :raises AnswerDamaged: if a value is not a whole number of steps; then none of them is added
        """
        rows = []
        for read in reads:
            channel = self._channels.get(read.reading_type)
            if channel is None:
                self.reads_unplanned_count += 1
                continue
            measured_at_s = now_s if read.measured_at_s is None else read.measured_at_s
            if not 0 <= measured_at_s <= INSTANT_MAX_S:
                self.reads_unstorable_count += 1
                self.stamp_error_code = "headend.stamp-impossible"
                continue
            count = to_count(read.value, channel.step, read.reading_type)
            key = (
                channel.channel_id,
                measured_at_s,
                count,
                read.flags | flags | self._doubts(measured_at_s, now_s),
                int(read.source),
            )
            rows.append((*key, read.frame_index))
        self._rows += rows

    def _doubts(self, measured_at_s: int, now_s: int) -> int:
        if measured_at_s <= now_s + AHEAD_MAX_S:
            if measured_at_s < self._device.reads_from_s - EARLY_MAX_S:
                self.stamp_error_code = self.stamp_error_code or "headend.stamp-too-early"
            return 0
        self.stamp_error_code = self.stamp_error_code or "headend.stamp-ahead"
        return int(UNTRUSTED)

    def build(self) -> RawBatch | None:
        """Return the batch, or None when there is no read."""
        if not self._rows:
            return None
        table = np.array(self._rows, dtype=np.int64)
        used, frame_index = np.unique(table[:, 5], return_inverse=True)
        channel_id, measured_at_s, value, flags, source = (
            np.ascontiguousarray(table[:, index]) for index in range(5)
        )
        return RawBatch(
            tenant_id=self._device.tenant_id,
            batch_id=new_batch_id(self._now_s),
            received_at_s=self._now_s,
            channel_id=channel_id,
            measured_at_s=measured_at_s,
            value=value,
            flags=flags,
            source=source,
            frame_index=frame_index.astype(np.int64).reshape(-1),
            frames=tuple(self._frame(int(index)) for index in used),
        )

    def _frame(self, index: int) -> RawFrame:
        return RawFrame(self._link_id, self._device.device_id, self._now_s, self._frames[index])
