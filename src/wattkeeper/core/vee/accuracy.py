"""Is the meter right? A main meter against a check meter, or against the sum of its sub-meters.

Both are registers of finite steps and classes of finite accuracy, so the answer is a verdict with the number
of steps that it rests on and how sure it is, not only a percentage. Limits of error by load: IEC 62053-21
(active, classes 1 and 2), 62053-22 (active, classes 0.1S, 0.2S and 0.5S), 62053-23 (reactive, classes 2 and
3), table of the limits at power factor 1 (sin 1 for reactive energy); balanced load, reference conditions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isqrt

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.table import Mask

LOSS_MAX_PPM, WINDOW_MAX_DAYS = 500_000, 400  # of a comparison: what somebody may say of it
PPM = 10**6
CONFIDENCE_PPM = 950_000
NO_LOAD_FACTOR = 5  # what a meter may be off below its smallest load, in limits of its lowest band: ours
WHOLE = -1  # the load of a comparison over all loads


class UnableToJudge(WattkeeperError):
    """Raised when an accuracy class is not known."""


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """The largest error, in parts per million, from `load_permille` of the basic or rated load up."""

    load_permille: int
    error_ppm: int


LIMITS: Mapping[str, tuple[ErrorLimit, ...]] = {
    # direct connection, from 5 % of the basic current; 62053-21 table 6, 62053-23 table 6
    "1": (ErrorLimit(50, 15_000), ErrorLimit(100, 10_000)),
    "2": (ErrorLimit(50, 25_000), ErrorLimit(100, 20_000)),
    "reactive 2": (ErrorLimit(50, 25_000), ErrorLimit(100, 20_000)),
    "reactive 3": (ErrorLimit(50, 40_000), ErrorLimit(100, 30_000)),
    # through current transformers, from 2 % of the rated current
    "1 CT": (ErrorLimit(20, 15_000), ErrorLimit(50, 10_000)),
    "2 CT": (ErrorLimit(20, 25_000), ErrorLimit(50, 20_000)),
    # 62053-22, from 1 % of the rated current
    "0.1S": (ErrorLimit(10, 2_000), ErrorLimit(50, 1_000)),
    "0.2S": (ErrorLimit(10, 4_000), ErrorLimit(50, 2_000)),
    "0.5S": (ErrorLimit(10, 10_000), ErrorLimit(50, 5_000)),
}


@dataclass(frozen=True, slots=True)
class MeterClass:
    """What a meter promises: its class, its basic or rated power, and the energy of its smallest step.

    `base_power_w`: basic (direct) or rated (CT) current times nominal voltage times phases, primary.
    """

    accuracy_class: str
    base_power_w: int
    resolution_milliwh: int


class Verdict(Enum):
    """What a comparison says."""

    WITHIN = "within"  # inside the limits of both classes, whatever the steps hide
    OUTSIDE = "outside"  # outside them, whatever the steps hide
    UNDECIDED = "undecided"  # too few steps to say
    NO_LOAD = "no-load"  # below the smallest load for which a class promises anything


@dataclass(frozen=True, slots=True)
class Comparison:
    """Main against reference over the intervals of one band of load, or over all of them (`WHOLE`).

    `error_ppm`: (main - reference) / reference, of the main where the reference stands still;
    `uncertainty_ppm`: what the steps of all registers can hide;
    `limit_ppm`: what the classes of both sides allow together; `steps_count`: steps of the coarsest register
    that the energy holds; `confidence_ppm`: how much of the possible errors lies on the verdict's side.
    """

    load_permille: int
    interval_count: int
    main_milliwh: int
    reference_milliwh: int
    error_ppm: int
    uncertainty_ppm: int
    limit_ppm: int
    steps_count: int
    confidence_ppm: int
    verdict: Verdict


def get_limits(accuracy_class: str) -> tuple[ErrorLimit, ...]:
    """Return the limits of a class, rising with load.

    :raises UnableToJudge: if the class is not known
    """
    if accuracy_class not in LIMITS:
        raise UnableToJudge("vee.accuracy-class", accuracy_class=accuracy_class)
    return LIMITS[accuracy_class]


def compare_meters(
    *,
    main_milliwh: Int64s,
    reference_milliwh: Int64s,
    is_both: Mask,
    interval_s: int,
    main: MeterClass,
    references: tuple[MeterClass, ...],
    loss_ppm: int = 0,
) -> tuple[Comparison, ...]:
    """Return one comparison for each band of the main meter's class, and first the one below them.

    `main_milliwh` (intervals,): the meter in question; `reference_milliwh` (references, intervals): the check
    meter, or each sub-meter; `is_both` (intervals,): measured by all. `loss_ppm`: energy between the meters
    that neither counts. The limit of several references is that of the least accurate one, and at the load of
    the band. Which band an interval is in, the side of the finer steps says; since that chooses intervals by
    their rounding too, each run of a band may hide a whole step of every register. Bands without an interval
    are left out.

    :raises UnableToJudge: if a class is not known
    """
    limits = get_limits(main.accuracy_class)
    steps = [main.resolution_milliwh, *(each.resolution_milliwh for each in references)]
    total_milliwh = reference_milliwh.sum(axis=0)
    band = _bands(main_milliwh, total_milliwh, interval_s=interval_s, main=main, references=references)
    found = []
    for place in range(len(limits) + 1):
        inside = is_both & (band == place)
        if not inside.any():
            continue
        found.append(
            _compare(
                main_milliwh[inside],
                reference_milliwh[:, inside],
                load_permille=limits[place - 1].load_permille if place else 0,
                limit_ppm=_limit_ppm(limits, place, references) + loss_ppm if place else None,
                coarsest_milliwh=max(steps),
                hidden_milliwh=sum(steps) * _count_runs(inside),
            )
        )
    return tuple(found)


def compare_whole(
    *,
    main_milliwh: Int64s,
    reference_milliwh: Int64s,
    is_both: Mask,
    interval_s: int,
    main: MeterClass,
    references: tuple[MeterClass, ...],
    loss_ppm: int = 0,
) -> Comparison | None:
    """Return one comparison over all intervals that all measured, None where there is none.

    Arguments as in `compare_meters`. Its limit is the mean of the bands' limits by their energy; below the
    smallest load a class promises nothing, and `NO_LOAD_FACTOR` times the lowest band's limit is allowed.
    There is load if either side shows it, so that a meter that stands still is told. Only the ends of runs
    of intervals hide steps, so it decides earlier than any band.

    :raises UnableToJudge: if a class is not known
    """
    if not is_both.any():
        return None
    limits = get_limits(main.accuracy_class)
    steps = [main.resolution_milliwh, *(each.resolution_milliwh for each in references)]
    total_milliwh = reference_milliwh.sum(axis=0)
    band = _bands(main_milliwh, total_milliwh, interval_s=interval_s, main=main, references=references)
    of_band = [_limit_ppm(limits, place, references) for place in range(1, len(limits) + 1)]
    of_band.insert(0, NO_LOAD_FACTOR * of_band[0])
    energies = [int(total_milliwh[is_both & (band == place)].sum()) for place in range(len(of_band))]
    weighted = sum(energy * limit for energy, limit in zip(energies, of_band, strict=True))
    has_load = sum(energies[1:]) > 0 or any(
        _has_load(np.where(is_both, own, 0), step_milliwh, interval_s=interval_s, main=main)
        for own, step_milliwh in ((main_milliwh, steps[0]), (total_milliwh, sum(steps[1:])))
    )
    return _compare(
        main_milliwh[is_both],
        reference_milliwh[:, is_both],
        load_permille=WHOLE,
        limit_ppm=(weighted // sum(energies) if weighted else of_band[0]) + loss_ppm if has_load else None,
        coarsest_milliwh=max(steps),
        hidden_milliwh=_hidden_milliwh(steps, _count_runs(is_both)),
    )


def _has_load(energy_milliwh: Int64s, step_milliwh: int, *, interval_s: int, main: MeterClass) -> bool:
    """Return whether one side shows the smallest load of a class by more than the ends of its steps."""
    load_permille = energy_milliwh * 3600 // interval_s // max(1, main.base_power_w)
    inside = load_permille >= get_limits(main.accuracy_class)[0].load_permille
    return int(energy_milliwh[inside].sum()) > step_milliwh * _count_runs(inside)


def _bands(
    main_milliwh: Int64s,
    total_milliwh: Int64s,
    *,
    interval_s: int,
    main: MeterClass,
    references: tuple[MeterClass, ...],
) -> Int64s:
    """Return the band of load of each interval, 0 for the one below all; shape (intervals,)."""
    reference_step = sum(each.resolution_milliwh for each in references)
    energy_milliwh = (main_milliwh + total_milliwh) // 2
    if main.resolution_milliwh != reference_step:
        energy_milliwh = main_milliwh if main.resolution_milliwh < reference_step else total_milliwh
    load_permille = energy_milliwh * 3600 // interval_s // max(1, main.base_power_w)
    bounds = [each.load_permille for each in get_limits(main.accuracy_class)]
    found: Int64s = np.searchsorted(bounds, load_permille, side="right").astype(np.int64)
    return found


def _limit_ppm(limits: tuple[ErrorLimit, ...], place: int, references: tuple[MeterClass, ...]) -> int:
    """Return what the classes of both sides allow together in a band."""
    own = limits[place - 1]
    allowed = []
    for each in references:
        known = get_limits(each.accuracy_class)
        reached = [limit for limit in known if limit.load_permille <= own.load_permille]
        allowed.append((reached or known[:1])[-1].error_ppm)
    return own.error_ppm + max(allowed)


def _count_runs(inside: Mask) -> int:
    """Return how many runs a mask has: each hides at most one step of a register at each end."""
    return int(inside[0]) + int((inside[1:] & ~inside[:-1]).sum())


def _compare(
    main_milliwh: Int64s,
    reference_milliwh: Int64s,
    *,
    load_permille: int,
    limit_ppm: int | None,
    coarsest_milliwh: int,
    hidden_milliwh: int,
) -> Comparison:
    main, reference = int(main_milliwh.sum()), int(reference_milliwh.sum())
    scale = reference or max(1, main)
    error_ppm = (main - reference) * PPM // scale
    uncertainty_ppm = -(-hidden_milliwh * PPM // scale)
    verdict, confidence_ppm = Verdict.NO_LOAD, 0
    if limit_ppm is not None and (main or reference):
        verdict, confidence_ppm = _judge(error_ppm, uncertainty_ppm, limit_ppm)
    return Comparison(
        load_permille=load_permille,
        interval_count=len(main_milliwh),
        main_milliwh=main,
        reference_milliwh=reference,
        error_ppm=error_ppm,
        uncertainty_ppm=uncertainty_ppm,
        limit_ppm=limit_ppm or 0,
        steps_count=reference // coarsest_milliwh,
        confidence_ppm=confidence_ppm,
        verdict=verdict,
    )


def _hidden_milliwh(steps: Sequence[int], run_count: int) -> int:
    """Return what the steps of registers hide over runs of intervals that nobody chose by their energy.

    At most one step of each register a run; over many runs three standard deviations of their sum, where
    each end hides a part of a step that is as likely large as small (variance of a step's square / 12).
    """
    at_most = sum(steps) * run_count
    return min(at_most, 3 * isqrt(sum(step * step for step in steps) * run_count // 6) + 1)


def _judge(error_ppm: int, uncertainty_ppm: int, limit_ppm: int) -> tuple[Verdict, int]:
    """Return the verdict and what part, in ppm, of [error - uncertainty, error + uncertainty] speaks for it.

    Outside is what lies beyond the limit on one side: an error that may be anything is no wrong meter.
    """
    within = _share(error_ppm, uncertainty_ppm, -limit_ppm, limit_ppm)
    far = abs(error_ppm) + uncertainty_ppm
    outside = _share(abs(error_ppm), uncertainty_ppm, limit_ppm + 1, max(far, limit_ppm + 1))
    if within >= CONFIDENCE_PPM:
        return Verdict.WITHIN, within
    if outside >= CONFIDENCE_PPM:
        return Verdict.OUTSIDE, outside
    return Verdict.UNDECIDED, max(within, outside)


def _share(middle_ppm: int, half_ppm: int, low_ppm: int, high_ppm: int) -> int:
    """Return what part, in ppm, of the whole numbers [middle - half, middle + half] lies in [low, high]."""
    inside = min(middle_ppm + half_ppm, high_ppm) - max(middle_ppm - half_ppm, low_ppm) + 1
    return max(0, inside) * PPM // (2 * half_ppm + 1)


def find_inaccurate(
    comparisons: tuple[Comparison, ...], *, series_id: int, starts_at_s: int, ends_at_s: int
) -> list[Finding]:
    """Return ``vee.accuracy`` for the worst band in which a meter is outside its class, if any is.

    Its evidence names the load of the band; that of a comparison over all loads has none.
    """
    outside = [each for each in comparisons if each.verdict is Verdict.OUTSIDE]
    if not outside:
        return []
    worst = max(outside, key=lambda each: abs(each.error_ppm) - each.limit_ppm)
    evidence = {
        "error_ppm": worst.error_ppm,
        "limit_ppm": worst.limit_ppm,
        "uncertainty_ppm": worst.uncertainty_ppm,
        "confidence_ppm": worst.confidence_ppm,
        "steps_count": worst.steps_count,
        **({} if worst.load_permille == WHOLE else {"load_permille": worst.load_permille}),
        "interval_count": worst.interval_count,
    }
    return [Finding("vee.accuracy", starts_at_s, ends_at_s, evidence, series_id=series_id)]
