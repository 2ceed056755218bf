"""The wired pipeline: many series at once leave in store and registry what single ones leave."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError
from django.db.models import F

from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel import findings
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.known_ids import KnownIds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection import status
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.pipeline.ports import SpanFindings
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

FIRST = NOW - timedelta(days=2)


@pytest.fixture
def channels(ours: People, street: Street, services: Services) -> list[int]:
    """The import registers of two installed meters, one of long standing and one that came a day ago."""
    pairs = ((street.meter_id, street.point_id, 62), (street.other_meter_id, street.other_point_id, 20))
    for meter_id, point_id, days in pairs:
        install_meter(
            actor=ours.operator,
            now=NOW,
            services=services,
            meter_id=meter_id,
            usage_point_id=point_id,
            at=NOW - timedelta(days=days),
        )
    change_multiplier(actor=ours.operator, now=NOW, usage_point_id=street.point_id, at=LONG_AGO, numerator=40)
    ids = [meter_id for meter_id, _, _ in pairs]
    rows = Channel.objects.filter(meter_id__in=ids, reading_type="energy_import_register_kwh").order_by("id")
    return list(rows.values_list("id", flat=True))


def batch_of(tenant_id: int, channel_id: int) -> RawBatch:
    """Return two days of a register with a gap, a wrong read and two tellings of one instant."""
    at_s = to_seconds(FIRST) + 900 * np.arange(190, dtype=np.int64)
    value = 5000 + np.cumsum(1 + np.arange(190) % 5)
    value[50] += 100_000
    kept = np.delete(np.arange(190), [20, 21, 22, 100, *range(120, 150)])
    at_s, value = np.append(at_s[kept], at_s[5]), np.append(value[kept], value[5] + 1)
    source = np.append(np.full(len(kept), 5), 2)
    nothing = np.zeros(len(at_s), dtype=np.int64)
    return RawBatch(
        tenant_id, channel_id, int(at_s[-1]), nothing + channel_id, at_s, value, nothing, source, nothing - 1
    )


def left_behind(ours: People, channels: list[int], *, is_many: bool) -> tuple[object, object]:
    """Return the values and the open findings that a run leaves."""
    Finding.objects.all().delete()
    DirtyWindow.objects.all().delete()
    store = MemoryReadingStore()
    StoreSink(store, lambda: NOW).deliver([batch_of(ours.tenant.id, channel_id) for channel_id in channels])
    ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    report = run_once(ports if is_many else replace(ports, many=None), NOW)
    assert not report.failures
    assert not DirtyWindow.objects.exists()
    series_ids = list(Series.objects.values_list("id", flat=True))
    values = store.measurements(ours.tenant.id, series_ids, 0, 2**31)
    columns = {name: getattr(values, name).tolist() for name in type(values).__slots__ if name != "run_id"}
    names = ("rule", "subject_key", "starts_at", "ends_at", "usage_point_id", "meter_id", "evidence", "state")
    return columns, list(Finding.objects.order_by("rule", "subject_key", "starts_at").values_list(*names))


def test_many_at_once_leave_what_single_ones_leave(ours: People, channels: list[int]) -> None:
    together, single = (left_behind(ours, channels, is_many=is_many) for is_many in (True, False))
    assert together == single
    assert len(together[0]["value_milliwh"]) > 300  # type: ignore[index]
    assert {row[0] for row in together[1]} >= {"readings.jump", "readings.conflict"}  # type: ignore[attr-defined]


def test_a_register_of_long_standing_that_was_set_is_followed_through_it(
    ours: People, channels: list[int], street: Street, services: Services
) -> None:
    who: dict[str, Any] = {"actor": ours.operator, "now": NOW, "services": services}
    noted = {"at": FIRST + timedelta(minutes=15 * 60, seconds=300), "read": 5180, "set_to": 5181}
    note_read(**who, meter_id=street.meter_id, **noted)
    together, single = (left_behind(ours, channels, is_many=is_many) for is_many in (True, False))
    assert together == single
    assert "readings.register-reset" in {row[0] for row in together[1]}  # type: ignore[attr-defined]


def test_registers_of_exchanged_meters_come_round_with_all_their_energy(
    ours: People, street: Street, services: Services
) -> None:
    """The newest meter measures the second of three series: channels in another order than series."""
    who: dict[str, Any] = {"actor": ours.operator, "now": NOW, "services": services}
    site = {"site_id": street.site_id, "actor": ours.operator, "now": NOW}
    serial = "260100000003"
    third = {"serial_number": serial, "address": serial, "family": "dlt645_2007", "link_id": street.link_id}
    meter_id = add_meter(services=services, **site, **third, keys={"password": b"0123"})
    point_id = add_usage_point(**site, code="U3", name="U3")
    pairs = (
        (street.meter_id, street.point_id),
        (meter_id, street.other_point_id),
        (street.other_meter_id, point_id),
    )
    for meter_id, point_id in pairs:
        install_meter(**who, meter_id=meter_id, usage_point_id=point_id, at=NOW - timedelta(days=62))
    DirtyWindow.objects.all().delete()
    store, at_s = MemoryReadingStore(), to_seconds(FIRST) + 900 * np.arange(190, dtype=np.int64)
    nothing, ports = np.zeros(len(at_s), dtype=np.int64), pipeline_ports(store, ours.tenant.id, lambda: NOW)
    series_ids = list(
        Series.objects.filter(quantity="energy_import").order_by("id").values_list("id", flat=True)
    )
    ports.registry.load(series_ids)
    installed = [ports.registry.get_facts(series_id).installations[0] for series_id in series_ids]
    channel_ids = [own.channel_id for own in installed]
    assert np.argsort(channel_ids).tolist() == [0, 2, 1]
    for place, own in enumerate(installed):
        assert own.register_modulus is not None
        value = (own.register_modulus - 50 - 30 * place + 3 * np.arange(190)) % own.register_modulus
        told = (nothing + own.channel_id, at_s, value, nothing, nothing + 5)
        StoreSink(store, lambda: NOW).deliver(
            [RawBatch(ours.tenant.id, own.channel_id, int(at_s[-1]), *told, nothing - 1)]
        )
    assert not run_once(ports, NOW).failures
    values = store.measurements(ours.tenant.id, series_ids, int(at_s[0]), int(at_s[-1]))
    assert len(values.value_milliwh) == 3 * 189
    assert {int(3 * own.step_milliwh) for own in installed} == set(values.value_milliwh.tolist())


@pytest.mark.usefixtures("channels")
def test_findings_of_a_group_are_told_though_facts_of_others_were_read_since(
    ours: People, street: Street
) -> None:
    ports = pipeline_ports(MemoryReadingStore(), ours.tenant.id, lambda: NOW)
    assert ports.many is not None
    other, own = Series.objects.order_by("id").values_list("id", flat=True)
    from_s, to_s = to_seconds(FIRST), to_seconds(NOW)
    ports.many.get_plain(np.array([own]), np.array([from_s]))
    ports.registry.load([other])
    found = findings.Finding("readings.jump", from_s, to_s, series_id=own)
    ports.many.record_findings([SpanFindings(np.array([own]), from_s, to_s, (found,))], 1)
    assert Finding.objects.get(rule="readings.jump").usage_point_id == street.other_point_id


def test_findings_whose_cause_is_gone_are_closed(ours: People, channels: list[int]) -> None:
    left_behind(ours, channels, is_many=True)
    assert Finding.objects.filter(state="OPEN", rule="readings.jump").exists()
    store, batches = MemoryReadingStore(), [batch_of(ours.tenant.id, channel_id) for channel_id in channels]
    is_good = [(batch.value < 100_000) & (batch.source == 5) for batch in batches]
    names = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")
    clean = [
        replace(batch, **{name: getattr(batch, name)[kept] for name in names})
        for batch, kept in zip(batches, is_good, strict=True)
    ]
    StoreSink(store, lambda: NOW).deliver(clean)
    run_once(pipeline_ports(store, ours.tenant.id, lambda: NOW), NOW)
    assert not Finding.objects.filter(state="OPEN", rule__startswith="readings.").exists()


def marked_by(channel_id: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return which channels around one are marked as they are delivered in turns, together and again."""
    marked: list[list[int]] = []
    monkeypatch.setattr(status, "mark_read", marked.append)
    sink = StoreSink(MemoryReadingStore(), lambda: NOW)
    low, middle, high = channel_id - 7, channel_id, channel_id + 9
    for together in ([middle], [high, low, middle], [middle, low], [high], [high + 1, low]):
        sink.deliver([batch_of(1, each) for each in together])
    return marked


FIRST_TIMES = [[100], [93, 109], [110]]


def test_a_channel_is_marked_at_its_first_reads_only(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert marked_by(100, monkeypatch) == FIRST_TIMES


def test_a_channel_that_could_not_be_marked_is_marked_at_the_next_try(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_ids: list[int]) -> None:
        raise OperationalError

    sink = StoreSink(MemoryReadingStore(), lambda: NOW)
    monkeypatch.setattr(status, "mark_read", fails)
    with pytest.raises(OperationalError):
        sink.deliver([batch_of(1, 100)])
    marked: list[list[int]] = []
    monkeypatch.setattr(status, "mark_read", marked.append)
    sink.deliver([batch_of(1, 100)])
    assert marked == [[100]]


def test_who_marks_a_channel_again_is_caught(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownIds, "add", lambda _self, _ids: None)  # the plant
    assert marked_by(100, monkeypatch) != FIRST_TIMES


def test_who_was_taken_over_writes_nothing_and_what_it_completed_is_derived_again(
    ours: People, channels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before its write, then gone on: refused. Stopped after it: its spans are dirty once more."""
    DirtyWindow.objects.all().delete()
    store = MemoryReadingStore()
    StoreSink(store, lambda: NOW).deliver([batch_of(ours.tenant.id, channels[0])])
    stale = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    steps: dict[str, Callable[[], None]] = {"write": lambda: None, "complete": lambda: None}

    def take_over() -> None:
        DirtyWindow.objects.update(fence_id=F("fence_id") + 1000)

    for step, port, name in (
        ("write", stale.measurements, "append"),
        ("complete", stale.windows, "complete"),
    ):
        whole = getattr(port, name)
        monkeypatch.setattr(port, name, lambda *args, s=step, w=whole: (steps[s](), w(*args))[1])
    steps["write"] = take_over
    with pytest.raises(WattkeeperError) as refusal:
        run_once(stale, NOW)
    assert refusal.value.code == "pipeline.lease-lost"
    assert store.counts(ours.tenant.id).measurements == 0
    DirtyWindow.objects.update(fence_id=None, leased_until=None)
    steps.update(write=lambda: None, complete=take_over)
    assert run_once(stale, NOW).row_count > 0
    assert DirtyWindow.objects.filter(fence_id=None, reason="taken-over").exists()
    DirtyWindow.objects.exclude(fence_id=None).delete()  # the other one is done
    assert run_once(pipeline_ports(store, ours.tenant.id, lambda: NOW), NOW).window_count > 0
