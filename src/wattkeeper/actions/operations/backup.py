"""Back up everything while it is in use: one sealed file that makes an empty folder this installation again.

Order matters: the spool first, then the relational side, then the readings, receipts last (`half_stored`). A
batch that leaves the spool meanwhile is in the readings too, and twice is once. A value that a run of the
dumped side wrote is in the readings; what came later is there as well, and is done again after a restore. No
month leaves meanwhile.
"""

import fcntl
import io
import json
import os
import sqlite3
import tarfile
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.progress import Progress, unwatched
from wattkeeper.actions.operations.relational_dump import dump, dump_name
from wattkeeper.actions.operations.sealed import Kind, SealingWriter, Secret
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import archive
from wattkeeper.store.archive_lock import archive_lock
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.frozen import frozen, is_local
from wattkeeper.store.half_stored import came_between, known_batches
from wattkeeper.store.schema import TABLES
from wattkeeper.store.scratch import scratch_folder, take_away_dead

FORMAT_VERSION = 1
SUFFIX = ".wkbackup"
KEY_FILES = ("*.key", "tls/*")
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written. `parts`: readings by table, as many pieces as they are in."""

    path: Path
    backed_up_at: datetime
    file_bytes: int
    parts: dict[str, int]
    has_keys: bool


def back_up(
    *,
    store: HttpReadingStore,
    data_folder: Path,
    database: dict[str, Any],
    target: Path,
    secret: Secret,
    now: datetime,
    has_keys: bool = False,
    on_progress: Progress = unwatched,
) -> Backup:
    """
    Write a backup into the folder `target` and return it; nothing is there before all of it is.

    Key files go in only where asked, and only under a passphrase: a key file beside them would open them.

    :raises WattkeeperError: ``operations.keys-need-passphrase``, ``operations.dump-*``, ``store.*``
    """
    if has_keys and secret.kind is not Kind.PASSPHRASE:
        raise WattkeeperError("operations.keys-need-passphrase")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = target / f"wattkeeper-{now:%Y%m%dT%H%M%SZ}{SUFFIX}"
    fresh = path.with_suffix(".part")
    take_away_dead(target.glob("wattkeeper-*.part"))
    try:
        with fresh.open("wb") as file:
            with suppress(OSError):  # not every place for backups has locks
                fcntl.flock(file, fcntl.LOCK_EX)
            os.fchmod(file.fileno(), 0o600)
            parts = _write(file, store, data_folder, database, secret, now, has_keys, on_progress)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return Backup(path, now, path.stat().st_size, parts, has_keys)


def _write(
    file: io.BufferedWriter,
    store: HttpReadingStore,
    data_folder: Path,
    database: dict[str, Any],
    secret: Secret,
    now: datetime,
    has_keys: bool,
    on_progress: Progress,
) -> dict[str, int]:
    places = Places.of(data_folder)
    with (
        archive_lock(places.archive, is_shared=True),
        closing(SealingWriter(file, secret)) as sealed,
        open_archive(sealed) as tar,
        scratch_folder(data_folder, "backup") as (scratch, _),
    ):
        before = known_batches(store)
        on_progress("operations.step-spool", 0, 0)
        _add_spool(tar, places.spool, scratch)  # first: what is half delivered now is delivered again
        on_progress("operations.step-database", 0, 0)
        relational = scratch / dump_name(database)
        dump(database, relational)
        tar.add(relational, relational.name)
        relational.unlink()
        parts = _add_readings(tar, store, scratch, on_progress)
        on_progress("operations.step-archive", 0, 0)
        for place, name in ((places.archive, "archive"), (places.heads.parent, "proofs")):
            if place.exists():
                tar.add(place, name)
        if has_keys:
            for found in sorted(path for pattern in KEY_FILES for path in data_folder.glob(pattern)):
                tar.add(found, f"keys/{found.relative_to(data_folder)}")
        came, received_since_s = came_between(store, before)
        manifest = {
            "format_version": FORMAT_VERSION,
            "backed_up_at": now.isoformat(),
            "relational": relational.name,
            "parts": parts,
            "has_keys": has_keys,
            "received_since_s": received_since_s,
            "batches_meanwhile": came,
        }
        _add_bytes(tar, MANIFEST, json.dumps(manifest).encode())
    return parts


def open_archive(file: io.RawIOBase | io.BufferedIOBase) -> tarfile.TarFile:
    """Return an archive to write, in which each file is its own content and none a link to another.

    Files come and go meanwhile: a part may have the number that the dump had, and be taken for its name.
    """
    return tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, dereference=True)


def _add_spool(tar: tarfile.TarFile, folder: Path, scratch: Path) -> None:
    """Add what waits in the spool, each file as of one moment."""
    for path in sorted(folder.rglob("segment-*.sqlite")):  # a head-end of its own has a folder of its own
        copy = scratch / path.name
        try:
            with (
                closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as own,
                closing(sqlite3.connect(copy)) as target,
            ):
                own.backup(target)
        except sqlite3.Error:
            if path.exists():
                raise
            continue  # all of it was delivered meanwhile
        tar.add(copy, f"spool/{path.relative_to(folder)}")
        copy.unlink()


def _add_readings(
    tar: tarfile.TarFile, store: HttpReadingStore, scratch: Path, on_progress: Progress
) -> dict[str, int]:
    """Add every table: the engine's own parts where its folder is here, else its months as files."""
    if is_local(store):
        with frozen(store) as tables:
            parts = [(table.name, part) for table in tables for part in table.parts]
            for index, (name, part) in enumerate(parts):
                on_progress("operations.step-readings", index, len(parts))
                tar.add(part, f"parts/{name}/{part.name}")
            return {table.name: len(table.parts) for table in tables}
    months = [(name, month) for name in TABLES for month in archive.months_of(store, name)]
    for index, (name, month) in enumerate(months):
        on_progress("operations.step-readings", index, len(months))
        file = scratch / f"{month}.parquet"
        archive.write_month(store, name, month, file)
        tar.add(file, f"months/{name}/{month}.parquet")
        file.unlink()
    counts = Counter(name for name, _ in months)
    return {name: counts[name] for name in TABLES}


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
