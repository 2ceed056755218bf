"""Values sealed under their tenant's key, bound to the column and row they stand in (AES-256-GCM).

    "WKF1" (4) | key id (8) | nonce (12) | ciphertext and tag

A value moved to another column, row or tenant does not open. A tenant's key is made when it is first needed;
its id stands in each value, so that values of an older key open until they are sealed anew.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models.functions import Now

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.sealing.master import KEY_BYTES, MasterKey, find_master, make_master, read_master
from wattkeeper.data.sealing.models import TenantKey

MAGIC = b"WKF1"
_ID_BYTES, _NONCE_BYTES, _WORD_BYTES = 8, 12, 12
_HEAD_BYTES = len(MAGIC) + _ID_BYTES
_memo: ContextVar[dict[int, int] | None] = ContextVar("sealing_memo", default=None)


class Sealed(bytes):
    """A sealed value, which no text shows."""

    def __str__(self) -> str:
        return "[sealed]"

    __repr__ = __str__


def master_path() -> Path:
    """Return where the master key is kept."""
    path: Path = settings.MASTER_KEY_FILE
    return path


def seal(content: bytes, *, tenant_id: int, place: str, row: str) -> Sealed:
    """Return `content` sealed for one column (`place`) and row.

    :raises WattkeeperError: ``keys.file-*``
    """
    key_id = current_key_id(tenant_id)
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(_derived(key_id, b"field")).encrypt(nonce, content, _bound_to(place, row))
    return Sealed(MAGIC + key_id.to_bytes(_ID_BYTES, "big") + nonce + ciphertext)


def unseal(sealed: bytes, *, place: str, row: str) -> bytes:
    """Return what was sealed for this column and row.

    :raises WattkeeperError: ``keys.sealed-damaged`` for anything else, ``keys.key-unknown``, ``keys.file-*``
    """
    if not is_sealed(sealed):
        raise WattkeeperError("keys.sealed-damaged", place=place, row=row)
    nonce, ciphertext = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES], sealed[_HEAD_BYTES + _NONCE_BYTES :]
    key = _derived(key_id_of(sealed), b"field")
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _bound_to(place, row))
    except (InvalidTag, ValueError) as error:
        raise WattkeeperError("keys.sealed-damaged", place=place, row=row) from error


def is_sealed(content: bytes) -> bool:
    """Whether this looks like a sealed value."""
    return content.startswith(MAGIC) and len(content) >= _HEAD_BYTES + _NONCE_BYTES


def key_id_of(sealed: bytes) -> int:
    """Return the id of the key that a value was sealed by."""
    return int.from_bytes(sealed[len(MAGIC) : _HEAD_BYTES], "big")


def file_secret(key_id: int, name: str) -> bytes:
    """Return the 32 bytes that a file of this name is sealed from.

    :raises WattkeeperError: ``keys.key-unknown``, ``keys.file-*``
    """
    return _derived(key_id, b"file\0" + name.encode())


def hash_of_word(key_id: int, place: str, word: str) -> str:
    """Return the keyed hash of a word of one column: 16 characters."""
    digest = hmac.new(_derived(key_id, b"words"), f"{place}\0{word}".encode(), sha256).digest()
    return urlsafe_b64encode(digest[:_WORD_BYTES]).decode()


def current_key_id(tenant_id: int) -> int:
    """Return the id of the key that seals for a tenant now, made where there is none.

    :raises WattkeeperError: ``keys.file-*``
    """
    memo = _memo.get()
    if memo is not None and tenant_id in memo:
        return memo[tenant_id]
    own = TenantKey.objects.filter(tenant_id=tenant_id, retired_at__isnull=True)
    key_id = own.order_by("-made_at", "-id").values_list("id", flat=True).first()
    found = make_key(tenant_id) if key_id is None else key_id
    if memo is not None:
        memo[tenant_id] = found
    return found


def key_ids(tenant_id: int) -> list[int]:
    """Return the ids of all keys of a tenant, retired ones too."""
    return list(TenantKey.objects.filter(tenant_id=tenant_id).values_list("id", flat=True))


@contextmanager
def one_key() -> Iterator[None]:
    """Look up each tenant's key once within the block, which stands in one transaction."""
    token = _memo.set({} if (known := _memo.get()) is None else known)
    try:
        yield
    finally:
        _memo.reset(token)


def make_key(tenant_id: int) -> int:
    """Make a key for a tenant and return its id.

    :raises WattkeeperError: ``keys.file-*``
    """
    master, key_id = ready_master(), secrets.randbits(63)
    wrapped = master.wrap(os.urandom(KEY_BYTES), tenant_id=tenant_id, key_id=key_id)
    TenantKey.objects.create(
        id=key_id, tenant_id=tenant_id, wrapped=wrapped, master_key_id=master.key_id, made_at=Now()
    )
    return key_id


def ready_master() -> MasterKey:
    """Return the master key, made now where nothing was ever sealed.

    :raises WattkeeperError: ``keys.file-*``
    """
    path = master_path()
    if not path.exists() and not TenantKey.objects.exists():
        structlog.get_logger("keys").warning("keys.made", file=str(path))
        return make_master(path)
    return read_master(path)


@lru_cache(maxsize=8192)
def _derived(key_id: int, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, b"wattkeeper " + purpose).derive(_opened(key_id))


@lru_cache(maxsize=4096)
def _opened(key_id: int) -> bytes:
    row = TenantKey.objects.filter(id=key_id).first()
    if row is None:
        raise WattkeeperError("keys.key-unknown", key_id=key_id)
    master = find_master(master_path(), row.master_key_id)
    return master.unwrap(bytes(row.wrapped), tenant_id=row.tenant_id, key_id=key_id)


def _bound_to(place: str, row: str) -> bytes:
    return f"wattkeeper field\0{place}\0{row}".encode()
