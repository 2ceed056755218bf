"""Rules over what a device said at one instant: rates against their total, phase against phase."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.table import Mask

VOLTAGE_NOMINAL_V = 230
VOLTAGE_MISSING_PCT = 50
CURRENT_PRESENT_PCT = 5
IMBALANCE_PCT = 60
IMBALANCE_FLOOR_PCT = 20
REVERSE_POWER_PCT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Instants:
    """When devices were read: one row an instant, shape (rows,), in order of device and time.

    `channel_id`: one of the device's, the same in all of its rows; findings name it.
    """

    channel_id: Int64s
    measured_at_s: Int64s

    def runs(self, mask: Mask, day_bounds_s: Int64s) -> list[tuple[int, int]]:
        """Return (first, end) of each run of rows in `mask`, cut where the device or the local day changes.

        What a day holds decides alone, so it does not matter which days are looked at together.
        """
        if not mask.any():
            return []
        day = np.searchsorted(day_bounds_s, self.measured_at_s, side="right")
        is_cut = (np.diff(self.channel_id) != 0) | (np.diff(day) != 0)
        firsts = mask & np.append(True, is_cut | ~mask[:-1])
        lasts = mask & np.append(is_cut | ~mask[1:], True)
        return list(zip(np.flatnonzero(firsts).tolist(), (np.flatnonzero(lasts) + 1).tolist(), strict=True))

    def finding(self, rule: str, first: int, end: int, **evidence: int) -> Finding:
        """Return a finding over the rows ``[first, end)``, all of one device."""
        return Finding(
            rule,
            starts_at_s=int(self.measured_at_s[first]),
            ends_at_s=int(self.measured_at_s[end - 1]) + 1,
            evidence={"read_count": end - first, **{name: int(number) for name, number in evidence.items()}},
            channel_id=int(self.channel_id[first]),
        )


def find_tou_mismatches(
    instants: Instants,
    *,
    day_bounds_s: Int64s,
    total_milliwh: Int64s,
    rates_milliwh: Int64s,
    resolution_milliwh: Int64s,
    modulus_milliwh: Int64s,
) -> list[Finding]:
    """V21 ``vee.tou-sum``: the total register and the sum of its rate registers differ.

    Tolerated are (rates + 1) times `resolution_milliwh` (rows,), the coarsest step of the registers, since
    each drops its own remainder (IEC 61968-9 index 6.9). `total_milliwh` (rows,), `rates_milliwh` (rows,
    rates). `modulus_milliwh` (rows,): where registers start again, each at a time of its own; 0: nowhere.
    One finding for each run of such reads in a local day, with the figures of its first.
    """
    tolerance = resolution_milliwh * (rates_milliwh.shape[1] + 1)
    difference = total_milliwh - rates_milliwh.sum(axis=1)
    half = modulus_milliwh // 2
    around = np.mod(difference + half, np.maximum(modulus_milliwh, 1)) - half
    difference = np.where(modulus_milliwh > 0, around, difference)
    return [
        instants.finding(
            "vee.tou-sum",
            first,
            end,
            total_milliwh=total_milliwh[first],
            difference_milliwh=difference[first],
            tolerance_milliwh=tolerance[first],
        )
        for first, end in instants.runs(np.abs(difference) > tolerance, day_bounds_s)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class PhaseReads:
    """Electrical values by row of some instants, (rows,), and by phase, (rows, phases), as meters say them.

    `is_known` (rows, phases): where voltage and current were read. Power positive from the grid.
    """

    instants: Instants
    voltage_mv: Int64s
    current_ma: Int64s
    power_w: Int64s
    is_known: Mask


def find_phase_faults(
    reads: PhaseReads,
    *,
    day_bounds_s: Int64s,
    power_max_w: Int64s,
    voltage_nominal_v: int = VOLTAGE_NOMINAL_V,
    voltage_missing_pct: int = VOLTAGE_MISSING_PCT,
    current_present_pct: int = CURRENT_PRESENT_PCT,
    imbalance_pct: int = IMBALANCE_PCT,
    imbalance_floor_pct: int = IMBALANCE_FLOOR_PCT,
    reverse_power_pct: int = REVERSE_POWER_PCT,
) -> list[Finding]:
    """V25 ``vee.voltage-missing``, ``vee.current-imbalance``, ``vee.reverse-power``: signs of tampering.

    `power_max_w` (rows,): the largest power that the meter itself sees, secondary where it stands behind
    transformers; with `voltage_nominal_v` (default 230) it gives the largest current of a phase. Found are: a
    phase below `voltage_missing_pct` of nominal (default 50) that carries more than `current_present_pct` of
    the largest current (default 5); currents that differ from their mean by more than `imbalance_pct` of it
    (default 60) where that mean exceeds `imbalance_floor_pct` of the largest current (default 20); power
    below minus `reverse_power_pct` (default 1) of the largest. Thresholds are the operator's to set. One
    finding for each run of such reads in a local day.
    """
    known = reads.is_known
    phase_count = max(1, known.shape[1])
    current_max_ma = power_max_w * 1000 // max(1, voltage_nominal_v * phase_count)
    has_current = reads.current_ma * 100 > (current_max_ma * current_present_pct)[:, np.newaxis]
    is_lost: Mask = known & has_current & (reads.voltage_mv < voltage_nominal_v * 10 * voltage_missing_pct)
    total = np.where(known, reads.current_ma, 0).sum(axis=1)
    apart = np.abs(reads.current_ma * phase_count - total[:, np.newaxis]).max(axis=1, initial=0)
    is_apart = known.all(axis=1) & (phase_count > 1) & (apart * 100 > total * imbalance_pct)
    is_apart &= total * 100 > current_max_ma * phase_count * imbalance_floor_pct
    is_reverse = reads.power_w * 100 < -power_max_w * reverse_power_pct
    masks = (
        ("vee.voltage-missing", np.logical_or.reduce(is_lost, axis=1)),
        ("vee.current-imbalance", is_apart),
        ("vee.reverse-power", is_reverse),
    )
    return [
        _phase_finding(reads, rule, first, end, is_lost)
        for rule, mask in masks
        for first, end in reads.instants.runs(mask, day_bounds_s)
    ]


def _phase_finding(reads: PhaseReads, rule: str, first: int, end: int, is_lost: Mask) -> Finding:
    evidence: dict[str, int] = {"power_min_w": reads.power_w[first:end].min()}
    for phase in np.flatnonzero(reads.is_known[first]).tolist():
        if rule == "vee.voltage-missing" and not is_lost[first:end, phase].any():
            continue
        evidence[f"voltage_l{phase + 1}_mv"] = reads.voltage_mv[first, phase]
        evidence[f"current_l{phase + 1}_ma"] = reads.current_ma[first, phase]
    return reads.instants.finding(rule, first, end, **evidence)
