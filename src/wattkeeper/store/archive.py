"""Months of a table as Parquet files: written, read back, compared, and only then removed from the engine.

A folder per table and month holds ``rows.parquet`` and ``manifest.json``; ``removed`` lies beside them while
the month is out of the engine. Removal moves the month into a table of its own in one step, so that nothing
can be added between the last comparison and the end. Of a month that was destroyed only the manifest stays,
as ``destroyed-*.json``. Whoever moves or destroys months holds the `archive_lock`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import archive_queries as queries
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.mixing import MASK, mix_table
from wattkeeper.store.schema import TABLES
from wattkeeper.store.windows import month_span

_DERIVED = ("raw_read", "measurement", "rate_day")
MONTHLY = ("raw_receipt", "raw_read", "raw_frame", "measurement", "rate_day")
ROWS_MAX_COUNT = 1_000_000  # of one slice: what bounds memory
_FORMAT_VERSION = 1
_BATCH = ("batch_id", "frame_index")
_ROWS, _MANIFEST, _REMOVED, _DESTROYED = "rows.parquet", "manifest.json", "removed", "destroyed-{}.json"
_LEAVING = b"leaving"  # in `removed` until what left was compared once more


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the file of one month holds. `sums`: exact sums of columns; `runs`: values by run."""

    table: str
    month: int  # yyyymm, UTC
    rows_count: int
    rows_mix: int
    sums: Mapping[str, int]
    file_bytes: int
    file_sha256: str
    runs: Mapping[str, int] = field(default_factory=dict)
    format_version: int = _FORMAT_VERSION

    def place(self, folder: Path) -> Path:
        """Return the folder of the month."""
        return folder / self.table / str(self.month)


def archive_month(store: HttpReadingStore, folder: Path, table: str, month: int) -> Manifest | None:
    """
    Write one month of a table and prove that the file holds all of it; None where there is nothing.

    A month that is only in its file comes back first: what came since is written with it, not over it.

    :raises WattkeeperError: ``store.archive-unequal`` if what is read back differs; ``store.archive-damaged``
    """
    place = folder / table / str(month)
    if (place / _MANIFEST).exists() and is_removed(folder, known := _read(place / _MANIFEST)):
        restore_month(store, folder, known)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = place / (_ROWS + ".new")
    rows_count = write_month(store, table, month, fresh)
    if not rows_count:
        fresh.unlink(missing_ok=True)
        return None
    total = _totals(fresh)
    if total[0] != rows_count or total != _stored(store, table, month):
        raise WattkeeperError("store.archive-unequal", is_permanent=False, table=table, month=month)
    fresh.replace(place / _ROWS)
    runs = store.select(queries.runs(month)).to_pylist() if table == "measurement" else []
    manifest = Manifest(
        table,
        month,
        *total,
        _sums(store, table, month),
        (place / _ROWS).stat().st_size,
        _digest(place / _ROWS),
        {str(row["run_id"]): row["rows"] for row in runs},
    )
    _write_durably(place / _MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def remove_month(store: HttpReadingStore, folder: Path, manifest: Manifest) -> None:
    """
    Remove a month from the engine once its file has been checked again.

    :raises WattkeeperError: ``store.archive-damaged``; ``store.archive-unequal`` if something came meanwhile:
        nothing is removed then
    """
    require_whole(folder, manifest)
    aside = f"{manifest.table}_leaving"
    removed = manifest.place(folder) / _REMOVED
    bring_back(store, folder, manifest.table)
    store.execute(f"CREATE TABLE {aside} AS {manifest.table}")
    _write_durably(removed, _LEAVING)
    store.execute(queries.move(manifest.table, aside, manifest.month))
    if _stored(store, aside, manifest.month) != (manifest.rows_count, manifest.rows_mix):
        bring_back(store, folder, manifest.table)
        raise WattkeeperError(
            "store.archive-unequal", is_permanent=False, table=manifest.table, month=manifest.month
        )
    _write_durably(removed, b"")
    store.execute(f"DROP TABLE {aside} SYNC")


def bring_back(store: HttpReadingStore, folder: Path, table: str) -> None:
    """Put back what an interrupted removal has set aside; a month that is only in its file has left.

    So it is after a restore: a backup has no tables but those of the schema.
    """
    aside = f"{table}_leaving"
    if store.select(queries.exists(aside)).num_rows:
        for month in months_of(store, aside):
            if (removed := folder / table / str(month) / _REMOVED).exists():
                _write_durably(removed, _LEAVING)
            store.execute(queries.move(aside, table, month))
        store.execute(f"DROP TABLE {aside} SYNC")
    for removed in folder.glob(f"{table}/*/{_REMOVED}"):
        if removed.read_bytes() != _LEAVING:
            continue
        manifest = _read(removed.with_name(_MANIFEST))
        if not verify_files(folder, manifest) and find_lost(store, folder, manifest):
            _write_durably(removed, b"")
        else:
            removed.unlink()


def destroy_month(folder: Path, manifest: Manifest) -> None:
    """
    Destroy the file of a month that is only there; what it held stays written down.

    :raises WattkeeperError: ``store.archive-damaged`` where the file is not the one that was written
    """
    require_whole(folder, manifest)
    place = manifest.place(folder)
    (place / _MANIFEST).replace(place / _DESTROYED.format(manifest.file_sha256[:16]))
    _sync(place)
    finish_destroying(folder)


def finish_destroying(folder: Path) -> None:
    """Take away the rows of months of which only what was destroyed is written down."""
    for place in {path.parent for path in folder.glob(f"*/*/{_DESTROYED.format('*')}")}:
        if not (place / _MANIFEST).exists():
            for name in (_ROWS, _REMOVED):
                (place / name).unlink(missing_ok=True)


def restore_month(store: HttpReadingStore, folder: Path, manifest: Manifest) -> None:
    """
    Put a month back, bit for bit; rows that came since stay, rows that are there are not doubled.

    :raises WattkeeperError: ``store.archive-damaged`` before anything is changed
    """
    require_whole(folder, manifest)
    aside, table = f"{manifest.table}_returning", manifest.table
    store.execute(f"DROP TABLE IF EXISTS {aside} SYNC")
    store.execute(_keeping_all(aside, table))
    for rows in read_rows(manifest.place(folder) / _ROWS):
        store.insert_table(aside, rows)
    if _stored(store, aside, manifest.month) != (manifest.rows_count, manifest.rows_mix):
        raise WattkeeperError("store.archive-damaged", table=table, month=manifest.month)
    if _stored(store, table, manifest.month)[0]:
        store.execute(queries.add_missing(table, aside, _kinds(store, table), manifest.month))
    else:
        store.execute(queries.move(aside, table, manifest.month))
    store.execute(f"DROP TABLE {aside} SYNC")
    (manifest.place(folder) / _REMOVED).unlink(missing_ok=True)


def list_manifests(folder: Path) -> list[Manifest]:
    """Return what the archive holds, in order of table and month."""
    return _list(folder, _MANIFEST)


def list_destroyed(folder: Path) -> list[Manifest]:
    """Return what the archive held once, in order of table and month."""
    return _list(folder, _DESTROYED.format("*"))


def iter_away(folder: Path) -> Iterator[Manifest]:
    """Yield what is out of the engine, only in the archive or destroyed; one at a time, for they are long."""
    for path in _files(folder, _MANIFEST):
        if is_removed(folder, found := _read(path)):
            yield found
    yield from map(_read, _files(folder, _DESTROYED.format("*")))


def months_written(folder: Path, table: str) -> set[int]:
    """Return the months of a table that were ever written, destroyed ones too, readable or not."""
    return {int(place.name) for place in folder.glob(f"{table}/*") if place.name.isdigit()}


def is_removed(folder: Path, manifest: Manifest) -> bool:
    """Whether the month is out of the engine."""
    return (manifest.place(folder) / _REMOVED).exists()


def is_there_too(store: HttpReadingStore, manifest: Manifest) -> bool:
    """Whether the engine holds the month just as its file does."""
    return _stored(store, manifest.table, manifest.month) == (manifest.rows_count, manifest.rows_mix)


def verify_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the names of the month's files that are not the ones that were written."""
    path = manifest.place(folder) / _ROWS
    if path.exists() and path.stat().st_size == manifest.file_bytes and _digest(path) == manifest.file_sha256:
        return []
    return [str(path.relative_to(folder))]


def miscounted(folder: Path, manifest: Manifest) -> Iterator[tuple[str, int, int]]:
    """Yield what a manifest says wrongly of its file, which is whole: the figure, told and recounted."""
    path = manifest.place(folder) / _ROWS
    for name, held in zip(("rows_count", "rows_mix"), _totals(path), strict=True):
        if getattr(manifest, name) != held:
            yield name, getattr(manifest, name), held
    sums = _sums_of(path)
    for name in sorted(manifest.sums.keys() | sums.keys()):
        if manifest.sums.get(name) != sums[name]:
            yield f"sum of {name}", manifest.sums.get(name, 0), sums[name]
    if manifest.table != "measurement":
        return
    held_of = _count_runs(path)
    for run in sorted(manifest.runs.keys() | held_of.keys(), key=int):
        if manifest.runs.get(run, 0) != held_of[run]:
            yield f"run {run}", manifest.runs.get(run, 0), held_of[run]


def require_whole(folder: Path, manifest: Manifest) -> None:
    """
    Check that the month's file is the one that was written.

    :raises WattkeeperError: ``store.archive-damaged``
    """
    if verify_files(folder, manifest):
        raise WattkeeperError("store.archive-damaged", table=manifest.table, month=manifest.month)


def away_months(folder: Path, tables: Sequence[str] = _DERIVED) -> set[int]:
    """Return the months (yyyymm) of which one of the tables is only in the archive, or destroyed."""
    return {manifest.month for manifest in iter_away(folder) if manifest.table in tables}


def horizon_s(folder: Path) -> int:
    """Return the end of the newest month that is only in the archive or destroyed, 0 where none is."""
    return max((month_span(month)[1] for month in away_months(folder)), default=0)


def find_lost(store: HttpReadingStore, folder: Path, manifest: Manifest) -> list[dict[str, Any]]:
    """
    Return what the file of a month holds and the engine, which has the month too, does not hold so.

    For each ``key`` of a ``column`` of the table, beside ``tenant_id``: ``rows``, ``first_at_s``. A read
    that was delivered again stands for itself, whatever batch it came in.
    """
    table = manifest.table
    kinds = _kinds(store, table)
    if is_there_too(store, manifest):
        return []
    aside = f"{table}_compared"
    store.execute(f"DROP TABLE IF EXISTS {aside} SYNC")
    store.execute(_keeping_all(aside, table))
    for rows in read_rows(manifest.place(folder) / _ROWS):
        store.insert_table(aside, rows)
    names = [name for name in kinds if name not in _BATCH or table != "raw_read"]
    found: list[dict[str, Any]] = []
    for key_range in _slices(store, aside, manifest.month):
        found += store.select(queries.lost(table, aside, names, manifest.month, key_range)).to_pylist()
    store.execute(f"DROP TABLE {aside} SYNC")
    return [row | {"column": queries.key_of(table)} for row in found]


def months_of(store: HttpReadingStore, table: str) -> list[int]:
    """Return the months of a table that the engine holds, oldest first."""
    return sorted(count_months(store, table))


def count_months(store: HttpReadingStore, table: str) -> dict[int, int]:
    """Return how many rows of each month of a table the engine holds."""
    return {row["month"]: row["rows"] for row in store.select(queries.months(table)).to_pylist()}


def read_rows(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a file slice by slice, as they were stored."""
    with pq.ParquetFile(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)


def write_month(store: HttpReadingStore, table: str, month: int, path: Path) -> int:
    """Write all rows of a month to a file, durably, and return how many those are."""
    kinds = _kinds(store, table)
    count = 0
    writer: pq.ParquetWriter | None = None
    try:
        for key_range in _slices(store, table, month):
            rows = store.select(queries.rows(table, kinds, month, key_range))
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd")
            writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
            count += rows.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        _sync(path)
    return count


def _slices(store: HttpReadingStore, table: str, month: int) -> Iterator[queries.KeyRange]:
    """Yield ranges of tenant and second key with at most `ROWS_MAX_COUNT` rows, or one key."""
    first: tuple[int, int] | None = None
    last, count = (0, 0), 0
    for row in store.select(queries.key_counts(table, month)).to_pylist():
        key = (row["tenant_id"], row["key"])
        if first is not None and (count + row["rows"] > ROWS_MAX_COUNT or key[0] != first[0]):
            yield first[0], first[1], last[1]
            first, count = None, 0
        first = first or key
        last, count = key, count + row["rows"]
    if first is not None:
        yield first[0], first[1], last[1]


def _totals(path: Path) -> tuple[int, int]:
    count, total = 0, 0
    for rows in read_rows(path):
        count, total = count + rows.num_rows, (total + mix_table(rows)) & MASK
    return count, total


def _sums_of(path: Path) -> Counter[str]:
    """Return the exact sums of a file's columns, those of bytes over their lengths."""
    total = Counter[str]()
    for rows in read_rows(path):
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            is_number = pa.types.is_integer(column.type)
            numbers = (column if is_number else pc.binary_length(column)).to_numpy()
            wide = numbers if numbers.dtype == np.uint64 else numbers.astype(np.int64)
            high = wide >> wide.dtype.type(32)
            low = wide - (high << wide.dtype.type(32))
            total[name] += (int(high.sum()) << 32) + int(low.sum())
    return total


def _count_runs(path: Path) -> Counter[str]:
    """Return how many values each run wrote, each once: those that are there twice lie side by side."""
    found = Counter[str]()
    with pq.ParquetFile(path) as file:
        for index in range(file.num_row_groups):
            rows = file.read_row_group(index, columns=["tenant_id", "series_id", "starts_at", "run_id"])
            columns = [column.to_numpy() for column in rows.columns]
            is_first = np.any([np.diff(column, prepend=column[:1] - 1) != 0 for column in columns], axis=0)
            runs, counts = np.unique(columns[-1][is_first], return_counts=True)
            found.update(dict(zip(map(str, runs.tolist()), counts.tolist(), strict=True)))
    return found


def _stored(store: HttpReadingStore, table: str, month: int) -> tuple[int, int]:
    row = store.select(queries.totals(table, _kinds(store, table), month)).to_pylist()[0]
    return int(row["rows"]), int(row["mixed"])


def _sums(store: HttpReadingStore, table: str, month: int) -> dict[str, int]:
    row = store.select(queries.sums(table, _kinds(store, table), month)).to_pylist()[0]
    return {name: int(value) for name, value in row.items()}


def _keeping_all(name: str, table: str) -> str:
    """A table like another whose engine drops no repeated row, as they were not dropped when they left."""
    statement = TABLES[table].replace("ReplacingMergeTree", "MergeTree")
    return statement.replace(f"IF NOT EXISTS {table} ", f"{name} ", 1)


def _kinds(store: HttpReadingStore, table: str) -> dict[str, str]:
    rows = store.select(queries.columns(table)).to_pylist()
    return {row["name"]: row["type"] for row in rows}


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _list(folder: Path, name: str) -> list[Manifest]:
    return [_read(path) for path in _files(folder, name)]


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"*/*/{name}"))  # by table and month, as the folders are named


def _read(path: Path) -> Manifest:
    """
    Return what a file says of a month.

    :raises WattkeeperError: ``store.archive-unreadable`` if it says nothing that is understood
    """
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise WattkeeperError("store.archive-unreadable", file=str(path)) from error
    if manifest.format_version != _FORMAT_VERSION:
        raise WattkeeperError("store.archive-unreadable", file=str(path))
    return manifest


def _write_durably(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    _sync(fresh)
    fresh.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
