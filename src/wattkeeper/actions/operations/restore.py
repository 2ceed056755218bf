"""Make an empty folder the installation that a backup holds.

As long as `incoming` is in the folder the restore is not finished; it is locked while one is at work.
"""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from wattkeeper.actions.operations.backup import FORMAT_VERSION, MANIFEST
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.progress import Progress, unwatched
from wattkeeper.actions.operations.relational_dump import load, require_empty
from wattkeeper.actions.operations.sealed import OpeningReader, Secret
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.installation import NOTE, READINGS, REGISTRY
from wattkeeper.store import archive, frozen
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.half_stored import forget_half_stored
from wattkeeper.store.scratch import SCRATCH, hold

INCOMING, _KEYS = "incoming", "keys"
_OVERLAP = timedelta(hours=1)
_KEPT = ("spool", "archive", "proofs")
_MADE = {INCOMING, *_KEPT, READINGS, SCRATCH, NOTE, "secret.key", "run", "log"}


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was opened: its readings wait in `incoming`.

    What was received since `received_since` may have come after the relational side was copied. What was not
    known before anything was copied: `batches_meanwhile`.
    """

    backed_up_at: datetime
    received_since: datetime
    batches_meanwhile: tuple[int, ...]
    incoming: Path
    parts: dict[str, int]
    has_keys: bool


@contextmanager
def open_backup(
    file: Path,
    *,
    folder: Path,
    database: dict[str, Any],
    secret: Secret,
    on_progress: Progress = unwatched,
) -> Iterator[Restored]:
    """
    Fill an empty folder and an empty database from a backup; the block loads the readings.

    What a restore that died left in the folder is taken away first; one that is refused leaves nothing.

    :raises WattkeeperError: ``operations.folder-not-empty``, ``operations.database-not-empty``,
        ``operations.restore-running``, ``operations.sealed-*``, ``operations.backup-*``,
        ``operations.dump-*``
    """
    incoming = folder / INCOMING
    if incoming.exists() and not _take_away_unfinished(folder):
        raise WattkeeperError("operations.restore-running", is_permanent=False, folder=str(folder))
    if folder.exists() and any(folder.iterdir()):
        raise WattkeeperError("operations.folder-not-empty", folder=str(folder))
    require_empty(database, folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    incoming.mkdir(mode=0o700)
    lock = hold(incoming)
    if lock is None:
        raise WattkeeperError("operations.restore-running", is_permanent=False, folder=str(folder))
    try:
        restored = _open(file, folder, database, secret, on_progress)
    except WattkeeperError:
        os.close(lock)
        _take_away_unfinished(folder)
        raise
    try:
        yield restored
        shutil.rmtree(incoming)
    finally:
        os.close(lock)


def require_finished(folder: Path) -> None:
    """
    Check that no restore into the folder was left half done.

    :raises WattkeeperError: ``operations.restore-unfinished``
    """
    if (folder / INCOMING).exists():
        raise WattkeeperError("operations.restore-unfinished", folder=str(folder))


def _open(
    file: Path, folder: Path, database: dict[str, Any], secret: Secret, on_progress: Progress
) -> Restored:
    incoming = folder / INCOMING
    manifest = _extract(file, incoming, secret, on_progress)
    on_progress("operations.step-database", 0, 0)
    load(database, incoming / manifest["relational"])
    for name in _KEPT:
        if (incoming / name).exists():
            shutil.move(incoming / name, folder / name)
            (folder / name).chmod(0o700)
    if (incoming / _KEYS).exists():
        shutil.copytree(incoming / _KEYS, folder, dirs_exist_ok=True)
    backed_up_at = datetime.fromisoformat(manifest["backed_up_at"])
    received_since, oldest_s = backed_up_at - _OVERLAP, manifest.get("received_since_s")
    if oldest_s is not None:
        received_since = min(received_since, from_seconds(oldest_s))
    return Restored(
        backed_up_at,
        received_since,
        tuple(manifest.get("batches_meanwhile", ())),
        incoming,
        manifest["parts"],
        manifest["has_keys"],
    )


def _take_away_unfinished(folder: Path) -> bool:
    """Remove what a restore that is not at work any more made; False where one is at work.

    Nothing is removed where anything else is in the folder, a key that was put there among it.
    """
    lock = hold(folder / INCOMING)
    if lock is None:
        return False
    found, keys = set(folder.iterdir()), folder / INCOMING / _KEYS
    made = {path for path in found if path.name in _MADE or path.name.startswith(REGISTRY)}
    made |= {path for path in found if _is_same(keys / path.name, path)}
    if found == made:
        for path in sorted(made, key=lambda path: path.name == INCOMING):
            _remove(path)  # that one last: as long as it is there, the rest is unfinished
    os.close(lock)
    return True


def _is_same(one: Path, other: Path) -> bool:
    """Whether both are files of the same content, or the second is a folder of such files only."""
    if other.is_dir():
        return all(_is_same(one / path.name, path) for path in other.iterdir())
    return one.is_file() and one.read_bytes() == other.read_bytes()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def load_readings(
    store: HttpReadingStore, restored: Restored, *, newest_run_id: int, on_progress: Progress = unwatched
) -> None:
    """
    Put the readings into an empty store; values of runs later than `newest_run_id` are taken away again, and
    what is half there of batches that came while they were copied.

    :raises WattkeeperError: ``operations.backup-incomplete``, ``store.parts-damaged``
    """
    store.make_tables()
    for index, (table, count) in enumerate(restored.parts.items()):
        on_progress("operations.step-readings", index, len(restored.parts))
        parts, months = (restored.incoming / kind / table for kind in ("parts", "months"))
        found = list(parts.iterdir()) if parts.exists() else list(months.glob("*.parquet"))
        if len(found) != count:
            raise WattkeeperError("operations.backup-incomplete", table=table, found=len(found), of=count)
        if parts.exists():
            frozen.attach(store, table, parts)
        for file in sorted(months.glob("*.parquet")):
            for rows in archive.read_rows(file):
                store.insert_table(table, rows)
    frozen.forget_runs(store, newest_run_id)
    archived = archive.months_written(Places.of(restored.incoming.parent).archive, "raw_receipt")
    forget_half_stored(store, restored.batches_meanwhile, archived)


def _extract(file: Path, incoming: Path, secret: Secret, on_progress: Progress) -> dict[str, Any]:
    try:
        size_mib = file.stat().st_size >> 20
        with (
            file.open("rb") as source,
            closing(OpeningReader(source, secret)) as opened,
            tarfile.open(fileobj=opened, mode="r|") as tar,
        ):
            for member in tar:
                if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
                    raise WattkeeperError("operations.backup-unreadable", file=file.name, reason=member.name)
                on_progress("operations.step-opening", source.tell() >> 20, size_mib)
                tar.extract(member, incoming, filter="data")
            while opened.read(1 << 20):
                pass  # to the end: only then every chunk has proved itself
    except (OSError, tarfile.TarError) as error:
        raise WattkeeperError("operations.backup-unreadable", file=file.name, reason=str(error)) from error
    place = incoming / MANIFEST
    if not place.exists():
        raise WattkeeperError("operations.backup-unreadable", file=file.name, reason=MANIFEST)
    manifest: dict[str, Any] = json.loads(place.read_text())
    if manifest["format_version"] != FORMAT_VERSION:
        raise WattkeeperError("operations.backup-version", found=manifest["format_version"])
    return manifest
