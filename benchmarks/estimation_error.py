"""Error of estimates on real load: gaps cut out of 200 real homes, filled, and compared with what was there.

    python benchmarks/estimation_error.py [--gaps 3]

For each length of gap, that many gaps a home at random places of the last three of seven weeks, filled from
the four weeks before (and up to three days after). Ours: the documented order of `core.vee.estimate`, once
knowing what the registers advanced over the gap and once not; and with average like day before like day, as a
rule set may say. Baselines: a straight line between the two neighbours, the same hours a week before, both
also scaled to the registers. Beside them the class profile of the other half of the homes, with their mean as
annual estimate. The data hold no two years, so last year is not measured. Homes that use nothing in a gap are
left out of it.

Mean absolute error in Wh a quarter-hour and as part of the mean of the truth; the error of the gap's energy;
both together, since the best shape by absolute error loses energy. The oracle: every estimate that knows the
registers sums to their advance, to the last milliwatt-hour, and none touches what was measured.
"""

import time
from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
from mdm_rig import calib, finish, parser_of, with_goals
from vee_homes import DAY_INTERVALS, INTERVAL_S, ZONE, Homes, Int64s, describe, load_homes

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.candidates import PROFILE_YEAR_MILLIWH
from wattkeeper.core.vee.estimate import DayCalendar, estimate
from wattkeeper.core.vee.profile import ClassProfile
from wattkeeper.core.vee.rule_set import Estimation

LENGTHS_H = (0.5, 2, 6, 24, 72, 168)
WEEK = 7 * DAY_INTERVALS
HISTORY = 4 * WEEK
CALENDAR = DayCalendar(ZONE)
AVERAGE_FIRST = Estimation(is_average_first=True)


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--gaps", type=int, default=3)
    options = parser.parse_args()
    homes, chance = load_homes(), np.random.default_rng(7)
    before_s, started_s = calib(), time.process_time()
    results, is_right, n = {}, True, 0
    for hours in LENGTHS_H:
        errors, count, is_exact = measure(homes, int(hours * 4), options.gaps, chance)
        results[f"{hours:g} h"] = errors
        is_right &= is_exact
        n += count
    to_line = max(  # where no line is drawn, ours must not lose to one
        results[hours]["ours, registers known"]["mae_wh"] / results[hours]["line, scaled"]["mae_wh"]
        for hours in ("6 h", "24 h", "72 h", "168 h")
    )
    is_right &= to_line < 1
    result = with_goals(
        {
            "figure": "mean absolute error of estimates by length of gap",
            "unit": "Wh a quarter-hour",
            "n": n,
            "data": describe(homes),
            "worst_ratio_to_line_from_6_h": round(to_line, 3),
            "by_gap": results,
            "cpu_s": round(time.process_time() - started_s, 1),
            "calib_s": [before_s, calib()],
            "is_right": is_right,
        },
        most={"worst_ratio_to_line_from_6_h": 1.0},
    )
    finish(result, is_strict=options.strict)


def measure(
    homes: Homes, length: int, gaps_count: int, chance: np.random.Generator
) -> tuple[dict[str, Any], int, bool]:
    """Return the errors by method over all gaps of a length, how many gaps, and whether energy was kept."""
    absolute: dict[str, list[float]] = defaultdict(list)
    energy: dict[str, list[float]] = defaultdict(list)
    truth_sum, is_exact = 0.0, True
    for home in range(len(homes.energy_milliwh)):
        own = homes.energy_milliwh[home]
        for first in chance.integers(HISTORY, len(own) - length - 1, gaps_count).tolist():
            truth = own[first : first + length]
            if not truth.any():
                continue
            truth_sum += truth.mean()
            for name, guess in fill(homes, home, first, length).items():
                absolute[name].append(float(np.abs(guess - truth).mean()))
                energy[name].append(abs(float(guess.sum() - truth.sum())) / length)
                if name.startswith("ours") and "known" in name:
                    is_exact &= int(guess.sum()) == int(truth.sum())
    count = len(absolute["line"])
    errors = {
        name: {
            "mae_wh": round(float(np.mean(each)) / 1000, 2),
            "nmae": round(float(np.sum(each)) / truth_sum, 3),
            "energy_error": round(float(np.sum(energy[name])) / truth_sum, 3),
        }
        for name, each in absolute.items()
    }
    return {"gaps": count, **errors}, count, is_exact


def fill(homes: Homes, home: int, first: int, length: int) -> dict[str, Int64s]:
    """Return what each method puts into one gap."""
    own = homes.energy_milliwh[home]
    total = int(own[first : first + length].sum())
    line = np.interp(np.arange(length) + 1, [0, length + 1], [own[first - 1], own[first + length]])
    weeks_back = -(-length // WEEK)
    like = own[first - weeks_back * WEEK : first - weeks_back * WEEK + length].astype(np.float64)
    profile = class_profile(homes, home % 2 == 0).candidate(
        homes.starts_at_s[first : first + length], INTERVAL_S, ZONE
    )
    return {
        "ours, registers known": ours(homes, home, first, length, total),
        "ours, average first, registers known": ours(homes, home, first, length, total, AVERAGE_FIRST),
        "line, scaled": scaled(line, total),
        "like day, scaled": scaled(like, total),
        "ours": ours(homes, home, first, length, None),
        "ours, average first": ours(homes, home, first, length, None, AVERAGE_FIRST),
        "class profile, scaled": scaled(profile.energy_milliwh.astype(np.float64), total),
        "class profile": profile.energy_milliwh,
        "line": line.astype(np.int64),
        "like day": like.astype(np.int64),
    }


@cache
def class_profile(homes: Homes, is_of_odd: bool) -> ClassProfile:
    """Return the mean days of every other home as 1000 kWh a year, and what those homes use in a year."""
    mean = homes.energy_milliwh[int(is_of_odd) :: 2].mean(axis=0)
    days = mean[: homes.days_count * DAY_INTERVALS].reshape(-1, DAY_INTERVALS)
    weekday = np.arange(len(days)) % 7  # the first is a Monday
    curves = [days[chosen].mean(axis=0) for chosen in (weekday < 5, weekday == 5, weekday == 6)]
    year = (5 * curves[0].sum() + curves[1].sum() + curves[2].sum()) * 365 / 7
    shares = [np.round(curve * PROFILE_YEAR_MILLIWH / year).astype(np.int64).tolist() for curve in curves]
    return ClassProfile(round(year / 1e6), tuple(map(tuple, shares)))


def scaled(shape: Any, total: int) -> Int64s:
    """Return a shape scaled to an energy."""
    weight = shape if shape.sum() else np.ones_like(shape)
    return np.round(weight * total / weight.sum()).astype(np.int64)


def ours(
    homes: Homes, home: int, first: int, length: int, total: int | None, estimation: Estimation | None = None
) -> Int64s:
    """Return our estimate of one gap; nothing else may change."""
    value = homes.energy_milliwh[home].copy()
    value[first : first + length] = 0
    size = len(value)
    provenance = np.full(size, int(Provenance.MEASURED))
    provenance[first : first + length] = Provenance.MISSING
    nothing = np.zeros(size, dtype=np.int64)
    gap = Gap(first, first + length, total, is_exact=total is not None)
    lost = Intervals(
        interval_s=INTERVAL_S,
        starts_at_s=homes.starts_at_s,
        value_milliwh=value,
        provenance=provenance,
        flags=nothing,
        method=nothing,
        is_installed=np.ones(size, dtype=np.bool_),
        position_milliwh=np.zeros(size + 1, dtype=np.int64),
        position_chain=np.zeros(size + 1, dtype=np.int64),
        gaps=(gap,),
        findings=(),
    )
    found = estimate(lost, CALENDAR, lost.gaps, estimation=estimation or Estimation()).value_milliwh
    measured = np.ones(size, dtype=np.bool_)
    measured[first : first + length] = False
    if not np.array_equal(found[measured], homes.energy_milliwh[home][measured]):
        raise SystemExit("an estimate changed what was measured")
    return found[first : first + length]


if __name__ == "__main__":
    main()
