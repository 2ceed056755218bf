"""Durable ingest: decoded batches into the fsynced spool, from there into the fsynced store, then forgotten.

    python benchmarks/store_ingest.py [--values 20000000] [--meters 100] [--peers 2000] [--folder DIR]

Batches as concentrators hand them over: `--meters` meters x 2 registers x 96 instants each, concentrators in
no order. Charged: this process from the decoded batch on (encoding, group commit, reading back, checksums,
the request) and the store process, whatever merges ran in the meantime included; what one merge of everything
costs is shown apart. Then the store's own count and sums are compared with numpy's, and re-delivered batches
must change nothing. The same is measured for `insert_measurements`. PostgreSQL copies the reads of `--peers`
meters: rate and bytes (see peers.py).
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mdm_rig import finish, parser_of, with_goals
from peers import postgres_copies, with_ratios
from store_rig import (
    INTERVALS_COUNT,
    JUNE_S,
    OwnStore,
    calib,
    cpu_of,
    day_batches,
    month_values,
    own_store,
    spool_and_drain,
)

from wattkeeper.headend.spool import Spool
from wattkeeper.store.api import RawBatch

GOAL = 4_000_000
SLICE_VALUES = 4_000_000
SERIES_DAYS = 30


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--values", type=int, default=20_000_000)
    parser.add_argument("--meters", type=int, default=100, help="of one batch")
    parser.add_argument("--peers", type=int, default=2000, help="meters of PostgreSQL's copy; 0: no peers")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="store-ingest-"))
    try:
        result = run(folder, options.values, options.meters, options.peers)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    finish(result, is_strict=options.strict)


def run(folder: Path, values_count: int, meters_count: int, peers_count: int = 0) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether what is stored is what was given."""
    before_s = calib()
    spool = Spool(folder / "spool")
    with own_store(folder) as store:
        warm_up(spool, store)
        raw = ingest_raw(spool, store, values_count, meters_count)
        derived = ingest_measurements(store, values_count)
        merged = {table: merge_cost(store, table) for table in ("raw_read", "measurement")}
    spool.close()
    peers = copy_to_peers(peers_count) if peers_count else {}
    result = {
        "benchmark": "store_ingest",
        "values_per_core_s": raw["values_per_core_s"],
        "is_right": raw.pop("is_right")
        and derived.pop("is_right")
        and all(peer.get("is_right", True) for peer in peers.values()),
        "raw_read": raw,
        "measurement": derived,
        "one_merge_of_all_cpu_ns_per_value": merged,
        "peers": with_ratios(raw["values_per_core_s"], peers),
        "calib_s": [before_s, calib()],
    }
    return with_goals(result, least={"values_per_core_s": GOAL})


def copy_to_peers(meters_count: int) -> dict[str, dict[str, Any]]:
    """Copy batches of the same generator into PostgreSQL."""
    batches = day_batches(
        np.random.default_rng(1), 1, -(-meters_count // 100), min(100, meters_count), JUNE_S
    )
    return postgres_copies([(batch.channel_id, batch.measured_at_s, batch.value) for batch in batches])


def merge_cost(store: OwnStore, table: str) -> int:
    """CPU nanoseconds a value to merge all parts of a table into one."""
    store.settle_s()
    before_s = store.cpu_s()
    store.ask(f"OPTIMIZE TABLE {table} FINAL")
    (row,) = store.ask(f"SELECT sum(rows) FROM system.parts WHERE active AND table = '{table}'")
    return round((store.cpu_s() - before_s) / int(row[0]) * 1e9)


def warm_up(spool: Spool, store: OwnStore) -> None:
    """One batch of another tenant's time, so that imports and first connections are not charged."""
    rng = np.random.default_rng(9)
    spool_and_drain(spool, store.client, day_batches(rng, 10**9, 1, 1, JUNE_S - 400 * 86_400))


def ingest_raw(spool: Spool, store: OwnStore, values_count: int, meters_count: int) -> dict[str, Any]:
    """Spool and drain slice after slice."""
    rng = np.random.default_rng(1)
    batch_values = meters_count * 2 * INTERVALS_COUNT
    slice_batches = max(1, min(SLICE_VALUES, values_count) // batch_values)
    spent = {"client": 0.0, "store": 0.0, "wall": 0.0}
    done_count, sums = 0, [0, 0, 0]
    last: Sequence[RawBatch] = ()
    while done_count < values_count:
        first = 1 + 2 * meters_count * (done_count // batch_values)
        last = day_batches(rng, first, slice_batches, meters_count, JUNE_S)
        used = cpu_of(lambda batches=last: spool_and_drain(spool, store.client, batches), store)  # type: ignore[misc]
        spent = {name: spent[name] + used[name] for name in spent}
        done_count += slice_batches * batch_values
        sums = [total + part for total, part in zip(sums, sums_of(last), strict=True)]
    is_right = stored_sums(store) == [done_count, *sums] and spool.batches_count == 0
    spool_and_drain(spool, store.client, last[:3])
    is_right &= stored_sums(store) == [done_count, *sums]
    return figures(spent, done_count) | {
        "is_right": is_right,
        "batch_values": batch_values,
        "bytes_per_value_on_arrival": bytes_per_value(store, "raw_read"),
        "parts": int(store.ask("SELECT count() FROM system.parts WHERE active AND table = 'raw_read'")[0][0]),
    }


def sums_of(batches: Sequence[RawBatch]) -> list[int]:
    """Sums of values, of channels and of channel times instant, as the store is asked for them."""
    return [
        sum(int(batch.value.sum()) for batch in batches),
        sum(int(batch.channel_id.sum()) for batch in batches),
        sum(int((batch.channel_id * (batch.measured_at_s - JUNE_S)).sum()) for batch in batches),
    ]


def stored_sums(store: OwnStore) -> list[int]:
    """The engine's own count and sums over distinct reads."""
    (row,) = store.ask(
        "SELECT count(), sum(value), sum(channel_id),"
        f" sum(channel_id * (toInt64(toUnixTimestamp(measured_at)) - {JUNE_S})) FROM (SELECT DISTINCT"
        f" channel_id, measured_at, value FROM raw_read WHERE tenant_id = 1 AND channel_id < 1000000000)"
    )
    return [int(text) for text in row]


def ingest_measurements(store: OwnStore, values_count: int) -> dict[str, Any]:
    """Store derived values, a month of some hundred series at a time, as runs do."""
    rng = np.random.default_rng(2)
    slice_series = max(1, min(1_000_000, values_count) // (SERIES_DAYS * INTERVALS_COUNT))
    spent = {"client": 0.0, "store": 0.0, "wall": 0.0}
    done_count = total = 0
    while done_count < values_count:
        first = 1 + done_count // (SERIES_DAYS * INTERVALS_COUNT)
        values = month_values(rng, first, slice_series, JUNE_S, SERIES_DAYS)
        used = cpu_of(lambda own=values: store.client.insert_measurements(1, own), store)  # type: ignore[misc]
        spent = {name: spent[name] + used[name] for name in spent}
        done_count += len(values.series_id)
        total += int(values.value_milliwh.sum())
    (row,) = store.ask("SELECT count(), sum(value_milliwh) FROM measurement WHERE tenant_id = 1")
    return figures(spent, done_count) | {"is_right": [int(text) for text in row] == [done_count, total]}


def figures(spent: dict[str, float], values_count: int) -> dict[str, Any]:
    """Values per core-second, and where the seconds went."""
    return {
        "values_per_core_s": round(values_count / (spent["client"] + spent["store"])),
        "n_values": values_count,
        **{
            f"{name}_{kind}": round(spent[name], 2)
            for name, kind in (("client", "cpu_s"), ("store", "cpu_s"), ("wall", "s"))
        },
    }


def bytes_per_value(store: OwnStore, table: str) -> float:
    """Bytes on disk of the active parts."""
    (row,) = store.ask(
        f"SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND table = '{table}'"
    )
    return round(int(row[0]) / int(row[1]), 3)


if __name__ == "__main__":
    main()
