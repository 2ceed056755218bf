"""Bytes a stored value takes: `measurement` with quality and run, `raw_read`, frames; beside PostgreSQL COPY.

    python benchmarks/store_bytes.py [--series 1000] [--folder DIR]

A month of quarter hours, a run a day, 0.5 % of the values (runs of four) estimated to the milliwatt-hour;
then raw reads of two registers a meter with one frame a meter and day. Measured after the merges, index and
checksums included. The same derived values are copied into PostgreSQL, with and without a primary key. What
both hold is counted and summed before.
"""

import io
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from mdm_rig import finish, parser_of, with_goals
from store_rig import (
    DAY_S,
    INTERVALS_COUNT,
    JUNE_S,
    OwnStore,
    calib,
    day_batches,
    month_values,
    own_store,
)

from wattkeeper.store.api import Measurements, RawBatch, RawFrame

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from conformance.postgres import postgres_server

GOAL_BYTES = 1.6
DAYS_COUNT = 30
RAW_DAYS_COUNT = 10


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="store-bytes-"))
    try:
        result = run(folder, options.series)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    finish(result, is_strict=options.strict)


def run(folder: Path, series_count: int) -> dict[str, Any]:
    """Return the figures; `is_right` tells whether both stores hold what they were given."""
    rng = np.random.default_rng(1)
    before_s = calib()
    days = [month_values(rng, 1, series_count, JUNE_S + day * DAY_S, 1) for day in range(DAYS_COUNT)]
    count = sum(len(day.series_id) for day in days)
    total = sum(int(day.value_milliwh.sum()) for day in days)
    batches = [batch for day in range(RAW_DAYS_COUNT) for batch in raw_day(rng, series_count, day)]
    with own_store(folder) as store:
        for day in days:
            store.client.insert_measurements(1, day)
        for start in range(0, len(batches), 10):
            store.client.insert_raw(batches[start : start + 10])
        sizes = {table: size_of(store, table) for table in ("measurement", "raw_read", "raw_frame")}
        (row,) = store.ask("SELECT count(), sum(value_milliwh) FROM measurement")
        columns = {
            name: round(float(size), 4)
            for name, size in store.ask(
                "SELECT column, sum(column_bytes_on_disk) / sum(rows) FROM system.parts_columns"
                " WHERE active AND table = 'measurement' GROUP BY column"
            )
        }
    is_right = [int(text) for text in row] == [count, total]
    is_right &= sizes["raw_read"][0] == sum(len(batch.value) for batch in batches)
    peer = copy_to_postgres(days)
    is_right &= peer.pop("held") == [count, total]
    result = {
        "benchmark": "store_bytes",
        "bytes_per_value": round(sizes["measurement"][1], 3),
        "is_right": is_right,
        "n_values": count,
        "bytes_per_value_by_column": columns,
        "raw_read_bytes_per_value": round(sizes["raw_read"][1], 3),
        "raw_frame_bytes_per_frame": round(sizes["raw_frame"][1], 1),
        "raw_frame_content_bytes_per_frame": INTERVALS_COUNT * 2 * 5,
        "postgresql": peer,
        "calib_s": [before_s, calib()],
    }
    return with_goals(result, most={"bytes_per_value": GOAL_BYTES})


def raw_day(rng: np.random.Generator, series_count: int, day: int) -> list[RawBatch]:
    """Batches of 100 meters, a frame of 2 x 96 tagged numbers a meter."""
    batches_count = max(1, series_count // 200)
    return [with_frames(batch) for batch in day_batches(rng, 1, batches_count, 100, JUNE_S + day * DAY_S)]


def with_frames(batch: RawBatch) -> RawBatch:
    """The batch with the frames its reads came in."""
    per_frame = 2 * INTERVALS_COUNT
    tagged = np.zeros((len(batch.value), 5), np.uint8)
    tagged[:, 0] = 6
    tagged[:, 1:] = batch.value.astype(">u4").view(np.uint8).reshape(-1, 4)
    contents = [tagged[start : start + per_frame].tobytes() for start in range(0, len(tagged), per_frame)]
    frames = tuple(RawFrame(1, index, batch.received_at_s, content) for index, content in enumerate(contents))
    return replace(batch, frames=frames, frame_index=np.arange(len(batch.value)) // per_frame)


def size_of(store: OwnStore, table: str) -> tuple[int, float]:
    """Rows of a table, and bytes on disk a row once it is merged."""
    store.ask(f"OPTIMIZE TABLE {table} FINAL")
    (row,) = store.ask(
        f"SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = '{table}'"
    )
    return int(row[0]), int(row[1]) / int(row[0])


def copy_to_postgres(days: list[Measurements]) -> dict[str, Any]:
    """Bytes a value in a real server, copied as one would; `held` is its own count and sum."""
    with postgres_server() as url, psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE measurement (tenant_id bigint, series_id bigint, starts_at timestamptz,"
            " run_id bigint, value_milliwh bigint, provenance smallint, flags integer, method smallint)"
        )
        for day in days:
            with connection.cursor().copy("COPY measurement FROM STDIN") as copy:
                copy.write(text_of(day))

        def told(query: str) -> Any:
            return connection.execute(query).fetchone()

        held = told("SELECT count(*), sum(value_milliwh) FROM measurement")
        plain = told("SELECT pg_total_relation_size('measurement')")
        connection.execute(
            "ALTER TABLE measurement ADD PRIMARY KEY (tenant_id, series_id, starts_at, run_id)"
        )
        keyed = told("SELECT pg_total_relation_size('measurement')")
        version = told("SHOW server_version")
    return {
        "held": [int(number) for number in held],
        "bytes_per_value": round(plain[0] / held[0], 1),
        "bytes_per_value_with_primary_key": round(keyed[0] / held[0], 1),
        "version": version[0],
    }


def text_of(day: Measurements) -> bytes:
    """Lines for COPY."""
    stamps = np.datetime_as_string(day.starts_at_s.astype("datetime64[s]"), timezone="UTC")
    columns = (day.series_id, stamps, day.run_id, day.value_milliwh, day.provenance, day.flags, day.method)
    text = io.StringIO()
    for row in zip(*(column.tolist() for column in columns), strict=True):
        text.write("1\t" + "\t".join(map(str, row)) + "\n")
    return text.getvalue().encode()


if __name__ == "__main__":
    main()
