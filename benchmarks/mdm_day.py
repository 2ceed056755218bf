"""A whole day of N meters, from spooled batches to stored reads, measurements, roll-ups and determinants.

    python benchmarks/mdm_day.py [--meters 10000 ...] [--slice 8192] [--day 10] [--peers 100] [--folder DIR]

N meters x 96 intervals x 2 registers, 0.5 % of the reads lost in runs of 4 on average, wrong reads, surges
and rollovers. Slices of meters come in one after the other; of each the spool is drained into the store and
the pipeline derives, validates, estimates, reconciles and stores. The opening reads lie in the store
before. CPU seconds are those of this process from the spool on and of the store process, merges included.
Then every series is compared with the generator's truth: energy conserved to the milliwatt-hour, values
equal, findings. The day is one in the midst of a month; `--day 1` is the dearest: the store keeps months of
UTC apart, and its reads fall into two. Peers do the same day of so many meters (see peers.py).

Several N run one after the other, each in a process and folder of its own; then the cost of a value must not
grow with N (a quarter at most from the smallest to the largest) nor the pipeline's memory (by half at most).
"""

import json
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from mdm_rig import Rig, add_street, calib, finish, parser_of, with_goals
from mdm_street import INTERVAL_S, READS, STEP_MILLIWH, Day, make_day
from peers import myems_day, pandas_day, with_ratios

ZONE = ZoneInfo("Asia/Shanghai")
BATCH_METERS = 100  # a concentrator's
SHARE_MIN = 0.99
GOAL = 1_200_000
COST_GROWTH_MOST = 1.25
MEMORY_GROWTH_MOST = 1.5
RATE_OF_HOUR = np.repeat([2, 1, 0, 1, 2], [7, 3, 5, 7, 2])


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--meters", type=int, nargs="+", default=[10_000])
    parser.add_argument("--slice", type=int, default=8192)
    parser.add_argument("--day", type=int, default=10, help="of June 2026")
    parser.add_argument("--peers", type=int, default=100, help="meters of the peers' day; 0: no peers")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    midnight = datetime(2026, 6, options.day, tzinfo=ZONE)
    if len(options.meters) > 1:
        result = run_each(sorted(options.meters), options.slice, options.day, options.folder)
    else:
        folder = options.folder or Path(tempfile.mkdtemp(prefix="mdm-day-"))
        try:
            result = run(folder, options.meters[0], options.slice, midnight)
        finally:
            if options.folder is None:
                shutil.rmtree(folder)
    if options.peers:
        day = make_day(2 * max(10, options.peers), 0)  # some series without any fault
        from_s = int(midnight.timestamp())
        peers = {"pandas": pandas_day(day, from_s), "myems": myems_day(day, from_s)}
        result["peers"] = with_ratios(result["figure"], peers)
        result["is_right"] &= all(peer["is_right"] for peer in peers.values())
    finish(result, is_strict=options.strict)


def run_each(counts: list[int], slice_count: int, day: int, folder: Path | None) -> dict[str, Any]:
    """Return a row for each N, the figure of the largest, and how cost and memory grow."""
    slice_count = min(slice_count, counts[0])
    rows = []
    for count in counts:
        if folder:
            (folder / str(count)).mkdir(parents=True)
        command = [sys.executable, __file__, "--meters", str(count), "--slice", str(slice_count)]
        command += [
            "--day",
            str(day),
            "--peers",
            "0",
            *(["--folder", str(folder / str(count))] if folder else []),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if not done.stdout:
            raise RuntimeError(f"no figures of {count} meters")
        rows.append(json.loads(done.stdout))
    return with_goals(grown(rows), least={"figure": GOAL})


def grown(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows of several N, smallest first, with their growth; right if all are and neither grows."""
    first, last = rows[0], rows[-1]
    cost = last["ns_per_value"]["all"] / first["ns_per_value"]["all"]
    memory = last["peak_mb"]["pipeline"] / first["peak_mb"]["pipeline"]
    is_right = all(row["is_right"] for row in rows)
    return {
        "figure": last["figure"],
        "unit": last["unit"],
        "n_meters": [row["n_meters"] for row in rows],
        "cost_growth": round(cost, 3),
        "is_cost_linear": cost <= COST_GROWTH_MOST,
        "memory_growth": round(memory, 3),
        "is_memory_bounded": memory <= MEMORY_GROWTH_MOST,
        "is_right": is_right and cost <= COST_GROWTH_MOST and memory <= MEMORY_GROWTH_MOST,
        "rows": rows,
    }


def run(folder: Path, meters_count: int, slice_count: int, midnight: datetime) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether all checks hold."""
    rig = Rig(folder)
    try:
        return with_goals(measure(rig, meters_count, slice_count, midnight), least={"figure": GOAL})
    finally:
        rig.close()


def measure(rig: Rig, meters_count: int, slice_count: int, midnight: datetime) -> dict[str, Any]:
    """Live the day in slices, then check and count."""
    before_s = calib()
    from wattkeeper.data.registry.models import Tenant

    tenant = Tenant.objects.create(name="city", created_at=midnight - timedelta(days=400))
    slices = [
        (first, min(slice_count, meters_count - first)) for first in range(0, meters_count, slice_count)
    ]
    for first, count in slices:
        add_street(tenant.id, first, count, midnight - timedelta(days=365))
        open_registers(rig, tenant.id, first, make_day(2 * count, first), int(midnight.timestamp()))
    rig.wait_idle()
    store_s = rig.store_cpu_s()
    reports = [live_a_day(rig, tenant.id, first, count, midnight) for first, count in slices]
    rig.wait_idle()
    store_s = rig.store_cpu_s() - store_s
    peaks_mb = rig.peaks_mb()  # before the checks, which hold more
    merges = rig.merges_of_a_row()
    checks = check_all(rig, tenant.id, slices, int(midnight.timestamp()))
    values_count = meters_count * READS * 2
    total_s = store_s + sum(rig.phases.values())
    return {
        "figure": round(values_count / total_s),
        "unit": "values per core-second",
        "day": str(midnight.date()),
        "n_meters": meters_count,
        "n_values": values_count,
        "ns_per_value": {
            "store": round(store_s / values_count * 1e9),
            **{name: round(s / values_count * 1e9) for name, s in rig.phases.items()},
            "all": round(total_s / values_count * 1e9),
        },
        "of_pipeline_ns_per_value": {
            **{name: round(s / values_count * 1e9) for name, s in sorted(rig.stages.items())},
            "arrays": round((rig.phases["pipeline"] - sum(rig.stages.values())) / values_count * 1e9),
        },
        "ten_million_meters_minutes_on_two_cores": round(1.92e9 / (values_count / total_s) / 2 / 60, 1),
        "merges_of_a_row": merges,
        "peak_mb": peaks_mb,
        "runs": len(reports),
        "is_right": checks.pop("is_right"),
        "checks": checks,
        "calib_s": [before_s, calib()],
    }


def open_registers(rig: Rig, tenant_id: int, first_meter: int, day: Day, from_s: int) -> None:
    """Store what the registers said at midnight, as the day before left it."""
    from wattkeeper.store.api import RawBatch

    channel_id = 2 * first_meter + 1 + np.arange(len(day.energy))
    at_s = np.full(len(channel_id), from_s)
    rig.store.insert_raw([_batch(RawBatch, tenant_id, first_meter, channel_id, at_s, day.told[:, 0])])


def live_a_day(rig: Rig, tenant_id: int, first_meter: int, count: int, midnight: datetime) -> int:
    """Fill the spool with a slice's day, then drain it and derive what it touched; return the runs."""
    from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
    from wattkeeper.headend.spool import Spool
    from wattkeeper.pipeline.derive import run_once
    from wattkeeper.store.batch_codec import encode_batch

    day, now = make_day(2 * count, first_meter), midnight + timedelta(days=1, minutes=10)
    batches = _batches(tenant_id, first_meter, day, int(midnight.timestamp()))
    spool = Spool(rig.folder / "spool", capacity_bytes=1 << 34)
    spool.append([encode_batch(batch) for batch in batches])
    with rig.phase("drain"):
        rig.drain(spool)
    spool.close()
    ports = rig.timed(pipeline_ports(rig.store, tenant_id, lambda: now))
    runs = 0
    with rig.phase("pipeline"):
        while run_once(ports, now).run_id is not None:
            runs += 1
    return runs


def _batches(tenant_id: int, first_meter: int, day: Day, from_s: int) -> Any:
    from wattkeeper.store.api import RawBatch

    at_s = from_s + INTERVAL_S * np.arange(1, READS + 1)
    for first in range(0, len(day.energy), 2 * BATCH_METERS):
        part = slice(first, min(first + 2 * BATCH_METERS, len(day.energy)))
        row, at = np.nonzero(day.is_read[part, 1:])
        channel_id = 2 * first_meter + 1 + first + row
        yield _batch(RawBatch, tenant_id, channel_id[0], channel_id, at_s[at], day.told[part, 1:][row, at])


def _batch(make: Any, tenant_id: int, number: int, channel_id: Any, at_s: Any, value: Any) -> Any:
    nothing = np.zeros(len(value), dtype=np.int64)
    return make(
        tenant_id=tenant_id,
        batch_id=int(number) + (1 << 40),
        received_at_s=int(at_s[-1]) + 600,
        channel_id=channel_id.astype(np.int64),
        measured_at_s=at_s.astype(np.int64),
        value=value,
        flags=nothing,
        source=nothing + 5,
        frame_index=nothing - 1,
    )


def check_all(rig: Rig, tenant_id: int, slices: list[tuple[int, int]], from_s: int) -> dict[str, Any]:
    """Compare every series with the truth."""
    totals: dict[str, int] = {}
    findings = find_findings(tenant_id, from_s)
    for first, count in slices:
        day = make_day(2 * count, first)
        for name, number in check_slice(rig, tenant_id, first, day, from_s, findings).items():
            totals[name] = totals.get(name, 0) + number
    shares = {}
    for name in ("lost", "rollover", "wrong", "surge"):
        found, true, both = (totals.pop(f"{name}_{kind}") for kind in ("found", "true", "both"))
        shares[name] = {
            "true": true,
            "precision": both / found if found else 0.0,  # nothing found or planted proves nothing
            "recall": both / true if true else 0.0,
        }
    is_right = not totals["values_off"] and not totals["energy_off_milliwh"] and not totals["reads_off"]
    is_right &= not totals["rates_off_milliwh"]
    is_right &= all(share[kind] >= SHARE_MIN for share in shares.values() for kind in ("precision", "recall"))
    return {**totals, **shares, "is_right": is_right}


def check_slice(
    rig: Rig,
    tenant_id: int,
    first_meter: int,
    day: Day,
    from_s: int,
    findings: dict[str, set[tuple[int, float]]],
) -> dict[str, int]:
    """Return what is off in a slice, and how findings and truth meet."""
    count = len(day.energy)
    ids = 2 * first_meter + 1 + np.arange(count)
    reads = rig.store.raw_reads(tenant_id, ids.tolist(), from_s, from_s + 86_401)
    found = rig.store.measurements(tenant_id, ids.tolist(), from_s - 86_400, from_s + 2 * 86_400)
    row, at = found.series_id - ids[0], (found.starts_at_s - from_s) // INTERVAL_S
    value, provenance = np.zeros((2, count, READS), dtype=np.int64)
    value[row, at], provenance[row, at] = found.value_milliwh, found.provenance
    is_whole = day.is_known[:, 1:] & day.is_known[:, :-1]
    truth_milliwh = day.energy * STEP_MILLIWH
    known_until = READS - np.argmax(day.is_known[:, ::-1], axis=1)
    is_bracketed = np.arange(READS) < known_until[:, None]
    energy_milliwh = np.where(is_bracketed, truth_milliwh, 0).sum(axis=1)
    stored_milliwh = np.where(is_bracketed, value, 0).sum(axis=1)
    is_lost, is_estimated = ~is_whole & is_bracketed, provenance == 2
    found_by_rule = {
        rule: {place for place in places if ids[0] <= place[0] <= ids[-1]}
        for rule, places in findings.items()
    }
    rates = rig.store.rate_days(tenant_id, ids.tolist(), from_s, from_s + 86_400)
    of_rate = RATE_OF_HOUR[np.arange(READS) // 4]
    rated_milliwh = np.zeros((count, 3), dtype=np.int64)
    rated_milliwh[rates.series_id - ids[0], rates.rate_index] = rates.energy_milliwh
    true_milliwh = np.stack([np.where(of_rate == rate, value, 0).sum(axis=1) for rate in range(3)], axis=1)
    return {
        "rates_off_milliwh": int(np.abs(rated_milliwh - true_milliwh).sum()),
        "reads_off": abs(len(reads.value) - int(day.is_read.sum())),
        "values_off": int((is_whole & ((value != truth_milliwh) | (provenance != 1))).sum())
        + int((~is_bracketed & (provenance != 0)).sum()),
        "energy_off_milliwh": int(np.abs(energy_milliwh - stored_milliwh).sum()),
        "measured": int((provenance == 1).sum()),
        "estimated": int(is_estimated.sum()),
        **_meet("lost", set(np.flatnonzero(is_estimated).tolist()), set(np.flatnonzero(is_lost).tolist())),
        **_meet("rollover", found_by_rule.get("readings.rollover", set()), _truth_of_rollovers(day, ids)),
        **_meet("wrong", found_by_rule.get("readings.jump", set()), _truth(ids, *np.nonzero(day.is_wrong))),
        **_meet("surge", found_by_rule.get("vee.spike", set()), _truth_of_surges(day, ids)),
    }


def find_findings(tenant_id: int, from_s: int) -> dict[str, set[tuple[int, float]]]:
    """Return series and start, in intervals of the day, of the findings of each rule."""
    from wattkeeper.data.alarms.models import Finding

    found: dict[str, set[tuple[int, float]]] = {}
    rules = ("readings.rollover", "readings.jump", "vee.spike")
    rows = Finding.objects.filter(tenant_id=tenant_id, rule__in=rules).values_list(
        "rule", "subject_key", "starts_at"
    )
    for rule, subject, starts_at in rows:
        place = int(subject.removeprefix("series:")), (starts_at.timestamp() - from_s) / INTERVAL_S
        found.setdefault(rule, set()).add(place)
    return found


def _truth(ids: Any, row: Any, at: Any) -> set[tuple[int, float]]:
    return set(zip(ids[row].tolist(), at.tolist(), strict=True))


def _truth_of_rollovers(day: Day, ids: Any) -> set[tuple[int, float]]:
    """Where the register comes round between two known reads, named by the first of them."""
    places = np.where(day.is_known, np.arange(READS + 1), -1)
    before = np.maximum.accumulate(places, axis=1)[:, :-1]
    rows = np.arange(len(ids))[:, None]
    has_turned = day.is_known[:, 1:] & (day.register[:, 1:] < day.register[rows, before])
    row, at = np.nonzero(has_turned)
    return _truth(ids, row, before[row, at])


def _truth_of_surges(day: Day, ids: Any) -> set[tuple[int, float]]:
    rows = np.flatnonzero(day.surge_index >= 0)
    return _truth(ids, rows, day.surge_index[rows])


def _meet(name: str, found: set[Any], true: set[Any]) -> dict[str, int]:
    return {f"{name}_found": len(found), f"{name}_true": len(true), f"{name}_both": len(found & true)}


if __name__ == "__main__":
    main()
