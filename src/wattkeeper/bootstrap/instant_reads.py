"""What meters said at one instant, side by side: raw reads of several channels as one row an instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reading_types import READING_TYPES
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.table import Mask
from wattkeeper.data.registry.instant_meters import TELLING, TOTAL, InstantMeter
from wattkeeper.store.api import ReadingStore

KINDS = (TOTAL, *TELLING)
SMALLEST = {"V": 1000, "A": 1000, "W": 1, "kWh": 1_000_000}  # mV, mA, W, mWh
DOUBTED = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
OPEN_S = 2**40
_INSTANT_BITS = 33


@dataclass(frozen=True, slots=True, eq=False)
class InstantRows:
    """One row an instant of a meter, (rows,), in order of meter and time, by kind of value (rows, kinds).

    `meter`: its place among those that were read. Values in millivolts, milliamperes, watts, milliwatt-hours;
    0 where `is_known` says that there is none.
    """

    meter: Int64s
    measured_at_s: Int64s
    value: Int64s
    is_known: Mask

    def take(self, rows: Mask) -> "InstantRows":
        """Return the rows of a mask."""
        return InstantRows(self.meter[rows], self.measured_at_s[rows], self.value[rows], self.is_known[rows])


@dataclass(frozen=True, slots=True, eq=False)
class InstantReads:
    """Reads one by one, shape (reads,): whose (a place among meters), of which of `KINDS`, when, how much."""

    meter: Int64s
    kind: Int64s
    measured_at_s: Int64s
    value: Int64s

    def rows(self, meters: Int64s, kinds: Sequence[str], from_s: int, to_s: int) -> InstantRows:
        """Return what some meters said of some kinds in ``[from_s, to_s)``."""
        column = np.full(len(KINDS), -1, dtype=np.int64)
        column[[KINDS.index(kind) for kind in kinds]] = np.arange(len(kinds))
        is_own = (self.measured_at_s >= from_s) & (self.measured_at_s < to_s)
        is_own &= (column[self.kind] >= 0) & np.isin(self.meter, meters)
        key = (self.meter[is_own] << _INSTANT_BITS) | self.measured_at_s[is_own]
        keys, row = np.unique(key, return_inverse=True)
        at = row.reshape(-1), column[self.kind[is_own]]
        value = np.zeros((len(keys), len(kinds)), dtype=np.int64)
        is_known = np.zeros(value.shape, dtype=np.bool_)
        value[at], is_known[at] = self.value[is_own], True
        return InstantRows(keys >> _INSTANT_BITS, keys & ((1 << _INSTANT_BITS) - 1), value, is_known)


def read_instants(
    store: ReadingStore, tenant_id: int, meters: Sequence[InstantMeter], from_s: int, to_s: int
) -> InstantReads:
    """Return what meters said while they were installed, without what they doubt themselves."""
    rows = [
        (channel.channel_id, place, KINDS.index(kind), *in_smallest(channel.step, kind).as_integer_ratio())
        for place, meter in enumerate(meters)
        for kind, channel in meter.channels.items()
    ]
    channel_id, place, kind, numerator, denominator = np.array(sorted(rows), dtype=np.int64).T
    installed_s = np.array(
        [
            (to_seconds(meter.starts_at), OPEN_S if meter.ends_at is None else to_seconds(meter.ends_at))
            for meter in meters
        ],
        dtype=np.int64,
    )
    found = store.raw_reads(tenant_id, channel_id.tolist(), from_s, to_s)
    at = np.searchsorted(channel_id, found.channel_id)
    is_own = (found.flags & DOUBTED) == 0
    is_own &= found.measured_at_s >= installed_s[place[at], 0]
    is_own &= found.measured_at_s < installed_s[place[at], 1]
    at = at[is_own]
    value = found.value[is_own] * numerator[at] // denominator[at]
    return InstantReads(place[at], kind[at], found.measured_at_s[is_own], value)


def in_smallest(step: Fraction, kind: str) -> Fraction:
    """Return the step of a channel in the smallest unit of what it holds."""
    return step * SMALLEST[READING_TYPES[kind].unit]
