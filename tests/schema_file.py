"""A SQLite file with this checkout's schema, migrated once and copied: migrating takes seconds each time."""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "wattkeeper" / "data"
MADE = ROOT / "build" / "schemas"
MADE_OF = ("*/migrations/*.py", "*/models.py", "sealing/*.py", "rules.py", "settings.py", "upgrades/*.py")


def digest_of(folder: Path) -> str:
    """Return what a schema depends on as one number: what it is made of in a folder, by name, and Django."""
    seen = hashlib.sha256(version("django").encode())
    for path in sorted({path for pattern in MADE_OF for path in folder.glob(pattern)}):
        seen.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return seen.hexdigest()[:16]


def schema() -> bytes:
    """Return the file's content; whoever asks first has it made, others who ask meanwhile wait."""
    path = MADE / f"{digest_of(DATA)}.sqlite3"
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for old in MADE.glob("*.sqlite3"):
                old.unlink()
            _migrate(path)
        return path.read_bytes()


def place_schema(folder: Path) -> None:
    """Give a data folder a registry without rows, as `migrate` would have made it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.sqlite3").write_bytes(schema())


def _migrate(path: Path) -> None:
    with TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--settings", "wattkeeper.data.settings", "-v", "0"],
            env=os.environ | {"WATTKEEPER_DATA": folder, "WATTKEEPER_DATABASE": ""},
            check=True,
        )
        with closing(sqlite3.connect(Path(folder) / "registry.sqlite3")) as made:
            made.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        shutil.move(Path(folder) / "registry.sqlite3", path)
