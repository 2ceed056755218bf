"""Validation and a time-of-use bill of meter-months read from the store, beside pandas and numpy in memory.

    python benchmarks/meter_month.py [--meters 12000] [--peers 10] [--pandas 60]

The store holds a month of quarter-hours of each meter, written by the pipeline's own store calls, and the
determinants that a run leaves. Ours reads them, proves each month complete (every interval of every rate of
every day held, none a loose estimate), reconciles it with the register's advance read from the store, and
prices it in exact integers. CPU seconds are those of this process and the store process. The peers get the
intervals in memory: pandas meter by meter as it is usually written, numpy over all meters; MyEMS's shape of
pipeline gets registers in its database (see peers.py). All bills are compared with bills in exact fractions;
some of ours also with `compute_bill` from the stored intervals.
"""

import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from mdm_rig import TARIFF, Rig, calib, finish, parser_of, with_goals
from peers import myems_month, with_ratios

FIRST = datetime(2026, 6, 1, tzinfo=UTC) - timedelta(hours=8)
FIRST_S, DAYS, QUARTERS = int(FIRST.timestamp()), 30, 96
BOUNDS_S = FIRST_S + 86_400 * np.arange(DAYS + 1)
STARTS_S = np.arange(FIRST_S, BOUNDS_S[-1], 900)
STEP_MILLIWH = 10_000
PRICES = [Fraction("0.8123"), Fraction("0.5283"), Fraction("0.3083")]
RATE_OF_HOUR = np.repeat([2, 1, 0, 1, 2], [7, 3, 5, 7, 2])
RATE = np.tile(np.repeat(RATE_OF_HOUR, 4), DAYS)
SLICE = 4000
TENANT = 1
GOAL = 20_000
PEER_WRONG_MOST = 0.05  # of bills in floats, by a fen


def main() -> None:
    """Fill the store, measure, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--meters", type=int, default=12000)
    parser.add_argument("--peers", type=int, default=10, help="meters of MyEMS's month; 0: no peers at all")
    parser.add_argument("--pandas", type=int, default=60, help="meters of pandas's month")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="meter-month-"))
    rig = Rig(folder)
    try:
        result = run(rig, options.meters, options.pandas, options.peers)
    finally:
        rig.close()
        shutil.rmtree(folder)
    finish(result, is_strict=options.strict)


def run(rig: Rig, meters_count: int, pandas_count: int, peers_count: int) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether every bill is the exact one."""
    before_s = calib()
    energy = (
        np.random.default_rng(3).poisson(12, (meters_count, DAYS * QUARTERS)).astype(np.int64) * STEP_MILLIWH
    )
    fill(rig, energy)
    rig.wait_idle()
    cpu_s = time.process_time() + rig.store_cpu_s()
    bills = np.concatenate(
        [bill_slice(rig, first, min(SLICE, meters_count - first)) for first in range(0, meters_count, SLICE)]
    )
    cpu_s = time.process_time() + rig.store_cpu_s() - cpu_s
    truth = [exact_bill(row) for row in energy]
    peers = {}
    if peers_count:
        peers = {
            "pandas_a_meter_at_a_time": peer(with_pandas, energy[:pandas_count], truth),
            "numpy_in_memory": peer(with_numpy, energy, truth),
            "myems": myems_month(energy[:peers_count], truth, FIRST_S),
        }
    differ_count, is_refused = compare_with_compute_bill(rig, bills, 5), plant_gap(rig, meters_count)
    off_count = int((bills != np.array(truth)).sum())
    figure = meters_count / cpu_s
    result = {
        "figure": round(figure),
        "unit": "meter-months per core-second",
        "n": meters_count,
        "bills_off": off_count,
        "bills_that_differ_from_compute_bill": differ_count,
        "is_a_planted_gap_refused": is_refused,
        "peers": with_ratios(figure, peers),
        "calib_s": [before_s, calib()],
        "is_right": off_count == 0
        and differ_count == 0
        and is_refused
        and all(row["is_right"] for row in peers.values()),
    }
    return with_goals(result, least={"figure": GOAL})


def fill(rig: Rig, energy: Any) -> None:
    """Store register reads at both ends, the intervals and the determinants of all meters."""
    from wattkeeper.core.billing.determinants import sum_rates
    from wattkeeper.store.api import Measurements, RawBatch

    for first in range(0, len(energy), SLICE):
        own = energy[first : first + SLICE]
        ids = first + 1 + np.arange(len(own))
        ends = np.stack((np.full(len(own), 1000), 1000 + own.sum(axis=1) // STEP_MILLIWH), axis=1).ravel()
        nothing = np.zeros(len(ends), dtype=np.int64)
        at_s = np.tile([FIRST_S, BOUNDS_S[-1]], len(own))
        rig.store.insert_raw(
            [
                RawBatch(
                    TENANT,
                    first + 1,
                    at_s[1],
                    np.repeat(ids, 2),
                    at_s,
                    ends,
                    nothing,
                    nothing + 5,
                    nothing - 1,
                )
            ]
        )
        ones = np.ones(own.size, dtype=np.int64)
        columns = (
            np.repeat(ids, own.shape[1]),
            np.tile(STARTS_S, len(own)),
            own.ravel(),
            ones,
            ones,
            ones * 0,
            ones,
        )
        rig.store.insert_measurements(TENANT, Measurements(*columns))
        quality = ones.reshape(own.shape)
        rows = sum_rates(ids, STARTS_S, own, quality, quality, day_bounds_s=BOUNDS_S, rates=rates())
        rig.store.insert_rate_days(TENANT, 1, rows)


def rates() -> Any:
    """Return the tariff's calendar."""
    from wattkeeper.core.billing.determinants import RateCalendar
    from wattkeeper.core.tariffs.parse import parse_tariff

    charge = parse_tariff(TARIFF).components[0]
    return RateCalendar(charge.calendar, ZoneInfo("Asia/Shanghai"), 3)


def bill_slice(rig: Rig, first: int, count: int) -> Any:
    """Return the bills of some meters in fen, from the store; -1 where a month can't be billed."""
    ids = first + 1 + np.arange(count)
    found = rig.store.rate_days(TENANT, ids.tolist(), FIRST_S, int(BOUNDS_S[-1]))
    cell = (found.series_id - ids[0]) * 3 + found.rate_index
    order = np.argsort(cell, kind="stable")
    firsts = np.searchsorted(cell[order], np.arange(count * 3))
    held, expected, loose, energy = (
        np.add.reduceat(column[order], firsts).reshape(count, 3)
        for column in (found.held_count, found.expected_count, found.loose_count, found.energy_milliwh)
    )
    is_whole = (
        (expected.sum(axis=1) == DAYS * QUARTERS) & (held == expected).all(axis=1) & (loose == 0).all(axis=1)
    )
    opening, closing = (
        rig.store.raw_reads(TENANT, ids.tolist(), int(at_s), int(at_s) + 1).value
        for at_s in (FIRST_S, BOUNDS_S[-1])
    )
    advance = (closing - opening) * STEP_MILLIWH
    is_whole &= np.abs(advance - energy.sum(axis=1)) <= STEP_MILLIWH
    return np.where(is_whole, price(energy), -1)


def price(energy_milliwh: Any) -> Any:
    """Return fen, each rate's line rounded half up; prices are whole ten-thousandths of a yuan."""
    prices = np.array([int(price * 10_000) for price in PRICES])
    return ((energy_milliwh * prices + 50_000_000) // 100_000_000).sum(axis=1)


def exact_bill(energy_milliwh: Any) -> int:
    """Return fen by exact fractions, interval sums in Python's own integers."""
    total = 0
    for rate, price_per_kwh in enumerate(PRICES):
        own = sum(energy_milliwh[rate == RATE].tolist())
        total += int(Fraction(own, 10**6) * price_per_kwh * 100 + Fraction(1, 2))
    return total


def peer(bill: Any, energy: Any, truth: list[int]) -> dict[str, Any]:
    """Measure one peer and count its wrong bills."""
    before = time.process_time()
    bills = bill(energy)
    cpu_s = time.process_time() - before
    wrong = sum(round(float(found) * 100) != true for found, true in zip(bills, truth, strict=False))
    is_right = wrong <= PEER_WRONG_MOST * len(energy) + 1
    return {
        "figure": round(len(energy) / cpu_s),
        "n": len(energy),
        "bills_wrong": wrong,
        "is_right": is_right,
    }


def with_pandas(energy: Any) -> list[float]:
    """One meter at a time: interpolate, drop spikes, map hours to prices, sum."""
    index = pd.date_range("2026-06-01", periods=DAYS * QUARTERS, freq="15min")
    bills = []
    for row in energy:
        frame = pd.DataFrame({"kwh": row / 1e6}, index=index)
        frame["kwh"] = frame["kwh"].interpolate(limit=8)
        top = frame.groupby(frame.index.date)["kwh"].nlargest(3)
        if (top.groupby(level=0).max() > 2.8 * top.groupby(level=0).min()).any():
            frame.loc[frame["kwh"] > frame["kwh"].quantile(0.999), "kwh"] = np.nan
        frame["rate"] = RATE_OF_HOUR[frame.index.hour]
        sums = frame.groupby("rate")["kwh"].sum()
        bills.append(sum(round(sums[rate] * float(price), 2) for rate, price in enumerate(PRICES)))
    return bills


def with_numpy(energy: Any) -> Any:
    """All meters at once in floats: negative, missing, spikes by day, sums by rate."""
    kwh = energy / 1e6
    is_bad = ~np.isfinite(kwh) | (kwh < 0)
    days = kwh.reshape(len(kwh), DAYS, QUARTERS)
    top = np.partition(days, -3, axis=2)[:, :, -3:]
    is_bad.reshape(days.shape)[top.max(axis=2) > 2.8 * top.min(axis=2)] |= False
    sums = np.stack([kwh[:, rate == RATE].sum(axis=1) for rate in range(3)], axis=1)
    return np.round(sums * [float(price) for price in PRICES], 2).sum(axis=1)


def compare_with_compute_bill(rig: Rig, bills: Any, count: int) -> int:
    """Return how many of some bills differ from the one that `compute_bill` makes of stored intervals."""
    from wattkeeper.core.billing.compute import compute_bill
    from wattkeeper.core.billing.intervals import IntervalColumns
    from wattkeeper.core.kernel.instants import Period, from_seconds
    from wattkeeper.core.tariffs.parse import parse_tariff

    period, different = Period(FIRST, from_seconds(int(BOUNDS_S[-1]))), 0
    for series_id in range(1, count + 1):
        found = rig.store.measurements(TENANT, [series_id], FIRST_S, int(BOUNDS_S[-1]))
        bill = compute_bill(
            tariffs=[parse_tariff(TARIFF)],
            period=period,
            intervals=IntervalColumns(found.starts_at_s, found.value_milliwh, found.provenance, found.flags),
            interval_s=900,
            usage_point="1",
            series_id=series_id,
            run_id=1,
            data_version="",
        )
        different += bill.total_minor != int(bills[series_id - 1])
    return different


def plant_gap(rig: Rig, meters_count: int) -> bool:
    """Whether a month is refused once a newer run says that one of its days lacks an interval."""
    found = rig.store.rate_days(TENANT, [meters_count], FIRST_S, FIRST_S + 86_400)
    found.held_count[0] -= 1
    rig.store.insert_rate_days(TENANT, 2, found)
    return bool(bill_slice(rig, meters_count - 1, 1)[0] == -1)


if __name__ == "__main__":
    main()
