"""Reads that already are interval energy (profiles of differences, NEM12, CSV) as intervals of a series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
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
    Gap,
    Intervals,
    InvalidWindow,
    find_installed,
)
from wattkeeper.core.readings.knots import INT64_SAFE, rest_of_counts, scale_counts
from wattkeeper.core.readings.rollups import find_day_firsts
from wattkeeper.core.readings.settle import is_untrusted, settle_reads, take
from wattkeeper.core.readings.told import read_told
from wattkeeper.core.readings.usual_power import WITHSTOOD_TIMES

_KEPT_FLAGS = int(INTERVAL_FLAGS | Flag.ROLLOVER)


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
    sheet = _Sheet.over(boundaries, interval_s)
    limit_milliwh = WITHSTOOD_TIMES * power_max_w * 1000 * interval_s // 3600
    for installation in installations:
        own, found = _select(installation, reads.get(installation.channel_id), sheet)
        sheet.findings += found
        sheet.add(installation, own, limit_milliwh)
    sheet.find_halves(installations)
    return _assemble(sheet, find_installed(installations, boundaries), zone)


@dataclass(slots=True, eq=False)
class _Sheet:
    """What was added up so far, one element for each interval; `holders` names the channels that hold it.

    `rests`: places, numerators and denominators of what is beside the whole milliwatt-hours of `value`.
    """

    starts_at_s: Int64s
    interval_s: int
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
    def over(cls, boundaries: Int64s, interval_s: int) -> "_Sheet":
        count = len(boundaries) - 1
        value, provenance, flags, method, part_count = np.zeros((5, count), dtype=np.int64)
        nothing = np.zeros(count, dtype=np.bool_)
        columns = (value, provenance, flags, method, part_count, nothing)
        return cls(boundaries[:-1], interval_s, *columns, {}, [], [])

    def touched_by(self, installation: InstallationFact) -> NDArray[np.bool_]:
        """Which intervals overlap an installation."""
        is_touched = self.starts_at_s + self.interval_s > installation.starts_at_s
        if installation.ends_at_s is not None:
            is_touched &= self.starts_at_s < installation.ends_at_s
        return is_touched

    def add(self, installation: InstallationFact, own: ReadColumns, limit_milliwh: int) -> None:
        """Add the reads of one installation; a channel counts once in an interval."""
        places = (own.measured_at_s - self.starts_at_s[0]) // self.interval_s
        holder = self.holders.setdefault(installation.channel_id, np.zeros(len(self.value), dtype=np.bool_))
        is_new = ~holder[places]
        own, places = take(own, is_new), places[is_new]
        rate_of, rates, is_cut = _find_rates(installation, own, self.interval_s)
        energy = np.zeros(len(own), dtype=np.int64)
        for number, rate in enumerate(rates):
            energy[rate_of == number] = scale_counts(own.value[rate_of == number], rate)
        is_possible = (energy >= 0) & (energy <= limit_milliwh)
        for number, rate in enumerate(rates):
            if rate.denominator > 1:
                mine = is_possible & (rate_of == number)
                rest = rest_of_counts(own.value[mine], rate)
                self.rests.append((places[mine], rest, rate.denominator))
        self._report(installation, own, ~is_possible, is_cut)
        own, places = take(own, is_possible), places[is_possible]
        self.value[places] += energy[is_possible]
        provenance, flags, method = read_told(own.flags)
        self.provenance[places] = np.maximum(self.provenance[places], provenance)
        self.flags[places] |= np.where(provenance == Provenance.MEASURED, flags & _KEPT_FLAGS, flags)
        self.method[places] = np.maximum(self.method[places], method)
        self.part_count[places] += 1
        self.is_shared_out[places] |= is_cut[is_possible]
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
                ends_at_s = at_s + self.interval_s
                self.findings.append(
                    Finding(rule, at_s, ends_at_s, evidence, channel_id=installation.channel_id)
                )

    def find_halves(self, installations: Sequence[InstallationFact]) -> None:
        """Take out intervals of which an exchanged meter holds only its part, and say so."""
        for old, new in pairwise(installations):
            both = np.flatnonzero(self.touched_by(old) & self.touched_by(new))
            if old.channel_id == new.channel_id or not len(both):
                continue
            place = int(both[0])
            is_held = [bool(self.holders[each.channel_id][place]) for each in (old, new)]
            if any(is_held) and not all(is_held):
                self.part_count[place] = 0
                at_s = int(self.starts_at_s[place])
                evidence: dict[str, int | str] = {
                    "new_channel_id": new.channel_id,
                    "is_removal_read": int(is_held[0]),
                    "is_installation_read": int(is_held[1]),
                    "is_estimated": 0,
                }
                rule, end_s = "readings.exchange-read-missing", at_s + self.interval_s
                self.findings.append(Finding(rule, at_s, end_s, evidence, channel_id=old.channel_id))


def _select(
    installation: InstallationFact, reads: ReadColumns | None, sheet: _Sheet
) -> tuple[ReadColumns, list[Finding]]:
    """Return one trusted read for each interval of the grid that overlaps the installation."""
    if reads is None:
        return ReadColumns.of([]), []
    is_own = np.isin(reads.measured_at_s, sheet.starts_at_s[sheet.touched_by(installation)])
    is_own &= ~is_untrusted(read_told(reads.flags).flags)
    return settle_reads(installation.channel_id, take(reads, is_own), interval_s=sheet.interval_s)


def _find_rates(
    installation: InstallationFact, reads: ReadColumns, interval_s: int
) -> tuple[NDArray[np.intp], list[Fraction], NDArray[np.bool_]]:
    """Return which rate holds for each read, the rates, and which intervals a multiplier change cuts.

    A rate is the primary energy of a count, in milliwatt-hours; an interval that is cut has one of its own.
    """
    changes = np.array([period.starts_at_s for period in installation.multipliers[1:]], dtype=np.int64)
    rate_of = np.searchsorted(changes, reads.measured_at_s, side="right")
    is_cut = rate_of != np.searchsorted(changes, reads.measured_at_s + interval_s, side="left")
    ratios = [period.ratio for period in installation.multipliers]
    for i in np.flatnonzero(is_cut).tolist():
        rate_of[i] = len(ratios)
        ratios.append(_mean_ratio(installation, int(reads.measured_at_s[i]), interval_s))
    return rate_of, [installation.step_milliwh * ratio for ratio in ratios], is_cut


def _mean_ratio(installation: InstallationFact, starts_at_s: int, interval_s: int) -> Fraction:
    """Return the mean multiplier of the part of an interval in which the channel was installed."""
    ends_at_s = starts_at_s + interval_s
    starts_at_s = max(starts_at_s, installation.starts_at_s)
    if installation.ends_at_s is not None:
        ends_at_s = min(ends_at_s, installation.ends_at_s)
    total = Fraction(0)
    for period in installation.multipliers:
        until_s = ends_at_s if period.ends_at_s is None else min(ends_at_s, period.ends_at_s)
        total += period.ratio * max(0, until_s - max(starts_at_s, period.starts_at_s))
    return total / (ends_at_s - starts_at_s)


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
    return sheet.value + carry_remainders(numerator, denominator, find_day_firsts(sheet.starts_at_s, zone))


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
        interval_s=sheet.interval_s,
        starts_at_s=sheet.starts_at_s,
        value_milliwh=value,
        provenance=np.where(is_present, np.maximum(sheet.provenance, shared_out), Provenance.MISSING),
        flags=np.where(is_present, sheet.flags, Flag.NONE),
        method=np.where(is_joined, Method.EXCHANGE, np.where(is_present, sheet.method, Method.NONE)),
        is_installed=is_installed,
        position_milliwh=np.concatenate(([0], np.cumsum(value))),
        position_chain=np.where(is_beside, 0, -1),
        gaps=tuple(Gap(first, end, None, is_exact=False) for first, end in gaps),
        findings=tuple(sheet.findings),
    )
