"""Device keys and passwords, sealed under their tenant's key and bound to their meter and name.

Keys that the release before sealed under a key file of the data folder open as they are, until they are
entered or sealed anew.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import DeviceKey
from wattkeeper.data.registry.models import Meter
from wattkeeper.data.sealing.vault import current_key_id, is_sealed, key_id_of, one_key, seal, unseal

OLD_KEY_FILE = "devices.key"
_PLACE = "collection.devicekey.sealed"
_NONCE_BYTES = 12
_BATCH_COUNT = 500


def keep_key(*, meter_id: int, name: str, secret: bytes) -> None:
    """Seal a key and keep it in the place of an older one of the same name.

    :raises WattkeeperError: ``keys.file-*``
    """
    tenant_id = Meter.objects.values_list("tenant_id", flat=True).get(id=meter_id)
    sealed = seal(secret, tenant_id=tenant_id, place=_PLACE, row=_row(meter_id, name))
    DeviceKey.objects.update_or_create(meter_id=meter_id, name=name, defaults={"sealed": bytes(sealed)})


def open_keys(folder: Path, meter_ids: list[int]) -> dict[int, dict[str, bytes]]:
    """Return the opened keys of meters by name; `folder` holds the key file of the release before.

    :raises WattkeeperError: ``keys.unopenable`` for the first that does not open, ``keys.*``
    """
    found: dict[int, dict[str, bytes]] = {}
    for key in DeviceKey.objects.filter(meter_id__in=meter_ids):
        found.setdefault(key.meter_id, {})[key.name] = _open(folder, key)
    return found


def reseal_keys(folder: Path) -> dict[int, int]:
    """Seal every key under its tenant's newest key; return how many values each key seals now.

    :raises WattkeeperError: as `open_keys` does
    """
    by_key: dict[int, int] = {}
    ids = list(DeviceKey.objects.order_by("id").values_list("id", flat=True))
    for start in range(0, len(ids), _BATCH_COUNT):
        with transaction.atomic(), one_key():
            part = ids[start : start + _BATCH_COUNT]
            for key in DeviceKey.objects.select_for_update().filter(id__in=part).select_related("meter"):
                key_id = current_key_id(key.meter.tenant_id)
                by_key[key_id] = by_key.get(key_id, 0) + 1
                if not is_sealed(bytes(key.sealed)) or key_id_of(bytes(key.sealed)) != key_id:
                    keep_key(meter_id=key.meter_id, name=key.name, secret=_open(folder, key))
    return by_key


def _open(folder: Path, key: DeviceKey) -> bytes:
    sealed = bytes(key.sealed)
    if is_sealed(sealed):
        return unseal(sealed, place=_PLACE, row=_row(key.meter_id, key.name))
    try:
        bound_to = f"wattkeeper device key\0{key.meter_id}\0{key.name}".encode()
        old_key = (folder / OLD_KEY_FILE).read_bytes()
        return AESGCM(old_key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (OSError, InvalidTag, ValueError) as error:
        raise WattkeeperError(
            "keys.unopenable", meter_id=key.meter_id, name=key.name, file=OLD_KEY_FILE
        ) from error


def _row(meter_id: int, name: str) -> str:
    return f"{meter_id}/{name}"
