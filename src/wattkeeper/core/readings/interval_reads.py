"""Reads that already are interval energy (profiles of differences, NEM12, CSV) as intervals of a series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.kernel.remainders import carry_remainders
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.intervals import (
    INTERVAL_FLAGS,
    UNKNOWN_CHAIN,
    Gap,
    Intervals,
    InvalidWindow,
    find_installed,
)
from wattkeeper.core.readings.knots import INT64_SAFE, rest_of_counts
from wattkeeper.core.readings.profile_grid import ProfileGrid
from wattkeeper.core.readings.rollups import find_day_firsts
from wattkeeper.core.readings.settle import take
from wattkeeper.core.readings.told import read_told

_KEPT_FLAGS = int(INTERVAL_FLAGS | Flag.ROLLOVER | Flag.ACCEPTED)


def collect_intervals(
    *,
    installations: Sequence[InstallationFact],
    reads: Mapping[int, ReadColumns],
    from_s: int,
    to_s: int,
    interval_s: int,
    power_max_w: int,
    zone: ZoneInfo,
) -> Intervals:
    """Return the intervals of a series over ``[from_s, to_s)`` from reads that hold interval energy.

    A read is named by the start of its interval and counts the channel's step; the multiplier in force then
    applies. What is less than a milliwatt-hour is carried to the next interval of the same local day of
    `zone` that is held, so that a day is the floor of its exact sum; a window has to begin with a local day.
    An interval in which a meter was exchanged is the sum of what both meters hold of it (method EXCHANGE),
    MISSING and a ``readings.exchange-read-missing`` finding where one of them holds nothing. A multiplier
    change inside an interval is shared out by time: ESTIMATED, EXCHANGE and
    ``readings.multiplier-read-missing``. A negative value, or more than the service withstands, is a
    ``readings.out-of-range`` finding and not used, nor are untrusted reads. What a file calls estimated,
    edited or foreseen has that provenance (told.py). No register brackets a gap here, so its energy is
    unknown; a position is the sum since the window began, known beside measured intervals.

    :raises InvalidWindow: if the window is not a whole number of intervals
    """
    if interval_s <= 0 or to_s <= from_s or (to_s - from_s) % interval_s:
        raise InvalidWindow("readings.window", from_s=from_s, to_s=to_s, interval_s=interval_s)
    boundaries = np.arange(from_s, to_s + 1, interval_s, dtype=np.int64)
    sheet = _Sheet.over(ProfileGrid.over(from_s, to_s, interval_s, power_max_w))
    for installation in installations:
        own, found = sheet.grid.select(installation, reads.get(installation.channel_id))
        sheet.findings += found
        sheet.add(installation, own)
    sheet.find_halves(installations)
    return _assemble(sheet, find_installed(installations, boundaries), zone)


@dataclass(slots=True, eq=False)
class _Sheet:
    """What was added up so far, one element for each interval; `holders` names the channels that hold it.

    `rests`: places, numerators and denominators of what is beside the whole milliwatt-hours of `value`.
    """

    grid: ProfileGrid
    value: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s
    part_count: Int64s
    is_shared_out: NDArray[np.bool_]
    holders: dict[int, NDArray[np.bool_]]
    rests: list[tuple[NDArray[np.int64], NDArray[Any], int]]
    findings: list[Finding]

    @classmethod
    def over(cls, grid: ProfileGrid) -> "_Sheet":
        count = len(grid.starts_at_s)
        value, provenance, flags, method, part_count = np.zeros((5, count), dtype=np.int64)
        nothing = np.zeros(count, dtype=np.bool_)
        return cls(grid, value, provenance, flags, method, part_count, nothing, {}, [], [])

    def add(self, installation: InstallationFact, own: ReadColumns) -> None:
        """Add the reads of one installation; a channel counts once in an interval."""
        places = (own.measured_at_s - self.grid.starts_at_s[0]) // self.grid.interval_s
        holder = self.holders.setdefault(installation.channel_id, np.zeros(len(self.value), dtype=np.bool_))
        is_new = ~holder[places]
        own, places = take(own, is_new), places[is_new]
        rated = self.grid.rate(installation, own)
        is_possible = rated.is_possible
        for number, rate in enumerate(rated.rates):
            if rate.denominator > 1:
                mine = is_possible & (rated.rate_of == number)
                rest = rest_of_counts(own.value[mine], rate)
                self.rests.append((places[mine], rest, rate.denominator))
        self._report(installation, own, ~is_possible, rated.is_cut)
        own, places = take(own, is_possible), places[is_possible]
        self.value[places] += rated.energy_milliwh[is_possible]
        provenance, flags, method = read_told(own.flags)
        self.provenance[places] = np.maximum(self.provenance[places], provenance)
        self.flags[places] |= np.where(provenance == Provenance.MEASURED, flags & _KEPT_FLAGS, flags)
        self.method[places] = np.maximum(self.method[places], method)
        self.part_count[places] += 1
        self.is_shared_out[places] |= rated.is_cut[is_possible]
        holder[places] = True

    def _report(
        self,
        installation: InstallationFact,
        own: ReadColumns,
        is_impossible: NDArray[np.bool_],
        is_cut: NDArray[np.bool_],
    ) -> None:
        for rule, is_found in (
            ("readings.out-of-range", is_impossible),
            ("readings.multiplier-read-missing", is_cut & ~is_impossible),
        ):
            for i in np.flatnonzero(is_found).tolist():
                at_s = int(own.measured_at_s[i])
                evidence = {"value": int(own.value[i])}
                ends_at_s = at_s + self.grid.interval_s
                self.findings.append(
                    Finding(rule, at_s, ends_at_s, evidence, channel_id=installation.channel_id)
                )

    def find_halves(self, installations: Sequence[InstallationFact]) -> None:
        """Take out intervals of which an exchanged meter holds only its part, and say so."""
        for old, new in pairwise(installations):
            both = np.flatnonzero(self.grid.touched_by(old) & self.grid.touched_by(new))
            if old.channel_id == new.channel_id or not len(both):
                continue
            place = int(both[0])
            is_held = [bool(self.holders[each.channel_id][place]) for each in (old, new)]
            if any(is_held) and not all(is_held):
                self.part_count[place] = 0
                at_s = int(self.grid.starts_at_s[place])
                evidence: dict[str, int | str] = {
                    "new_channel_id": new.channel_id,
                    "is_removal_read": int(is_held[0]),
                    "is_installation_read": int(is_held[1]),
                    "is_estimated": 0,
                }
                rule, end_s = "readings.exchange-read-missing", at_s + self.grid.interval_s
                self.findings.append(Finding(rule, at_s, end_s, evidence, channel_id=old.channel_id))


def _carried(sheet: _Sheet, is_present: NDArray[np.bool_], zone: ZoneInfo) -> Int64s:
    """Return the energy of each interval with what it takes on of the rests of its local day."""
    if not sheet.rests:
        return sheet.value
    denominator = lcm(*(own for _, _, own in sheet.rests))
    rest_count = sum(len(places) for places, _, _ in sheet.rests)
    fits = denominator * (rest_count + 1) < INT64_SAFE
    numerator = np.zeros(len(is_present), dtype=np.int64 if fits else object)
    for places, rest, own in sheet.rests:
        np.add.at(numerator, places, rest.astype(numerator.dtype) * (denominator // own))
    numerator[~is_present] = 0
    return sheet.value + carry_remainders(
        numerator, denominator, find_day_firsts(sheet.grid.starts_at_s, zone)
    )


def _assemble(sheet: _Sheet, is_installed: NDArray[np.bool_], zone: ZoneInfo) -> Intervals:
    is_present = sheet.part_count > 0
    value: Int64s = np.where(is_present, _carried(sheet, is_present, zone), 0)
    is_missing = np.concatenate(([False], is_installed & ~is_present, [False]))
    edges = np.flatnonzero(is_missing[1:] != is_missing[:-1]).tolist()
    gaps = zip(edges[::2], edges[1::2], strict=True)
    is_beside = np.concatenate((is_present, [False])) | np.concatenate(([False], is_present))
    is_joined = is_present & ((sheet.part_count > 1) | sheet.is_shared_out)
    shared_out = np.where(sheet.is_shared_out, Provenance.ESTIMATED, Provenance.MISSING)
    return Intervals(
        interval_s=sheet.grid.interval_s,
        starts_at_s=sheet.grid.starts_at_s,
        value_milliwh=value,
        provenance=np.where(is_present, np.maximum(sheet.provenance, shared_out), Provenance.MISSING),
        flags=np.where(is_present, sheet.flags, Flag.NONE),
        method=np.where(is_joined, Method.EXCHANGE, np.where(is_present, sheet.method, Method.NONE)),
        is_installed=is_installed,
        position_milliwh=np.concatenate(([0], np.cumsum(value))),
        position_chain=np.where(is_beside, 0, UNKNOWN_CHAIN),
        gaps=tuple(Gap(first, end, None, is_exact=False) for first, end in gaps),
        findings=tuple(sheet.findings),
    )
