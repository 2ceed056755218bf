"""The master key: 32 random bytes in a file that only its owner reads. It wraps keys and nothing else.

Beside the file (`path`) stand, while it is being replaced only, `path.next` and `path.before`: whatever step
an exchange was cut off at, the key that a row was wrapped by is in one of the three.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.files import make_once

KEY_BYTES = 32
_NONCE_BYTES = 12
_OTHERS_MAY = 0o077


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A master key; its id may be shown."""

    content: bytes

    @property
    def key_id(self) -> str:
        """Return 16 hexadecimal digits that name the key and say nothing of it."""
        return hashlib.sha256(b"wattkeeper master key\0" + self.content).hexdigest()[:16]

    def wrap(self, key: bytes, *, tenant_id: int, key_id: int) -> bytes:
        """Return a tenant's key, sealed for this tenant and id."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.content).encrypt(nonce, key, _bound_to(tenant_id, key_id))

    def unwrap(self, wrapped: bytes, *, tenant_id: int, key_id: int) -> bytes:
        """Return what was wrapped for this tenant and id.

        :raises WattkeeperError: ``keys.sealed-damaged``
        """
        nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(self.content).decrypt(nonce, ciphertext, _bound_to(tenant_id, key_id))
        except (InvalidTag, ValueError) as error:
            raise WattkeeperError("keys.sealed-damaged", place="tenant-key", row=key_id) from error


def next_to(path: Path) -> Path:
    """Return where a new master key stands before it takes its place."""
    return path.with_name(f"{path.name}.next")


def before(path: Path) -> Path:
    """Return where the replaced master key stands until nothing needs it."""
    return path.with_name(f"{path.name}.before")


def read_master(path: Path) -> MasterKey:
    """Return the master key in a file.

    :raises WattkeeperError: ``keys.file-missing``, ``keys.file-open``, ``keys.file-damaged``
    """
    try:
        if path.stat().st_mode & _OTHERS_MAY:
            raise WattkeeperError("keys.file-open", file=str(path))
        content = path.read_bytes()
    except OSError as error:
        raise WattkeeperError("keys.file-missing", file=str(path), reason=error.strerror or "") from error
    if len(content) != KEY_BYTES:
        raise WattkeeperError("keys.file-damaged", file=str(path))
    return MasterKey(content)


def find_master(path: Path, key_id: str) -> MasterKey:
    """Return the master key of an id: that of the file, or of one that is being exchanged with it.

    :raises WattkeeperError: ``keys.file-wrong``, and what `read_master` raises
    """
    for candidate in _candidates(path):
        if candidate.key_id == key_id:
            return candidate
    raise WattkeeperError("keys.file-wrong", file=str(path), wanted=key_id, found=read_master(path).key_id)


def make_master(path: Path) -> MasterKey:
    """Make a key file, whole or not at all, mode 0400; where another process was first, its key is the key.

    :raises WattkeeperError: ``keys.file-unwritable``, and what `read_master` raises
    """
    try:
        make_once(path, os.urandom(KEY_BYTES), mode=0o400)
    except OSError as error:
        raise WattkeeperError("keys.file-unwritable", file=str(path), reason=error.strerror or "") from error
    return read_master(path)


def _candidates(path: Path) -> Iterator[MasterKey]:
    for place in (path, next_to(path), before(path)):
        if place.exists():
            yield read_master(place)


def _bound_to(tenant_id: int, key_id: int) -> bytes:
    return f"wattkeeper tenant key\0{tenant_id}\0{key_id}".encode()
