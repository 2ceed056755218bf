"""Make an empty folder the installation that a backup holds."""

import json
import shutil
import tarfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from wattkeeper.actions.operations.backup import FORMAT_VERSION, MANIFEST
from wattkeeper.actions.operations.relational_dump import load
from wattkeeper.actions.operations.sealed import OpeningReader, Secret
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import archive, frozen
from wattkeeper.store.client import HttpReadingStore

_INCOMING = "incoming"
_KEPT = ("spool", "archive", "proofs")


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was opened: its readings wait in `incoming`."""

    backed_up_at: datetime
    incoming: Path
    parts: dict[str, int]
    has_keys: bool


def open_backup(file: Path, *, folder: Path, database: dict[str, Any], secret: Secret) -> Restored:
    """
    Fill an empty folder and an empty database from a backup; the readings are left for `load_readings`.

    :raises WattkeeperError: ``operations.folder-not-empty``, ``operations.sealed-*``,
        ``operations.backup-*``, ``operations.dump-*``
    """
    if folder.exists() and any(folder.iterdir()):
        raise WattkeeperError("operations.folder-not-empty", folder=str(folder))
    incoming = folder / _INCOMING
    incoming.mkdir(mode=0o700, parents=True)
    manifest = _extract(file, incoming, secret)
    load(database, incoming / manifest["relational"])
    for name in _KEPT:
        if (incoming / name).exists():
            shutil.move(incoming / name, folder / name)
    if (incoming / "keys").exists():
        shutil.copytree(incoming / "keys", folder, dirs_exist_ok=True)
        shutil.rmtree(incoming / "keys")
    backed_up_at = datetime.fromisoformat(manifest["backed_up_at"])
    return Restored(backed_up_at, incoming, manifest["parts"], manifest["has_keys"])


def load_readings(store: HttpReadingStore, restored: Restored, *, newest_run_id: int) -> None:
    """
    Put the readings into an empty store; values of runs later than `newest_run_id` are taken away again.

    :raises WattkeeperError: ``operations.backup-incomplete``, ``store.parts-damaged``
    """
    store.make_tables()
    for table, count in restored.parts.items():
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
    shutil.rmtree(restored.incoming)


def _extract(file: Path, incoming: Path, secret: Secret) -> dict[str, Any]:
    try:
        with (
            file.open("rb") as source,
            closing(OpeningReader(source, secret)) as opened,
            tarfile.open(fileobj=opened, mode="r|") as tar,
        ):
            for member in tar:
                if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
                    raise WattkeeperError("operations.backup-unreadable", file=file.name, reason=member.name)
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
