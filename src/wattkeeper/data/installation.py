"""What an installation was made of, noted in its folder: what is missing at a start is not made anew.

A start that finds no key or no database would make them, and the old ones would be as good as lost. So what
was there is noted (``installation.json``) and compared before anything else is read. No Django here.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from wattkeeper.core.kernel.addresses import split_url
from wattkeeper.core.kernel.errors import WattkeeperError

NOTE = "installation.json"
DATABASE = "WATTKEEPER_DATABASE"
KEY_FILES = ("secret.key", "devices.key", "audit.key")
EXCHANGED = "master.key"  # its own module knows which one is right; here only that there is one
REGISTRY = "registry.sqlite3"
READINGS = "readings"
_OWN = "own"


@dataclass(frozen=True, slots=True)
class Installation:
    """`database` and `readings`: ``own`` for this folder's, else a URL without its password.

    `keys`: key files by name, with a fingerprint that says nothing of them.
    """

    database: str
    readings: str
    has_registry: bool = False
    has_readings: bool = False
    keys: dict[str, str] = field(default_factory=dict)


def find_installation(folder: Path) -> Installation:
    """Return what is in the folder and in the environment now."""
    keys = {name: _fingerprint(folder / name) for name in KEY_FILES if (folder / name).exists()}
    if any((folder / f"{EXCHANGED}{stage}").exists() for stage in ("", ".next", ".before")):
        keys[EXCHANGED] = ""
    has_registry, has_readings = ((folder / name).exists() for name in (REGISTRY, READINGS))
    places = (_told(DATABASE), _told("WATTKEEPER_READINGS"))
    return Installation(*places, has_registry, has_readings, keys)


def close_to_others(folder: Path) -> None:
    """Let nobody but owner and group read the registry: whoever reads a session in it is logged in.

    SQLite gives what it writes beside the file the mode of the file.
    """
    for path in folder.glob(f"{REGISTRY}*"):
        with suppress(PermissionError, FileNotFoundError):  # another one's; gone with his last connection
            path.chmod(path.stat().st_mode & 0o770)


def read_note(folder: Path) -> Installation | None:
    """
    Return what was noted, None where nothing was.

    :raises WattkeeperError: ``installation.note-damaged``
    """
    path = folder / NOTE
    if not path.exists():
        return None
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return Installation(**{name: noted[name] for name in Installation.__slots__ if name in noted})
    except (ValueError, TypeError) as error:
        raise WattkeeperError("installation.note-damaged", file=str(path)) from error


def note_installation(folder: Path) -> None:
    """Note what is there now, durably; what was noted before and is still right stays."""
    found = find_installation(folder)
    with suppress(WattkeeperError):  # a damaged one is written anew
        if found == read_note(folder):
            return
    fresh = folder / (NOTE + ".new")
    fields = {name: getattr(found, name) for name in Installation.__slots__}
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / NOTE)


def check_installation(folder: Path) -> None:
    """
    Return if everything that was noted is there; at once where nothing was noted yet.

    :raises WattkeeperError: ``installation.*`` for the first thing that is missing or another one,
        ``settings.*`` for an address that is none
    """
    noted = read_note(folder)
    if noted is None:
        return
    for fault in _faults(folder, noted, find_installation(folder)):
        raise fault


def _faults(folder: Path, noted: Installation, found: Installation) -> Iterator[WattkeeperError]:
    if noted.database != found.database:
        yield WattkeeperError("installation.database-other", expected=noted.database, found=found.database)
    if noted.has_registry and not found.has_registry:
        yield WattkeeperError("installation.database-missing", file=str(folder / REGISTRY))
    if noted.readings != found.readings:
        yield WattkeeperError("installation.readings-other", expected=noted.readings, found=found.readings)
    if noted.has_readings and not found.has_readings:
        yield WattkeeperError("installation.readings-missing", folder=str(folder / READINGS))
    for name, fingerprint in noted.keys.items():
        if name not in found.keys:
            yield WattkeeperError("installation.key-missing", file=str(folder / name))
        elif found.keys[name] != fingerprint:
            yield WattkeeperError("installation.key-other", file=str(folder / name))


def _told(name: str) -> str:
    """Return the setting without user and password, ``own`` where it says this folder.

    :raises WattkeeperError: ``settings.database-address``, ``settings.readings-url`` for one that is no
        address, of which nothing is quoted
    """
    value = os.environ.get(name, "")
    if not value or value.startswith("embedded:"):
        return _OWN
    parts = split_url(value)
    if parts is None and name == DATABASE:
        raise WattkeeperError("settings.database-address")
    if parts is None:
        raise WattkeeperError("settings.readings-url", place="")
    if not parts.hostname:
        return value.replace(parts.netloc, "", 1) if "@" in parts.netloc else value
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _fingerprint(path: Path) -> str:
    return sha256(b"wattkeeper key file\0" + path.read_bytes()).hexdigest()[:16]
