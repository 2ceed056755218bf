"""A meter of files that ended long ago is not derived again and again; one that is still expected is."""

from datetime import timedelta

import pytest

from relational import NOW, People, Street, install_first
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.look_again import EXPECTED_FOR, look_again
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.data.registry.models import Installation, Meter
from wattkeeper.pipeline.derive import PipelineReport, run_once
from wattkeeper.store.memory import MemoryReadingStore

HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
ADVANCE = (
    "100,NEM13,202611030900,MDA1,Ret1\r\n250,VABC005890,11,1,11,11,METSER123,E,006342.8,{before}093055,A,,,"
    "006454.9,{after}100333,A,,,112.1,kWh,20270101,20261103100333,20261103091133\r\n900\r\n"
)


def send(ours: People, services: Services, text: str, label: str) -> None:
    result = import_file(actor=ours.operator, now=NOW, services=services, content=text.encode(), label=label)
    assert (result.rows_count > 0, result.errors) == (True, ())


def run(ours: People, store: MemoryReadingStore) -> PipelineReport:
    return run_once(pipeline_ports(store, ours.tenant.id, lambda: NOW), NOW)


def look(ours: People, store: MemoryReadingStore) -> int:
    now = NOW + timedelta(microseconds=1)  # clocks show no whole seconds
    return look_again(store, tenant_id=ours.tenant.id, since=now - timedelta(days=2), now=now)


def test_years_after_the_last_read_are_not_derived_at_each_look(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = [f"OLD,import,2009-12-04T{hour:02d}:00:00Z,3600,1,kWh,measured\n" for hour in range(24)]
    send(ours, services, HEAD + "".join(day), "old.csv")
    send(ours, services, ADVANCE.format(before="20090901", after="20091102"), "old.nem13")
    derived = run(ours, store)
    assert 0 < derived.interval_count < 24 * 366 * 2
    assert look(ours, store) == 0
    assert run(ours, store).interval_count == 0
    monkeypatch.setattr("wattkeeper.bootstrap.look_again.EXPECTED_FOR", timedelta(days=10_000))  # the plant
    assert look(ours, store) == 2


def test_who_was_read_in_the_last_year_is_expected_to_be_read_again(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    send(ours, services, ADVANCE.format(before="20250903", after="20251102"), "a.nem13")
    assert look(ours, store) == 1


def test_who_was_never_read_is_expected_for_as_long_after_it_was_installed(
    ours: People, services: Services, store: MemoryReadingStore, street: Street
) -> None:
    install_first(ours, street, services)
    Meter.objects.update(link=None)
    assert look(ours, store) > 0
    Installation.objects.update(starts_at=NOW - EXPECTED_FOR - timedelta(days=1))
    assert look(ours, store) == 0


def test_a_meter_that_is_asked_is_missed_for_ever(
    ours: People, services: Services, store: MemoryReadingStore, street: Street
) -> None:
    install_first(ours, street, services, at=NOW - EXPECTED_FOR - timedelta(days=1))
    assert Meter.objects.filter(link__isnull=False).exists()
    assert look(ours, store) > 0
