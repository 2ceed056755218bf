"""The parts of every table at one moment, without a pause: hard links made by the engine, and back again.

For an engine whose folder is on this machine. A table is frozen in one step, while no insert runs; the tables
one after another.
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.schema import TABLES
from wattkeeper.store.scratch import hold, take_away_dead

_NAME = "wattkeeper_"  # the engine would write other signs than letters, digits and this otherwise


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """The parts of a table: folders that nobody writes any more."""

    name: str
    parts: tuple[Path, ...]


def is_local(store: HttpReadingStore) -> bool:
    """Whether the engine's folder is on this machine."""
    return (_disk(store) / "store").is_dir()


@contextmanager
def frozen(store: HttpReadingStore) -> Iterator[list[FrozenTable]]:
    """Freeze every table; the links are gone after the block. Those that a dead command left go first."""
    disk = _disk(store)
    take_away_dead((disk / "shadow").glob(f"{_NAME}*"))
    shadow, lock = _shadow(disk)
    try:
        for table in TABLES:
            store.execute(f"ALTER TABLE {table} FREEZE WITH NAME '{shadow.name}'")
        yield [
            FrozenTable(table, tuple(sorted(_parts(shadow, folder))))
            for table, folder in _folders(store).items()
        ]
    finally:
        shutil.rmtree(shadow, ignore_errors=True)
        os.close(lock)


def attach(store: HttpReadingStore, table: str, parts: Path) -> None:
    """
    Put the parts in a folder into a table and have the engine check each of their files.

    :raises WattkeeperError: ``store.parts-damaged`` if one of them is not whole
    """
    detached = _folders(store)[table] / "detached"
    detached.mkdir(exist_ok=True)
    for part in sorted(parts.iterdir()):
        shutil.move(part, detached / part.name)
        store.execute(f"ALTER TABLE {table} ATTACH PART '{part.name}'")
    rows = store.select(
        f"CHECK TABLE {table} FORMAT ArrowStream SETTINGS check_query_single_value_result = 0"
    )
    for row in rows.to_pylist():
        if not row["is_passed"]:
            raise WattkeeperError("store.parts-damaged", table=table, part=row["part_path"])


def forget_runs(store: HttpReadingStore, newest_run_id: int) -> None:
    """Take away what runs wrote that the relational side does not know: they will be done again."""
    for table, text in TABLES.items():
        if "run_id Int64" in text:
            store.execute(
                f"ALTER TABLE {table} DELETE WHERE run_id > {int(newest_run_id)} SETTINGS mutations_sync = 2"
            )


def _shadow(disk: Path) -> tuple[Path, int]:
    """Make the engine a folder for its links, and return it with its lock."""
    owner = disk.stat()
    while True:
        shadow = disk / "shadow" / f"{_NAME}{uuid.uuid4().hex}"
        for folder in (shadow.parent, shadow):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o750)
                os.chown(folder, owner.st_uid, owner.st_gid)
        lock = hold(shadow)
        if lock is not None:  # else another backup has just taken it for a dead one's
            return shadow, lock


def _parts(shadow: Path, folder: Path) -> Iterator[Path]:
    """Yield the frozen parts of the table whose own folder this is."""
    place = shadow / folder.relative_to(folder.parents[2])
    if place.is_dir():
        yield from (part for part in place.iterdir() if (part / "checksums.txt").exists())


def _folders(store: HttpReadingStore) -> Mapping[str, Path]:
    names = ", ".join(f"'{table}'" for table in TABLES)
    rows = store.select(
        "SELECT name, data_paths[1] AS folder FROM system.tables"  # noqa: S608 - names of the schema
        f" WHERE database = currentDatabase() AND name IN ({names}) FORMAT ArrowStream"
    ).to_pylist()
    return {row["name"]: Path(row["folder"]) for row in rows}


def _disk(store: HttpReadingStore) -> Path:
    rows = store.select("SELECT path FROM system.disks WHERE name = 'default' FORMAT ArrowStream").to_pylist()
    return Path(rows[0]["path"])
