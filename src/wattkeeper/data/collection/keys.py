"""Device keys and passwords, sealed with AES-256-GCM under a key file of the data folder.

A sealed key is 12 bytes of nonce and the ciphertext; its meter and name are bound to it, so that a sealed
key moved to another meter or name does not open.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import DeviceKey

KEY_FILE = "devices.key"
_NONCE_BYTES = 12
_KEY_BYTES = 32


def keep_key(folder: Path, *, meter_id: int, name: str, secret: bytes) -> None:
    """Seal a key and keep it in the place of an older one of the same name."""
    sealed = seal(folder, meter_id=meter_id, name=name, secret=secret)
    DeviceKey.objects.update_or_create(meter_id=meter_id, name=name, defaults={"sealed": sealed})


def open_keys(folder: Path, meter_ids: list[int]) -> dict[int, dict[str, bytes]]:
    """Return the opened keys of meters by name.

    :raises WattkeeperError: ``keys.unopenable`` for the first that this folder's key file does not open
    """
    found: dict[int, dict[str, bytes]] = {}
    for key in DeviceKey.objects.filter(meter_id__in=meter_ids):
        secret = unseal(folder, meter_id=key.meter_id, name=key.name, sealed=bytes(key.sealed))
        found.setdefault(key.meter_id, {})[key.name] = secret
    return found


def seal(folder: Path, *, meter_id: int, name: str, secret: bytes) -> bytes:
    """Return `secret` sealed for one meter and name."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_key_of(folder)).encrypt(nonce, secret, _bound_to(meter_id, name))


def unseal(folder: Path, *, meter_id: int, name: str, sealed: bytes) -> bytes:
    """Return what was sealed for this meter and name.

    :raises WattkeeperError: ``keys.unopenable``
    """
    try:
        return AESGCM(_key_of(folder)).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(meter_id, name)
        )
    except (InvalidTag, ValueError) as error:
        raise WattkeeperError("keys.unopenable", meter_id=meter_id, name=name, file=KEY_FILE) from error


def _bound_to(meter_id: int, name: str) -> bytes:
    return f"wattkeeper device key\0{meter_id}\0{name}".encode()


@cache
def _key_of(folder: Path) -> bytes:
    path = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with suppress(FileExistsError):  # another process was first: its key is the key
                _make_key_file(path)
        key = path.read_bytes()
    except OSError as error:
        raise WattkeeperError(
            "settings.data-folder-unwritable", folder=str(folder), reason=error.strerror
        ) from error
    if len(key) != _KEY_BYTES:
        raise WattkeeperError("keys.file-damaged", file=str(path))
    return key


def _make_key_file(path: Path) -> None:
    """Make the key file whole or not at all: written beside its name, then linked to it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    finally:
        beside.unlink()
