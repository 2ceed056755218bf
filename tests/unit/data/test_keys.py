"""Device keys: opened only in their own place, with their own file."""

import stat
from pathlib import Path

import pytest

from relational import People, Street
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.keys import KEY_FILE, keep_key, open_keys, seal, unseal
from wattkeeper.data.collection.models import DeviceKey
from wattkeeper.data.collection.plans import list_plans, plan_revision, reserve_counters
from wattkeeper.data.registry.models import Installation

SECRET = bytes(range(16))


def test_a_key_opens_where_it_was_sealed(tmp_path: Path) -> None:
    sealed = seal(tmp_path, meter_id=1, name="guek", secret=SECRET)
    assert SECRET not in sealed
    assert unseal(tmp_path, meter_id=1, name="guek", sealed=sealed) == SECRET
    assert seal(tmp_path, meter_id=1, name="guek", secret=SECRET) != sealed
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o400


def test_a_key_moved_renamed_damaged_or_without_its_file_stays_shut(tmp_path: Path) -> None:
    sealed = seal(tmp_path / "a", meter_id=1, name="guek", secret=SECRET)
    for folder, meter_id, name, octets in (
        ("a", 2, "guek", sealed),
        ("a", 1, "gak", sealed),
        ("a", 1, "guek", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("a", 1, "guek", b""),
        ("b", 1, "guek", sealed),
    ):
        with pytest.raises(WattkeeperError) as refusal:
            unseal(tmp_path / folder, meter_id=meter_id, name=name, sealed=octets)
        assert refusal.value.code == "keys.unopenable"
        assert "00010203" not in str(refusal.value)


def test_a_damaged_key_file_is_said(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(WattkeeperError) as refusal:
        seal(tmp_path, meter_id=1, name="x", secret=SECRET)
    assert refusal.value.code == "keys.file-damaged"


def test_keys_reach_the_plan_opened_and_the_database_sealed(
    ours: People, street: Street, services: Services
) -> None:
    keep_key(services.data_folder, meter_id=street.meter_id, name="guek", secret=SECRET)
    keep_key(services.data_folder, meter_id=street.meter_id, name="guek", secret=SECRET[::-1])
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
