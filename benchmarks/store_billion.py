"""A billion values in the store: latest read, one series-month, a day's total, while reads keep coming in.

    python benchmarks/store_billion.py [--values 1000000000] [--folder DIR] [--queries 1000]

Fills `measurement` with a year of quarter hours of as many series as make `--values`, and their days, one day
after the other as they would come in; with `--folder` that is kept and a later run goes on where one stopped.
When all months but the last are filled, what the store does with months that got nothing for ten days is done
at once. Then another process takes raw reads through spool and store at a tenth of the rate that was measured
before, while this one asks: latest reads from the mapped table, whole series-months over the store's socket
(of months at rest and of the running one), and the total of all series of a day, from roll-ups and values.
Every answer is compared with the formula the values came from, the granules of a series-month are counted by
the engine, and at the end the whole table of latest reads is recounted. Months of a series that holds nothing
tell what a question takes the engine before anything is read.
PostgreSQL is asked for series-months and latest values of `--peer-values` values, idle, as ours is before
the reads come in.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mdm_rig import finish, parser_of, with_goals
from numpy.typing import NDArray
from peers import postgres_questions
from store_rig import (
    DAY_S,
    INTERVAL_S,
    INTERVALS_COUNT,
    OwnStore,
    calib,
    day_batches,
    energies,
    own_store,
    spool_and_drain,
)

from wattkeeper.core.readings.rollups import DAY, RollUpRows
from wattkeeper.headend.spool import Spool
from wattkeeper.store import bulk, queries
from wattkeeper.store.api import Measurements
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.keeping import KeepingReadingStore
from wattkeeper.store.schema import REST_S

YEAR_S = 1_767_225_600  # 2026-01-01
MONTHS_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
YEAR_INTERVALS = sum(MONTHS_DAYS) * INTERVALS_COUNT
RESTING_MONTHS = range(11)
RUNNING_MONTHS = range(11, 12)
SLICE_SERIES = 16_384  # derived together, as in the pipeline
SLICE_VALUES = SLICE_SERIES * INTERVALS_COUNT
POOL_COUNT = 1 << 20
STRIDE = 7_919
INGEST_SHARE = 0.1
INGEST_DAY_S = YEAR_S + 364 * DAY_S
GROUP_BATCHES = 5
LATEST_QUERIES = 20_000
GOALS = {
    "latest_p99_ms": 0.1,
    "series_month_p50_ms": 5.0,
    "series_month_p99_ms": 15.0,
    "series_month_granules_max": 3.0,
    "day_total_s": 0.5,
}


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--values", type=int, default=1_000_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--peer-values", type=int, default=10_000_000, help="0: no peer")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ingest", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ingest:
        ingest(options.folder, options.ingest)
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="store-billion-"))
    try:
        result = run(folder, options.values, options.queries)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    if options.peer_values:
        result["peers"] = {"postgresql": postgres_questions(options.peer_values, options.queries)}
    finish(result, is_strict=options.strict)


def run(folder: Path, values_count: int, queries_count: int) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether every answer was the one expected."""
    series_count = max(1, values_count // YEAR_INTERVALS)
    before_s = calib()
    with own_store(folder) as store:
        filled = fill(store, series_count)
        settle_cpu_s = store.settle_s()
        idle_ms, is_right_idle = ask_months(store, months_of(series_count, queries_count))
        nothing_ms, is_nothing = ask_nothing(store, series_count, queries_count)
        rate = capacity(folder, store)
        command = [sys.executable, __file__, "--folder", str(folder), "--ingest", str(rate * INGEST_SHARE)]
        ingesting = subprocess.Popen(command)
        try:
            time.sleep(3)
            figures, is_right = ask(folder, store, series_count, queries_count)
        finally:
            ingesting.terminate()
            ingesting.wait(60)
        keeping = keeping_of(folder, store)
        recount = keeping.recount()
        (row,) = store.ask(
            "SELECT count(), sum(bytes_on_disk) / sum(rows) FROM system.parts"
            " WHERE active AND table = 'measurement'"
        )
    is_right &= (
        is_right_idle
        and is_nothing
        and recount.is_whole
        and not recount.differences
        and recount.channels_count > 0
    )
    is_right &= figures["series_month_granules_max"] <= GOALS["series_month_granules_max"]  # no time: a count
    result = {
        "benchmark": "store_billion",
        "n_values": series_count * YEAR_INTERVALS,
        **figures,
        "series_month_idle_p50_ms": part(idle_ms, 50),
        "series_month_idle_p99_ms": part(idle_ms, 99),
        "nothing_idle_p50_ms": part(nothing_ms, 50),
        "is_right": is_right,
        "ingest_capacity_values_per_s": round(rate),
        "ingest_share": INGEST_SHARE,
        "latest_recounted_channels": recount.channels_count,
        "fill": filled | {"settle_cpu_s": round(settle_cpu_s, 1)},
        "parts": int(row[0]),
        "bytes_per_value": round(float(row[1]), 3),
        "calib_s": [before_s, calib()],
    }
    return with_goals(result, most=GOALS)


def pool() -> NDArray[np.int64]:
    """The values' supply, milliwatt-hours on a step of 1 Wh."""
    values: NDArray[np.int64] = energies(
        np.random.default_rng(3), POOL_COUNT // INTERVALS_COUNT + 1, INTERVALS_COUNT
    )
    return values.ravel()[:POOL_COUNT] * 1000


def values_of(supply: NDArray[np.int64], series_id: Any, index: Any) -> Any:
    """The value of a series in the interval of that index in the year."""
    return supply[(series_id * STRIDE + index) % POOL_COUNT]


def month_bounds(month: int) -> tuple[int, int]:
    """Indexes of the first interval of a month (0-11) and of the one after its last."""
    first = sum(MONTHS_DAYS[:month]) * INTERVALS_COUNT
    return first, first + MONTHS_DAYS[month] * INTERVALS_COUNT


def fill(store: OwnStore, series_count: int) -> dict[str, float]:
    """Insert what is missing, a day after the other; several where the series are few."""
    done_file = store.folder / "filled.json"
    done = set(json.loads(done_file.read_text())) if done_file.exists() else set()
    supply, own_s, store_s, count = pool(), time.process_time(), store.cpu_s(), 0
    step = INTERVALS_COUNT * max(1, SLICE_VALUES // (series_count * INTERVALS_COUNT))
    for month in range(12):
        first_of_month, end_of_month = month_bounds(month)
        if month in RUNNING_MONTHS and "rest" not in done:
            come_to_rest(store)
            done.add("rest")
        for first in range(first_of_month, end_of_month, step):
            end = min(first + step, end_of_month)
            for start in range(1, series_count + 1, SLICE_SERIES):
                name = f"{first}:{start}:{series_count}"
                if name in done:
                    continue
                ids = np.arange(start, min(start + SLICE_SERIES, series_count + 1))
                run_id = 1000 + first // INTERVALS_COUNT
                values = span_of(supply, ids, first, end, run_id)
                store.client.insert_measurements(1, values)
                store.client.insert_roll_ups(1, run_id, days_of(values, ids, first, end))
                count += len(ids) * (end - first)
                done.add(name)
                done_file.write_text(json.dumps(sorted(done)))
    cpu_s = time.process_time() - own_s + store.cpu_s() - store_s
    return {"values": count, "cpu_s": round(cpu_s, 1)}


def come_to_rest(store: OwnStore) -> None:
    """Make of each month what ten days without anything new would make of it."""
    age = "ALTER TABLE measurement MODIFY SETTING min_age_to_force_merge_seconds"
    store.ask(f"{age} = 1")
    try:
        while parts_of(store) > len(RESTING_MONTHS):
            time.sleep(0.5)
    finally:
        store.ask(f"{age} = {REST_S}")


def parts_of(store: OwnStore) -> int:
    """How many parts the values lie in."""
    (row,) = store.ask("SELECT count() FROM system.parts WHERE active AND table = 'measurement'")
    return int(row[0])


def span_of(
    supply: NDArray[np.int64], ids: NDArray[np.int64], first: int, end: int, run_id: int
) -> Measurements:
    """Some series' values of the intervals from `first` to before `end`; every 211th is an estimate."""
    index = np.arange(first, end)
    value = values_of(supply, ids[:, None], index[None, :]).ravel()
    is_estimated = np.arange(len(value)) % 211 == 0
    return Measurements(
        series_id=np.repeat(ids, end - first),
        starts_at_s=np.tile(YEAR_S + INTERVAL_S * index, len(ids)),
        value_milliwh=value,
        provenance=np.where(is_estimated, 2, 1),
        flags=np.where(is_estimated, 0, 1),
        method=np.where(is_estimated, 1, 0),
        run_id=np.full(len(value), run_id),
    )


def days_of(values: Measurements, ids: NDArray[np.int64], first: int, end: int) -> RollUpRows:
    """The roll-ups of the same run: UTC days."""
    days_s = YEAR_S + INTERVAL_S * np.arange(first, end, INTERVALS_COUNT)
    count = len(ids) * len(days_s)
    by_day = values.value_milliwh.reshape(count, INTERVALS_COUNT)
    estimated = (values.provenance == 2).reshape(count, INTERVALS_COUNT).sum(axis=1)
    none = np.zeros(count, np.int64)
    return RollUpRows(
        grain=np.full(count, DAY, np.int64),
        series_id=np.repeat(ids, len(days_s)),
        starts_at_s=np.tile(days_s, len(ids)),
        expected_count=np.full(count, INTERVALS_COUNT, np.int64),
        energy_milliwh=by_day.sum(axis=1),
        measured_count=INTERVALS_COUNT - estimated,
        estimated_count=estimated,
        edited_count=none,
        derived_count=none,
        projected_count=none,
        run_id=none,
    )


def keeping_of(folder: Path, store: OwnStore) -> KeepingReadingStore:
    """The client that keeps and asks the mapped table."""
    return KeepingReadingStore.keeping(store.client, folder / "run" / "latest.table")


def capacity(folder: Path, store: OwnStore) -> float:
    """Raw values a second this machine takes from decoded batches to the store when it does nothing else."""
    keeping = keeping_of(folder, store)
    keeping.rebuild()
    spool = Spool(folder / "spool")
    batches = day_batches(np.random.default_rng(5), 1, 100, 100, INGEST_DAY_S - DAY_S)
    before_s = time.monotonic()
    spool_and_drain(spool, keeping, batches)
    rate = sum(len(batch.value) for batch in batches) / (time.monotonic() - before_s)
    spool.close()
    return rate


def ingest(folder: Path, rate: float) -> None:
    """Take batches at a steady rate until told to end, between two turns: channels in turn, day after day."""
    is_told_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_told_to_end.set())
    store = HttpReadingStore.of_file(folder / "run" / "store.json")
    keeping = KeepingReadingStore.keeping(store, folder / "run" / "latest.table")
    spool = Spool(folder / "spool")
    rng = np.random.default_rng(int(time.time()))
    due_s = time.monotonic()
    for turn in range(1_000_000):
        first = 1 + turn % 20 * GROUP_BATCHES * 200
        batches = day_batches(rng, first, GROUP_BATCHES, 100, INGEST_DAY_S + turn // 20 * DAY_S)
        time.sleep(max(0.0, due_s - time.monotonic()))
        if is_told_to_end.is_set():
            return
        spool_and_drain(spool, keeping, batches)
        due_s += sum(len(batch.value) for batch in batches) / rate


def ask(folder: Path, store: OwnStore, series_count: int, queries_count: int) -> tuple[dict[str, Any], bool]:
    """Ask everything, checking each answer."""
    dice, supply = random.Random(5), pool()
    month_ms, are_right = ask_months(store, months_of(series_count, queries_count))
    running_ms, are_right_running = ask_months(store, months_of(series_count, queries_count, RUNNING_MONTHS))
    keeping = keeping_of(folder, store)
    latest_ms, are_known = timed(
        lambda _: len(keeping.latest(1, [dice.randint(1, 20_000)])) == 1, LATEST_QUERIES
    )
    days = [dice.randrange(365) for _ in range(5)]
    day_ms, are_summed = timed(lambda at: check_day(store.client, supply, series_count, days[at]), len(days))
    values_ms, are_equal = timed(
        lambda at: check_day_of_values(store, supply, series_count, days[at]), len(days)
    )
    granules = [granules_of(store, *asked) for asked in months_of(series_count, 100)]
    running = [granules_of(store, *asked) for asked in months_of(series_count, 20, RUNNING_MONTHS)]
    return {
        "latest_p50_ms": part(latest_ms, 50, 4),
        "latest_p99_ms": part(latest_ms, 99, 4),
        "series_month_p50_ms": part(month_ms, 50),
        "series_month_p99_ms": part(month_ms, 99),
        "series_month_granules_max": max(granules),
        "running_month_p50_ms": part(running_ms, 50),
        "running_month_p99_ms": part(running_ms, 99),
        "running_month_granules_max": max(running),
        "day_total_s": round(part(day_ms, 50) / 1000, 3),
        "day_total_from_values_s": round(part(values_ms, 50) / 1000, 3),
        "n_latest": LATEST_QUERIES,
        "n_series_months": queries_count,
        "n_days": len(days),
    }, are_right and are_right_running and are_known and are_summed and are_equal


def months_of(series_count: int, count: int, months: range = RESTING_MONTHS) -> list[tuple[int, int]]:
    """Series and months that are asked for."""
    dice = random.Random(4)
    return [(dice.randint(1, series_count), dice.choice(months)) for _ in range(count)]


def ask_months(store: OwnStore, asked: Sequence[tuple[int, int]]) -> tuple[list[float], bool]:
    """Ask whole series-months, and tell the milliseconds of each and whether all were right."""
    supply = pool()
    return timed(lambda at: check_month(store.client, supply, *asked[at]), len(asked))


def ask_nothing(store: OwnStore, series_count: int, count: int) -> tuple[list[float], bool]:
    """Ask months of a series that holds nothing: what a question takes before anything is read."""
    asked = [(series_count + 1, month) for _, month in months_of(series_count, count)]
    return timed(lambda at: not len(month_of(store.client, *asked[at]).value_milliwh), count)


def timed(work: Callable[[int], bool], count: int) -> tuple[list[float], bool]:
    """Milliseconds of each call, the first ten of them apart from the count, and whether all were right."""
    spent_ms, is_right = [], True
    for at in [*range(min(10, count)), *range(count)]:
        before_s = time.perf_counter()
        is_right &= work(at)
        spent_ms.append(1000 * (time.perf_counter() - before_s))
    return spent_ms[min(10, count) :], is_right


def part(spent_ms: list[float], percent: int, digits_count: int = 2) -> float:
    """A percentile."""
    return round(float(np.percentile(spent_ms, percent)), digits_count)


def check_month(client: HttpReadingStore, supply: NDArray[np.int64], series_id: int, month: int) -> bool:
    """Whether the store's values of a series-month are those of the formula."""
    wanted = values_of(supply, series_id, np.arange(*month_bounds(month)))
    return bool(np.array_equal(month_of(client, series_id, month).value_milliwh, wanted))


def month_of(client: HttpReadingStore, series_id: int, month: int) -> Measurements:
    """The values of a series-month."""
    first, end = month_bounds(month)
    return client.measurements(1, [series_id], YEAR_S + INTERVAL_S * first, YEAR_S + INTERVAL_S * end)


def check_day(client: HttpReadingStore, supply: NDArray[np.int64], series_count: int, day: int) -> bool:
    """Whether the store's total of a day is that of the formula."""
    from_s = YEAR_S + day * DAY_S
    days = client.roll_ups(1, range(1, series_count + 1), [(from_s, from_s + DAY_S)])
    return int(days.energy_milliwh.sum()) == day_total(supply, series_count, day)


def check_day_of_values(store: OwnStore, supply: NDArray[np.int64], series_count: int, day: int) -> bool:
    """Whether the engine's sum over the day's current values, roll-ups left aside, is that of the formula."""
    from_s = YEAR_S + day * DAY_S
    (row,) = store.ask(
        "SELECT sum(value_milliwh) FROM (SELECT value_milliwh FROM measurement WHERE tenant_id = 1 AND"
        f" {queries.between('starts_at', from_s, from_s + DAY_S)} ORDER BY series_id, starts_at, run_id DESC"
        " LIMIT 1 BY series_id, starts_at)"
    )
    return int(row[0]) == day_total(supply, series_count, day)


def day_total(supply: NDArray[np.int64], series_count: int, day: int) -> int:
    """What the formula makes of a day, all series together."""
    index = day * INTERVALS_COUNT + np.arange(INTERVALS_COUNT)
    return int(values_of(supply, np.arange(1, series_count + 1)[:, None], index[None, :]).sum())


def granules_of(store: OwnStore, series_id: int, month: int) -> int:
    """Granules the engine reads for a series-month, by its own plan."""
    first, end = month_bounds(month)
    query = bulk.measured_query(
        1, [series_id], YEAR_S + INTERVAL_S * first, YEAR_S + INTERVAL_S * end, None, is_ordered=False
    ).split(" SETTINGS ")[0]
    lines = [row[0] for row in store.ask(f"EXPLAIN indexes = 1 {query}")]
    told = [line.split(":")[1].split("/")[0] for line in lines if "Granules:" in line]
    return int(told[-1])


if __name__ == "__main__":
    main()
