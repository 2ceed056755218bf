"""The truth beside a run: how far the meters' own registers moved, in exact primary energy, and what flowed.

    P(t) = sum over installed pieces of (count(t) - count(piece start)) x step x ratio in force

An interval is floor(P(end)) - floor(P(start)) in whole milliwatt-hours, by the meter's own profile stamps.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wattkeeper.simulators.files import write_atomically
from wattkeeper.simulators.load import PARTS_PER_MILLIWH
from wattkeeper.simulators.plant import Meter, Plant, step_milliwh

Int64s = NDArray[np.int64]
Json = dict[str, object]
_NEVER_S = 1 << 40


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A time in which one meter measured with one ratio; `step_milliwh` is primary."""

    meter: Meter
    from_s: int
    to_s: int
    step_milliwh: Fraction
    ratio: Fraction


def build_truth(plant: Plant, from_s: int, to_s: int) -> Json:
    """Return the truth of every usage point over [from_s, to_s), which must be multiples of the interval."""
    points = [_point_truth(meters, from_s, to_s) for meters in plant.by_point.values()]
    total = sum(Fraction(str(point["register_advance_milliwh"])) for point in points)
    return {"from_s": from_s, "to_s": to_s, "register_advance_milliwh": str(total), "usage_points": points}


def write_truth(plant: Plant, from_s: int, to_s: int, path: Path) -> None:
    """Write the truth as JSON."""
    write_atomically(path, json.dumps(build_truth(plant, from_s, to_s), ensure_ascii=False))


def _pieces(meters: list[Meter]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for meter in meters:
        registers = meter.registers
        removed_s = _NEVER_S if registers.removed_s is None else registers.removed_s
        bounds = [*(from_s for from_s, _ in registers.ratios), removed_s]
        for index, (from_s, ratio) in enumerate(registers.ratios):
            start_s, end_s = max(from_s, registers.installed_s), min(bounds[index + 1], removed_s)
            if start_s < end_s:
                step = step_milliwh(meter.entry) * ratio
                pieces.append(_Piece(meter, start_s, end_s, step, ratio))
    return pieces


def _positions(pieces: list[_Piece], at_s: Int64s) -> tuple[Int64s, int]:
    """Return P at each true instant, exactly: numerators and their one denominator."""
    denominator = lcm(*(piece.step_milliwh.denominator for piece in pieces))
    total = np.zeros(at_s.shape, dtype=np.int64)
    for piece in pieces:
        start = piece.meter.registers.counts(np.array([piece.from_s], dtype=np.int64))
        advance = piece.meter.registers.counts(np.clip(at_s, piece.from_s, piece.to_s)) - start
        total += advance * int(piece.step_milliwh * denominator)
    return total, denominator


def _point_truth(meters: list[Meter], from_s: int, to_s: int) -> Json:
    entry, registers = meters[0].entry, meters[0].registers
    pieces = _pieces(meters)
    stamps = np.arange(from_s, to_s + 1, entry.interval_s, dtype=np.int64)
    positions, denominator = _positions(pieces, registers.true_s(stamps))
    intervals = np.diff(positions // denominator)
    is_readable = [any(_has_record(meter, int(stamp)) for meter in meters) for stamp in stamps]
    ends_s = _last_stamp(meters[0], to_s)
    span = registers.true_s(np.array([from_s, ends_s], dtype=np.int64))
    advance = Fraction(int(np.diff(_positions(pieces, span)[0])[0]), denominator)
    flowed = registers.supply.positions(np.maximum(span, meters[0].registers.installed_s))
    lived = [piece for piece in pieces if piece.from_s < int(span[1]) and piece.to_s > int(span[0])]
    return {
        "usage_point": entry.usage_point,
        "serials": [meter.entry.meter_serial for meter in meters],
        "interval_s": entry.interval_s,
        "ends_at_s": ends_s,
        "clock_offset_s": registers.clock_offset_s,
        "register_advance_milliwh": str(advance),
        "register_advance_wh": _decimal_wh(advance),
        "physical_milliwh": str(Fraction(int(flowed[1] - flowed[0]), PARTS_PER_MILLIWH)),
        "register_step_milliwh": str(max(piece.step_milliwh for piece in pieces)),
        "installations": [_describe(piece) for piece in lived],
        "intervals_milliwh": intervals.tolist(),
        "held": [a and b for a, b in pairwise(is_readable)],
        "cut": _cut_intervals(lived, stamps, entry.interval_s),
    }


def _has_record(meter: Meter, stamp_s: int) -> bool:
    registers, dead_s = meter.registers, meter.entry.hidden.dead_from_s
    at_s = stamp_s - registers.clock_offset_s
    is_taken = registers.installed_s <= at_s and (registers.removed_s is None or at_s <= registers.removed_s)
    is_lost = any(start <= stamp_s < end for start, end in registers.holes)
    return is_taken and not is_lost and (dead_s is None or at_s < dead_s)


def _last_stamp(meter: Meter, to_s: int) -> int:
    """Return the last stamp of the span that the meter could ever tell: before its death, if it dies."""
    dead_s = meter.entry.hidden.dead_from_s
    if dead_s is None:
        return to_s
    newest_s = meter.registers.clock_s(dead_s - 1)
    return min(to_s, newest_s // meter.entry.interval_s * meter.entry.interval_s)


def _cut_intervals(pieces: list[_Piece], stamps: Int64s, interval_s: int) -> list[int]:
    """Return the starts of intervals inside which a meter or ratio was changed."""
    changes = [piece.from_s + piece.meter.registers.clock_offset_s for piece in pieces[1:]]
    starts = [at_s // interval_s * interval_s for at_s in changes if at_s % interval_s]
    return [start for start in starts if int(stamps[0]) <= start < int(stamps[-1])]


def _describe(piece: _Piece) -> Json:
    return {
        "serial": piece.meter.entry.meter_serial,
        "from_s": piece.from_s,
        "to_s": None if piece.to_s == _NEVER_S else piece.to_s,
        "ratio": [piece.ratio.numerator, piece.ratio.denominator],
        "step_milliwh": str(piece.step_milliwh),
    }


def _decimal_wh(energy_milliwh: Fraction) -> str:
    """Return exact watt-hours as a decimal, or as a fraction where no decimal is exact."""
    if energy_milliwh.denominator != 1:
        return str(energy_milliwh / 1000)
    whole, rest = divmod(energy_milliwh.numerator, 1000)
    return f"{whole}.{rest:03d}"
