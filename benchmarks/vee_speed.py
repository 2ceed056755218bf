"""Speed of validation: all rules over intervals on a day of many meters, against the same rules in pandas.

    python benchmarks/vee_speed.py [--meters 20000]

N meters x 96 quarters in slices of 4096, 0.5 % lost in runs of four, one surge in 2000 days, registers at
both midnights. The oracle: every surge that was planted is found as a spike or as too much power, and nothing
else is. The peer does what an average engineer writes: one table, a group a meter, the spike, power,
negative, constant and sum checks as column operations and `groupby`, on a tenth of the meters.
"""

import time

import numpy as np
import pandas as pd
from mdm_rig import calib, finish, parser_of, with_goals
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import EnergyTable
from wattkeeper.core.vee.validate import Known, validate

DAY, INTERVAL_S, SLICE = 96, 900, 4096
POWER_W = 12_000
RATIO_LEAST = 3.0  # the project's rule for readers, asked of the rules too
STEP_MILLIWH = 1000
Int64s = NDArray[np.int64]


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--meters", type=int, default=20_000)
    options = parser.parse_args()
    meters = options.meters
    energy, present, surges = make_day(meters, np.random.default_rng(1))
    before_s = calib()
    started_s = time.process_time()
    found = {
        finding.series_id or 0
        for first in range(0, meters, SLICE)
        for finding in look(first, energy[first : first + SLICE], present[first : first + SLICE])
    }
    own_s = time.process_time() - started_s
    started_s = time.process_time()
    peer = look_with_pandas(energy[: meters // 10], present[: meters // 10])
    peer_s = (time.process_time() - started_s) * 10
    is_right = found == surges and peer == {meter for meter in surges if meter < meters // 10}
    result = with_goals(
        {
            "figure": "validation of interval energy, all rules over intervals",
            "unit": "intervals per CPU second",
            "n": energy.size,
            "ours": int(energy.size / own_s),
            "pandas": int(energy.size / peer_s),
            "ratio": round(peer_s / own_s, 1),
            "findings": len(found),
            "calib_s": [before_s, calib()],
            "is_right": is_right,
        },
        least={"ratio": RATIO_LEAST},
    )
    finish(result, is_strict=options.strict)


def make_day(meters: int, chance: np.random.Generator) -> tuple[Int64s, NDArray[np.bool_], set[int]]:
    """Return energy and presence (meters, quarters), and the meters with a surge."""
    energy = chance.integers(20, 600, (meters, DAY)) * STEP_MILLIWH
    surges = np.flatnonzero(chance.random(meters) < 1 / 2000)
    energy[surges, chance.integers(0, DAY, len(surges))] = 4_000 * STEP_MILLIWH
    lost = np.zeros((meters, DAY), dtype=np.bool_)
    firsts = chance.random((meters, DAY)) < 0.005 / 4
    for step in range(4):
        lost[:, step:] |= firsts[:, : DAY - step]
    lost[surges] = False
    return energy, ~lost, set(surges.tolist())


def look(first: int, energy: Int64s, present: NDArray[np.bool_]) -> list[Finding]:
    """Return what the rules find in one slice."""
    count = len(energy)
    register = np.zeros((count, 2), dtype=np.int64)
    register[:, 1] = energy.sum(axis=1)
    nothing = np.zeros(energy.shape, dtype=np.bool_)
    table = EnergyTable(
        np.arange(first, first + count), INTERVAL_S * np.arange(DAY), INTERVAL_S, energy, present
    )
    known = Known(
        day_bounds_s=np.array([0, DAY * INTERVAL_S]),
        power_max_w=np.full(count, POWER_W),
        resolution_milliwh=np.full(count, STEP_MILLIWH),
        is_confirmed=np.zeros((count, 1), dtype=np.bool_),
        is_disconnected=nothing,
        is_filled=np.ones(energy.shape, dtype=np.bool_),
        register_milliwh=register,
        register_chain=np.zeros_like(register),
    )
    return validate(table, known, RuleSet())


def look_with_pandas(energy: Int64s, present: NDArray[np.bool_]) -> set[int]:
    """Return the meters that the same checks find, written as one table."""
    meters = np.repeat(np.arange(len(energy)), DAY)
    frame = pd.DataFrame({"meter": meters, "kwh": energy.ravel() / 1e6, "ok": present.ravel()})
    register = energy.sum(axis=1) / 1e6
    held = frame[frame["ok"]]
    by_meter = held.groupby("meter")["kwh"]
    third = by_meter.apply(lambda own: own.nlargest(3).iloc[-1])
    peak = by_meter.max()
    found = set(peak.index[((peak - third) / third > 1.8) & (peak >= POWER_W / 4000 / 2)])
    found |= set(held.loc[held["kwh"] * 4000 > 1.1 * POWER_W, "meter"])
    found |= set(held.loc[held["kwh"] < 0, "meter"])
    same = (held["kwh"] == by_meter.shift()) & (held["kwh"] != 0)
    runs = same.groupby([held["meter"], (~same).cumsum()]).sum()
    found |= set(runs[runs >= 11].index.get_level_values(0))
    difference = np.abs(frame.groupby("meter")["kwh"].sum().to_numpy() - register)
    return found | set(np.flatnonzero(difference > 0.001 + 0.001 * register).tolist())


if __name__ == "__main__":
    main()
