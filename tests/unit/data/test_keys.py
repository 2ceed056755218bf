"""Device keys: opened only in their own place, with their own file."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relational import People, Street
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.keys import OLD_KEY_FILE, keep_key, open_keys, reseal_keys
from wattkeeper.data.collection.models import DeviceKey
from wattkeeper.data.collection.plans import list_plans, plan_revision, reserve_counters
from wattkeeper.data.registry.models import Installation
from wattkeeper.data.sealing.vault import key_id_of

SECRET = bytes(range(16))


def keep_as_before(folder: Path, *, meter_id: int, name: str, secret: bytes) -> None:
    """Keep a key as the release before did."""
    (folder / OLD_KEY_FILE).write_bytes(bytes(range(32)))
    bound_to = f"wattkeeper device key\0{meter_id}\0{name}".encode()
    sealed = bytes(12) + AESGCM(bytes(range(32))).encrypt(bytes(12), secret, bound_to)
    DeviceKey.objects.update_or_create(meter_id=meter_id, name=name, defaults={"sealed": sealed})


def refusal_of(services: Services, meter_id: int) -> str:
    with pytest.raises(WattkeeperError) as refusal:
        open_keys(services.data_folder, [meter_id])
    assert "00112233" not in str(refusal.value)
    return refusal.value.code


def test_a_key_of_the_release_before_opens_and_is_sealed_anew(street: Street, services: Services) -> None:
    folder = services.data_folder
    keep_as_before(folder, meter_id=street.meter_id, name="guek", secret=SECRET)
    assert open_keys(folder, [street.meter_id])[street.meter_id]["guek"] == SECRET
    used = reseal_keys(folder)
    (folder / OLD_KEY_FILE).unlink()
    assert open_keys(folder, [street.meter_id])[street.meter_id]["guek"] == SECRET
    assert set(used) == {key_id_of(bytes(key.sealed)) for key in DeviceKey.objects.all()}
    assert sum(used.values()) == 3


def test_a_key_of_the_release_before_without_its_file_is_said(street: Street, services: Services) -> None:
    keep_as_before(services.data_folder, meter_id=street.meter_id, name="guek", secret=SECRET)
    (services.data_folder / OLD_KEY_FILE).unlink()
    assert refusal_of(services, street.meter_id) == "keys.unopenable"


@pytest.mark.parametrize("fault", ["moved", "renamed", "damaged"])
def test_a_key_moved_renamed_or_damaged_stays_shut(street: Street, services: Services, fault: str) -> None:
    key = DeviceKey.objects.get(meter_id=street.meter_id)
    other = DeviceKey.objects.get(meter_id=street.other_meter_id)
    if fault == "moved":
        key.sealed = other.sealed
    elif fault == "renamed":
        key.name = "gak"
    else:
        key.sealed = bytes(key.sealed[:-1]) + bytes([key.sealed[-1] ^ 1])
    key.save()
    assert refusal_of(services, street.meter_id) == "keys.sealed-damaged"


def test_keys_reach_the_plan_opened_and_the_database_sealed(
    ours: People, street: Street, services: Services
) -> None:
    keep_key(meter_id=street.meter_id, name="guek", secret=SECRET)
    keep_key(meter_id=street.meter_id, name="guek", secret=SECRET[::-1])
    assert SECRET[::-1] not in bytes(DeviceKey.objects.get(name="guek").sealed)
    assert open_keys(services.data_folder, [street.meter_id]) == {
        street.meter_id: {"password": b"\x00\x11\x22\x33", "guek": SECRET[::-1]}
    }
    assert list_plans(folder=services.data_folder)[0].devices == ()
    Installation.objects.create(
        tenant=ours.tenant,
        meter_id=street.meter_id,
        usage_point_id=street.point_id,
        starts_at=services.now(),
        recorded_at=services.now(),
    )
    device = list_plans(folder=services.data_folder)[0].devices[0]
    assert device.secrets["guek"] == SECRET[::-1]
    assert device.time_zone == "Asia/Shanghai"
    assert {channel.reading_type for channel in device.channels} >= {"energy_import_register_kwh"}
    assert "guek" not in plan_revision()


def test_counters_are_reserved_once(ours: People, street: Street) -> None:
    firsts = [reserve_counters(meter_id=street.meter_id, count=64) for _ in range(3)]
    assert firsts == [1, 65, 129]
    with pytest.raises(WattkeeperError) as refusal:
        reserve_counters(meter_id=street.meter_id, count=2**32)
    assert refusal.value.code == "keys.counters-used-up"
    assert reserve_counters(meter_id=street.meter_id, count=1) == 193
