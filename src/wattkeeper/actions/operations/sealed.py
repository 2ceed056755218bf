"""Files that only the holder of a passphrase or key file can read or change: AES-256-GCM in chunks.

    magic (8) | kind (1) | log2 of scrypt's n (1) | r (1) | p (1) | salt (16) | chunks

A chunk is 1 MiB of plaintext and its tag of 16 bytes, the last one any length. The key is derived for this
file alone (scrypt, RFC 7914, from a passphrase; HKDF-SHA256, RFC 5869, from a key file). A chunk's nonce is
its number (11 bytes) and whether it is the last one (1 byte); the head is bound to each, so nothing can be
cut off, swapped or taken from another file.
"""

import io
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from wattkeeper.core.kernel.errors import WattkeeperError

CHUNK_BYTES = 1 << 20
MAGIC = b"WKSEAL01"
_TAG_BYTES, _SALT_BYTES, _KEY_BYTES = 16, 16, 32
_HEAD_BYTES = len(MAGIC) + 4 + _SALT_BYTES
_N_LOG2, _N_LOG2_MAX, _R, _P = 17, 20, 8, 1
_SECRET_MIN_BYTES = {1: 12, 2: 32}


class Kind(IntEnum):
    """What the key of a file is made from."""

    PASSPHRASE = 1
    KEY_FILE = 2


@dataclass(frozen=True, slots=True)
class Secret:
    """A passphrase, or the bytes of a key file."""

    kind: Kind
    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) < _SECRET_MIN_BYTES[self.kind]:
            raise WattkeeperError("operations.secret-short", least=_SECRET_MIN_BYTES[self.kind])


class SealingWriter(io.RawIOBase):
    """Seals what is written into another file; whole only once it is closed."""

    def __init__(self, target: IO[bytes], secret: Secret) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._head = MAGIC + bytes((secret.kind, _N_LOG2, _R, _P)) + salt
        self._cipher = _cipher(self._head, secret)
        self._target = target
        self._waiting = bytearray()
        self._index = 0
        target.write(self._head)

    def writable(self) -> bool:
        """Whether it can be written: yes."""
        return True

    def write(self, content: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Seal some bytes; the last chunk waits for what follows."""
        self._waiting += content
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), is_last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(content)

    def close(self) -> None:
        """Seal the last chunk. The other file stays open."""
        if not self.closed:
            self._seal(bytes(self._waiting), is_last=True)
            self._waiting.clear()
        super().close()

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._index, is_last=is_last), chunk, self._head))
        self._index += 1


class OpeningReader(io.RawIOBase):
    """Reads what was sealed; no byte is returned before its chunk has proved to be the one that was written.

    :raises WattkeeperError: ``operations.sealed-head``, ``operations.sealed-wrong``
    """

    def __init__(self, source: IO[bytes], secret: Secret) -> None:
        self._head = source.read(_HEAD_BYTES)
        if len(self._head) != _HEAD_BYTES or not self._head.startswith(MAGIC):
            raise WattkeeperError("operations.sealed-head")
        kind = self._head[len(MAGIC)]
        if kind not in set(Kind):
            raise WattkeeperError("operations.sealed-head")
        if kind != secret.kind:
            raise WattkeeperError("operations.sealed-kind", wanted=Kind(kind).name)
        self._cipher = _cipher(self._head, secret)
        self._source = source
        self._ahead = source.read(CHUNK_BYTES + _TAG_BYTES)
        self._open = memoryview(b"")
        self._index = 0
        self._is_done = False

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, all that is left where it is negative."""
        found = bytearray()
        while size < 0 or len(found) < size:
            if not len(self._open) and not self._next():
                break
            wanted = len(self._open) if size < 0 else size - len(found)
            found += self._open[:wanted]
            self._open = self._open[wanted:]
        return bytes(found)

    def _next(self) -> bool:
        """Open the next chunk; whether there was one."""
        if self._is_done:
            return False
        chunk, self._ahead = self._ahead, self._source.read(CHUNK_BYTES + _TAG_BYTES)
        self._is_done = not self._ahead
        try:
            nonce = _nonce(self._index, is_last=self._is_done)
            self._open = memoryview(self._cipher.decrypt(nonce, chunk, self._head))
        except InvalidTag as error:
            raise WattkeeperError("operations.sealed-wrong", chunk=self._index) from error
        self._index += 1
        return True


def _nonce(index: int, *, is_last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes((is_last,))


def _cipher(head: bytes, secret: Secret) -> AESGCM:
    n_log2, r, p = head[len(MAGIC) + 1 : len(MAGIC) + 4]
    salt = head[-_SALT_BYTES:]
    if secret.kind is Kind.KEY_FILE:
        derived = HKDF(SHA256(), _KEY_BYTES, salt, b"wattkeeper sealed file").derive(secret.content)
        return AESGCM(derived)
    if n_log2 > _N_LOG2_MAX or r != _R or p != _P:
        raise WattkeeperError("operations.sealed-head")
    return AESGCM(Scrypt(salt, _KEY_BYTES, 2**n_log2, r, p).derive(secret.content))
