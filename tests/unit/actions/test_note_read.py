"""Reads that a person notes: a wrong one is corrected; a register set anew loses and invents nothing."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.intervals import derive_intervals
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.models import DirtyWindow, FieldRead
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

AT = datetime.fromisoformat("2026-11-20T02:07:00+00:00")
HOUR_S = 3600
STEP_MILLIWH = 10_000  # of a display of 0.01 kWh


@pytest.fixture
def installed(ours: People, street: Street, services: Services) -> Street:
    """A street whose first meter has been at its first point for two months."""
    install_first(ours, street, services)
    DirtyWindow.objects.all().delete()
    return street


def register_of(meter_id: int) -> int:
    return Channel.objects.get(meter_id=meter_id, reading_type="energy_import_register_kwh").id


def put(store: MemoryReadingStore, tenant_id: int, channel_id: int, rows: dict[datetime, int]) -> None:
    """Store reads of a register as a device pushes them, in counts."""
    zeros = np.zeros(len(rows), dtype=np.int64)
    store.insert_raw(
        [
            RawBatch(
                tenant_id=tenant_id,
                batch_id=len(rows),
                received_at_s=0,
                channel_id=zeros + channel_id,
                measured_at_s=np.array([int(at.timestamp()) for at in rows]),
                value=np.array(list(rows.values())),
                flags=zeros,
                source=zeros + int(Source.PUSH),
                frame_index=zeros - 1,
            )
        ]
    )


def derived(store: MemoryReadingStore, ours: People, point_id: int) -> tuple[int | None, list[Finding]]:
    """Return the energy from six hours before to six hours after, and the findings."""
    series = Series.objects.get(usage_point_id=point_id, quantity="energy_import")
    facts = get_series_facts([series.id])[series.id]
    from_s = int(AT.timestamp()) // HOUR_S * HOUR_S - 6 * HOUR_S
    reads = {}
    for channel_id in facts.channel_ids:
        raw = store.raw_reads(ours.tenant.id, [channel_id], 0, 2**40)
        columns = (raw.measured_at_s, raw.value, raw.flags, raw.source)
        reads[channel_id] = ReadColumns(*(np.asarray(column, dtype=np.int64) for column in columns))
    made = derive_intervals(
        installations=facts.registers,
        reads=reads,
        from_s=from_s,
        to_s=from_s + 12 * HOUR_S,
        interval_s=facts.interval_s,
        power_max_w=facts.power_max_w,
    )
    energy = [gap.energy_milliwh for gap in made.gaps]
    if None in energy:
        return None, list(made.findings)
    return int(made.value_milliwh.sum()) + sum(each or 0 for each in energy), list(made.findings)


def exchange(ours: People, street: Street, services: Services, final: str) -> None:
    exchange_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=street.meter_id,
        new_meter_id=street.other_meter_id,
        at=AT,
        final_read=final,
        initial_read="7.00",
    )


def note(ours: People, services: Services, meter_id: int, read: str, **fields: object) -> None:
    at = fields.pop("at", AT)
    note_read(actor=ours.operator, now=NOW, services=services, meter_id=meter_id, at=at, read=read, **fields)  # type: ignore[arg-type]


def test_a_wrong_final_read_is_corrected_any_number_of_times_without_losing_it(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    old, new = register_of(installed.meter_id), register_of(installed.other_meter_id)
    hour = AT.replace(minute=0)
    put(store, ours.tenant.id, old, {hour - timedelta(hours=6): 100_00})
    put(store, ours.tenant.id, new, {hour + timedelta(hours=6): 9_00})
    exchange(ours, installed, services, "150.00")  # 105.00 was meant
    assert derived(store, ours, installed.point_id)[0] == (50_00 + 2_00) * STEP_MILLIWH
    DirtyWindow.objects.all().delete()
    for read, counts in (("104.00", 4_00), ("105.00", 5_00), ("103.50", 3_50), ("105.00", 5_00)):
        note(ours, services, installed.meter_id, read, reason="misread")
        energy_milliwh, findings = derived(store, ours, installed.point_id)
        assert energy_milliwh == (counts + 2_00) * STEP_MILLIWH
        assert findings == []
    assert DirtyWindow.objects.get().starts_at <= AT
    reads = store.raw_reads(ours.tenant.id, [old], int(AT.timestamp()), int(AT.timestamp()) + 1)
    assert sorted(reads.value.tolist()) == [103_50, 104_00, 105_00, 105_00, 150_00]
    assert AuditRecord.objects.filter(verb="registry.note-read").count() == 4


def test_noting_the_same_again_keeps_one(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    for _ in range(2):
        note(ours, services, installed.meter_id, "5.00")
    assert FieldRead.objects.get().correction_index == 0
    assert store.counts(ours.tenant.id).raw_reads == 1


@pytest.mark.parametrize(("before", "after"), [("103.00", "0"), ("103.00", "50.00"), ("103.00", "900000.00")])
def test_a_register_that_was_set_anew_loses_and_invents_nothing(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore, before: str, after: str
) -> None:
    channel_id, hour = register_of(installed.meter_id), AT.replace(minute=0)
    set_to = int(float(after) * 100)
    rows = {hour - timedelta(hours=6): 100_00, hour + timedelta(hours=6): set_to + 4_00}
    put(store, ours.tenant.id, channel_id, rows)
    assert derived(store, ours, installed.point_id)[0] is None  # nobody knows what was used between
    note(ours, services, installed.meter_id, before, set_to=after)
    energy_milliwh, findings = derived(store, ours, installed.point_id)
    assert energy_milliwh == (3_00 + 4_00) * STEP_MILLIWH
    assert [each.rule for each in findings] == ["readings.register-reset"]
    assert findings[0].evidence == {"value_before": 103_00, "value_after": set_to}


def test_a_reset_that_was_none_is_taken_back(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    channel_id, hour = register_of(installed.meter_id), AT.replace(minute=0)
    put(
        store,
        ours.tenant.id,
        channel_id,
        {hour - timedelta(hours=6): 100_00, hour + timedelta(hours=6): 108_00},
    )
    note(ours, services, installed.meter_id, "103.00", set_to="0")
    assert derived(store, ours, installed.point_id)[0] != 8_00 * STEP_MILLIWH
    note(ours, services, installed.meter_id, "103.00")
    assert derived(store, ours, installed.point_id) == (8_00 * STEP_MILLIWH, [])
    note(ours, services, installed.meter_id, "102.00", set_to="50.00")
    note(ours, services, installed.meter_id, "103.00", set_to="104.00")
    energy_milliwh, findings = derived(store, ours, installed.point_id)
    assert (energy_milliwh, findings[0].evidence["value_after"]) == ((3_00 + 4_00) * STEP_MILLIWH, 104_00)


def test_a_meter_that_left_before_its_reset_stops_nothing(
    ours: People, installed: Street, services: Services
) -> None:
    note(ours, services, installed.meter_id, "103.00", set_to="0")
    remove_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=installed.meter_id,
        at=AT - timedelta(hours=1),
    )
    series = Series.objects.get(usage_point_id=installed.point_id, quantity="energy_import")
    assert get_series_facts([series.id])[series.id].registers[0].resets == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"at": LONG_AGO - timedelta(seconds=1)}, "readings.not-installed"),
        ({"at": LONG_AGO, "set_to": "0"}, "readings.not-installed"),
        ({"at": NOW + timedelta(seconds=1)}, "registry.in-future"),
        ({"quantity": "heat"}, "readings.no-register"),
        ({"set_to": "many"}, "readings.not-a-number"),
        ({"set_to": "1000000.00"}, "readings.out-of-range"),
    ],
)
def test_what_cannot_have_been_read_is_refused(
    ours: People, installed: Street, services: Services, fields: dict[str, object], code: str
) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        note(ours, services, installed.meter_id, "1.00", **fields)
    assert refusal.value.code == code
    assert not FieldRead.objects.exists()


def test_corrections_end(ours: People, installed: Street, services: Services) -> None:
    for k in range(64):
        note(ours, services, installed.meter_id, f"{k}.00")
    with pytest.raises(WattkeeperError) as refusal:
        note(ours, services, installed.meter_id, "64.00")
    assert refusal.value.code == "readings.corrected-too-often"
