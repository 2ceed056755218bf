"""Installing, exchanging, multiplying: exact facts, reads off displays, dirty windows."""

from datetime import datetime, timedelta

import pytest

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import DisplayRead
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.collection.models import DirtyWindow, FieldRead
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.models import Channel, Installation, Multiplier, Series
from wattkeeper.store.memory import MemoryReadingStore

AT = datetime.fromisoformat("2026-11-20T02:07:00+00:00")  # 10:07 in Shanghai


@pytest.fixture
def installed(ours: People, street: Street, services: Services) -> Street:
    """A street whose first meter has been at its first point for two months."""
    install_first(ours, street, services)
    DirtyWindow.objects.all().delete()
    return street


def exchange(
    ours: People, street: Street, services: Services, *, final: DisplayRead = "12345.67", at: datetime = AT
) -> int:
    return exchange_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=street.meter_id,
        new_meter_id=street.other_meter_id,
        at=at,
        final_read=final,
        initial_read=0,
    )


def register_of(meter_id: int) -> int:
    return Channel.objects.get(meter_id=meter_id, reading_type="energy_import_register_kwh").id


def test_an_exchange_keeps_both_reads_and_marks_what_follows(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    exchange(ours, installed, services)
    old, new = register_of(installed.meter_id), register_of(installed.other_meter_id)
    reads = store.raw_reads(ours.tenant.id, [old, new], 0, 2**40)
    assert list(zip(reads.channel_id, reads.measured_at_s, reads.value, reads.source, strict=True)) == [
        (old, int(AT.timestamp()), 1234567, Source.FIELD),
        (new, int(AT.timestamp()), 0, Source.FIELD),
    ]
    window = DirtyWindow.objects.get()
    assert window.starts_at <= AT
    assert window.ends_at >= NOW
    assert Channel.objects.get(id=old).has_reads


def test_an_unreachable_store_loses_no_read(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    without = Services(now=services.now, data_folder=services.data_folder, store=None)
    exchange(ours, installed, without)
    assert FieldRead.objects.filter(delivered_at__isnull=True).count() == 2
    assert deliver_field_reads(services=services, now=NOW) == 2
    assert deliver_field_reads(services=services, now=NOW) == 0
    assert store.counts(ours.tenant.id).raw_reads == 2


def test_a_refused_exchange_stores_no_read(
    ours: People, installed: Street, services: Services, store: MemoryReadingStore
) -> None:
    install_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=installed.other_meter_id,
        usage_point_id=installed.other_point_id,
        at=LONG_AGO,
    )
    with pytest.raises(WattkeeperError) as refusal:
        exchange(ours, installed, services)
    assert refusal.value.code == "installations.overlap"
    assert store.counts(ours.tenant.id).raw_reads == 0
    assert not FieldRead.objects.exists()
    assert Installation.objects.get(meter_id=installed.meter_id).ends_at is None


@pytest.mark.parametrize(
    ("read", "code"),
    [
        ("12.345", "readings.not-a-whole-step"),
        ("1000000.00", "readings.out-of-range"),
        (-1, "readings.out-of-range"),
        ("many", "readings.not-a-number"),
        ("NaN", "readings.not-a-number"),
        ("1E+400000", "readings.out-of-range"),
    ],
)
def test_a_read_the_display_cannot_show_is_refused(
    ours: People, installed: Street, services: Services, read: DisplayRead, code: str
) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        exchange(ours, installed, services, final=read)
    assert refusal.value.code == code


def test_facts_are_not_dated_ahead_or_before_their_beginning(
    ours: People, installed: Street, services: Services
) -> None:
    for at, code in (
        (NOW + timedelta(seconds=1), "registry.in-future"),
        (LONG_AGO, "installations.period"),
        (AT.replace(tzinfo=None), "registry.instant-naive"),
        (AT + timedelta(microseconds=1), "registry.instant-fraction"),
    ):
        with pytest.raises(WattkeeperError) as refusal:
            exchange(ours, installed, services, at=at)
        assert refusal.value.code == code


def test_facts_of_the_series_follow_the_exchange(ours: People, installed: Street, services: Services) -> None:
    exchange(ours, installed, services)
    change_multiplier(
        actor=ours.operator,
        now=NOW,
        usage_point_id=installed.point_id,
        at=AT + timedelta(hours=2),
        numerator=40,
    )
    series = Series.objects.get(usage_point_id=installed.point_id)
    facts = get_series_facts([series.id])[series.id]
    at_s, changed_s = int(AT.timestamp()), int(AT.timestamp()) + 7200
    assert [(r.starts_at_s, r.ends_at_s) for r in facts.registers] == [
        (int(LONG_AGO.timestamp()), at_s),
        (at_s, None),
    ]
    assert [(m.starts_at_s, m.ends_at_s, m.ratio) for m in facts.registers[1].multipliers] == [
        (at_s, changed_s, 1),
        (changed_s, None, 40),
    ]
    assert facts.registers[0].step_milliwh == 10_000
    assert facts.registers[0].register_modulus == 10**8


def test_a_multiplier_may_be_back_dated_between_others(ours: People, installed: Street) -> None:
    days = [LONG_AGO, LONG_AGO + timedelta(days=20), LONG_AGO + timedelta(days=10)]
    for at, numerator in zip(days, (1, 3, 2), strict=True):
        change_multiplier(
            actor=ours.operator, now=NOW, usage_point_id=installed.point_id, at=at, numerator=numerator
        )
    change_multiplier(
        actor=ours.operator, now=NOW, usage_point_id=installed.point_id, at=days[2], numerator=5
    )
    facts = Multiplier.objects.order_by("starts_at").values_list("starts_at", "ends_at", "numerator")
    assert list(facts) == [(days[0], days[2], 1), (days[2], days[1], 5), (days[1], None, 3)]


def test_a_change_marks_only_what_it_touches(ours: People, installed: Street) -> None:
    for at, numerator in ((LONG_AGO + timedelta(days=20), 3), (LONG_AGO + timedelta(days=10), 2)):
        DirtyWindow.objects.all().delete()
        change_multiplier(
            actor=ours.operator, now=NOW, usage_point_id=installed.point_id, at=at, numerator=numerator
        )
    window = DirtyWindow.objects.get()
    assert (window.starts_at, window.ends_at) == (
        LONG_AGO + timedelta(days=10),
        LONG_AGO + timedelta(days=20),
    )


def test_removed_then_installed_elsewhere(ours: People, installed: Street, services: Services) -> None:
    remove_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=installed.meter_id,
        at=AT,
        final_read=1234567,
    )
    install_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=installed.meter_id,
        usage_point_id=installed.other_point_id,
        at=AT,
        initial_read=1234567,
    )
    assert Installation.objects.filter(meter_id=installed.meter_id).count() == 2
    with pytest.raises(WattkeeperError) as refusal:
        remove_meter(
            actor=ours.operator, now=NOW, services=services, meter_id=installed.other_meter_id, at=AT
        )
    assert refusal.value.code == "installations.none"


def test_topology_has_no_cycle(ours: People, street: Street) -> None:
    set_topology(
        actor=ours.operator, now=NOW, child_id=street.point_id, parent_id=street.other_point_id, at=AT
    )
    with pytest.raises(WattkeeperError) as refusal:
        set_topology(
            actor=ours.operator, now=NOW, child_id=street.other_point_id, parent_id=street.point_id, at=AT
        )
    assert refusal.value.code == "topology.cycle"
    set_topology(actor=ours.operator, now=NOW, child_id=street.point_id, parent_id=None, at=AT)
    set_topology(
        actor=ours.operator, now=NOW, child_id=street.other_point_id, parent_id=street.point_id, at=AT
    )
