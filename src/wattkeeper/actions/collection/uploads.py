"""Files that wait to be imported: sealed on disk from the first byte, under a key of their own name.

"WKUP" (4) | tenant's key id (8) | a sealed file
"""

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from wattkeeper.actions.operations.sealed import Kind, OpeningReader, SealingWriter, Secret
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.files import sync_folder
from wattkeeper.data.sealing.vault import current_key_id, file_secret

FOLDER = "imports"
_MAGIC = b"WKUP"
_HEAD_BYTES = len(_MAGIC) + 8


def keep_upload(data_folder: Path, file_name: str, content: Iterable[bytes], *, tenant_id: int) -> Path:
    """
    Write a file sealed and durable, and return where.

    :raises WattkeeperError: ``imports.not-kept``, ``keys.file-*``
    """
    folder = data_folder / FOLDER
    path = folder / file_name
    key_id = current_key_id(tenant_id)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + key_id.to_bytes(8, "big"))
            with closing(SealingWriter(file, _secret(key_id, file_name))) as sealed:
                for part in content:
                    sealed.write(part)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise WattkeeperError(
            "imports.not-kept", is_permanent=False, folder=str(folder), reason=error.strerror or ""
        ) from error
    return path


def read_upload(data_folder: Path, file_name: str, *, label: str) -> bytes:
    """
    Return what a kept file held; one that the release before kept was not sealed.

    :raises WattkeeperError: ``imports.file-gone``, ``operations.sealed-*``, ``keys.*``
    """
    try:
        with (data_folder / FOLDER / file_name).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not head.startswith(_MAGIC):
                return head + file.read()
            key_id = int.from_bytes(head[len(_MAGIC) :], "big")
            with closing(OpeningReader(file, _secret(key_id, file_name))) as opened:
                return opened.read()
    except OSError as error:
        raise WattkeeperError("imports.file-gone", label=label, reason=error.strerror or "") from error


def keys_of_uploads(data_folder: Path) -> set[int]:
    """Return the keys that files waiting now are sealed under."""
    found = set()
    for path in (data_folder / FOLDER).glob("*"):
        with suppress(OSError), path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(_MAGIC):
                found.add(int.from_bytes(head[len(_MAGIC) :], "big"))
    return found


def _secret(key_id: int, file_name: str) -> Secret:
    return Secret(Kind.KEY_FILE, file_secret(key_id, file_name))
