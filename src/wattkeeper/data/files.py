"""Files that several processes may make at the same time, and that a power cut must not halve."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def make_once(path: Path, content: bytes, *, mode: int) -> None:
    """Make a file durable, whole or not at all, unless it stands: who was first decides what it holds.

    :raises OSError: if the folder can't be written
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        Path(aside).unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
