"""Rule sets with effective dates, wired: what a change makes dirty, and by what each day is judged."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set, withdraw_assignment
from wattkeeper.actions.vee.groups import add_group, put_in_group
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow, Run
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.data.vee.schedules import load_schedule
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

DAY = timedelta(days=1)
LENIENT = {"code": "lenient", "rules": {"vee.spike": {"severity": "off"}}}
STRICT = {"code": "strict", "rules": {"vee.spike": {"severity": "fail", "spike_pct": 110}}}
MIDNIGHT = datetime(2026, 11, 19, 16, 0, tzinfo=UTC)  # of 20 November in Shanghai


@pytest.fixture
def series(ours: People, street: Street, services: Services) -> list[int]:
    """The import series of two points, measured for sixty-two days and for twenty."""
    for meter_id, point_id, days in (
        (street.meter_id, street.point_id, 62),
        (street.other_meter_id, street.other_point_id, 20),
    ):
        install_meter(
            actor=ours.operator,
            now=NOW,
            services=services,
            meter_id=meter_id,
            usage_point_id=point_id,
            at=NOW - timedelta(days=days),
        )
    DirtyWindow.objects.all().delete()
    points = [street.point_id, street.other_point_id]
    rows = Series.objects.filter(usage_point_id__in=points, quantity="energy_import").order_by("id")
    return list(rows.values_list("id", flat=True))


def dirty() -> dict[int, tuple[int, int]]:
    """Return what is dirty, by series of imported energy: one span each."""
    wanted = set(Series.objects.filter(quantity="energy_import").values_list("id", flat=True))
    found: dict[int, tuple[int, int]] = {}
    for row in DirtyWindow.objects.all():
        spans = Spans.unpack(bytes(row.spans))
        for series_id, from_s, to_s in zip(
            spans.series_id.tolist(), spans.from_s.tolist(), spans.to_s.tolist(), strict=True
        ):
            assert series_id not in found
            if series_id in wanted:
                found[series_id] = (from_s, to_s)
    DirtyWindow.objects.all().delete()
    return found


def assign(people: People, document: dict[str, Any] | None, day: date, group: str = "*") -> int:
    """Assign a rule set that is added for it."""
    rule_set_id = (
        None if document is None else add_rule_set(actor=people.administrator, now=NOW, document=document)
    )
    return assign_rule_set(
        actor=people.administrator, now=NOW, starts_date=day, group_code=group, rule_set_id=rule_set_id
    )


def test_changes_mark_exactly_what_they_change(ours: People, series: list[int]) -> None:
    first, other = series
    now_s, begun_s, cut_s = to_seconds(NOW), to_seconds(NOW - 20 * DAY), to_seconds(MIDNIGHT)
    assignment_id = assign(ours, LENIENT, date(2026, 11, 20))
    assert dirty() == {first: (cut_s, now_s), other: (cut_s, now_s)}
    group_id = add_group(actor=ours.administrator, now=NOW, code="shops")
    assign(ours, STRICT, date(2026, 1, 1), "shops")
    assert dirty() == {}  # nobody is in it
    assert put_in_group(actor=ours.administrator, now=NOW, series_ids=[other], group_id=group_id) == 1
    assert dirty() == {other: (begun_s, now_s)}
    assert put_in_group(actor=ours.administrator, now=NOW, series_ids=[other], group_id=group_id) == 0
    assert dirty() == {}
    assert withdraw_assignment(actor=ours.administrator, now=NOW, assignment_id=assignment_id) == 1
    assert dirty() == {first: (cut_s, now_s)}  # the other is judged by its group's
    assign(ours, {"code": "defaults told"}, date(2020, 1, 1))
    assert dirty() == {}  # the same judgement by another name
    assign(ours, None, date(2026, 11, 20), "shops")
    assert dirty() == {other: (cut_s, now_s)}


def test_marking_too_much_is_seen(ours: People, series: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting above has teeth: whole histories instead of what differs fail it."""
    whole = "wattkeeper.core.vee.rule_set_plan.RulePlan.differs"
    monkeypatch.setattr(whole, lambda _self, _other, from_s, to_s: [(from_s, to_s)])
    with pytest.raises(AssertionError):
        test_changes_mark_exactly_what_they_change(ours, series)


def delivered(people: People, series: list[int], spikes_at: list[datetime]) -> MemoryReadingStore:
    """Return a store with two and a half days of both registers, each with spikes."""
    store = MemoryReadingStore()
    first = NOW - 4 * DAY
    at_s = to_seconds(first) + 900 * np.arange(4 * 96, dtype=np.int64)
    channels = Channel.objects.filter(
        meter__installations__usage_point__series__in=series, reading_type="energy_import_register_kwh"
    ).order_by("id")
    for channel_id in channels.values_list("id", flat=True).distinct():
        energy = 3 + np.arange(len(at_s)) % 3
        for spike_at in spikes_at:
            energy[np.searchsorted(at_s, to_seconds(spike_at))] = 300
        nothing = np.zeros(len(at_s), dtype=np.int64)
        batch = RawBatch(
            people.tenant.id,
            channel_id,
            int(at_s[-1]),
            nothing + channel_id,
            at_s,
            5000 + np.cumsum(energy),
            nothing,
            nothing + 5,
            nothing - 1,
        )
        StoreSink(store, lambda: NOW).deliver([batch])
    return store


@pytest.mark.parametrize("is_many", [True, False])
def test_the_pipeline_judges_each_day_by_the_set_in_force(
    ours: People, series: list[int], is_many: bool
) -> None:
    early, late = MIDNIGHT - timedelta(hours=20), MIDNIGHT + timedelta(hours=20)
    assign(ours, LENIENT, date(2026, 11, 20))
    DirtyWindow.objects.all().delete()
    store = delivered(ours, series, [early, late])
    ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    report = run_once(ports if is_many else replace(ports, many=None), NOW)
    assert not report.failures
    spikes = Finding.objects.filter(rule="vee.spike", state="OPEN")
    assert {(row.subject_key, row.starts_at < MIDNIGHT) for row in spikes} == {
        (f"series:{series_id}", True) for series_id in series
    }
    assert Run.objects.get(id=report.run_id).rule_set.startswith("schedule-")


def test_both_paths_leave_the_same_under_a_schedule(ours: People, series: list[int]) -> None:
    assign(ours, LENIENT, date(2026, 11, 20))
    left: list[Any] = []
    for is_many in (True, False):
        Finding.objects.all().delete()
        DirtyWindow.objects.all().delete()
        store = delivered(ours, series, [MIDNIGHT - DAY, MIDNIGHT + DAY])
        ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
        run_once(ports if is_many else replace(ports, many=None), NOW)
        values = store.measurements(ours.tenant.id, series, 0, 2**31)
        columns = [getattr(values, name).tolist() for name in ("value_milliwh", "flags", "provenance")]
        left.append((columns, sorted(Finding.objects.values_list("rule", "subject_key", "starts_at"))))
    assert left[0] == left[1]
    assert left[0][0][0]


def test_after_a_change_the_old_days_stay_and_the_new_ones_are_judged_anew(
    ours: People, series: list[int]
) -> None:
    early, late = MIDNIGHT - timedelta(hours=20), MIDNIGHT + timedelta(hours=20)
    store = delivered(ours, series, [early, late])
    ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    run_once(ports, NOW)
    assert Finding.objects.filter(rule="vee.spike", state="OPEN").count() == 4
    assign(ours, LENIENT, date(2026, 11, 20))
    report = run_once(ports, NOW)
    assert Finding.objects.filter(rule="vee.spike", state="OPEN", starts_at__gte=MIDNIGHT).count() == 0
    assert Finding.objects.filter(rule="vee.spike", state="OPEN").count() == 2
    assert report.row_count == 2  # the two values that nobody disputes any more


def test_the_rules_of_an_earlier_moment_can_be_told(ours: People, series: list[int]) -> None:
    later = NOW + timedelta(hours=1)
    assignment_id = assign(ours, LENIENT, date(2026, 11, 20))
    withdraw_assignment(actor=ours.administrator, now=later, assignment_id=assignment_id)
    at_s = to_seconds(MIDNIGHT + DAY)
    then, now = load_schedule(ours.tenant.id, as_of=NOW), load_schedule(ours.tenant.id)
    assert then.plan_of(series[0], "Asia/Shanghai").at(at_s).code == "lenient"
    assert now.plan_of(series[0], "Asia/Shanghai").at(at_s).code == "default-2"
    assert load_schedule(ours.tenant.id, as_of=LONG_AGO).is_default


def test_rules_are_the_tenants_own(
    ours: People, theirs: People, series: list[int], make_street: Callable[[People], Street]
) -> None:
    rule_set_id = add_rule_set(actor=theirs.administrator, now=NOW, document=LENIENT)
    group_id = add_group(actor=theirs.administrator, now=NOW, code="shops")
    attempts: list[Callable[[], object]] = [
        lambda: assign_rule_set(
            actor=ours.administrator, now=NOW, starts_date=date(2026, 1, 1), rule_set_id=rule_set_id
        ),
        lambda: assign_rule_set(
            actor=ours.administrator, now=NOW, starts_date=date(2026, 1, 1), group_code="shops"
        ),
        lambda: put_in_group(actor=ours.administrator, now=NOW, series_ids=series, group_id=group_id),
        lambda: put_in_group(actor=theirs.administrator, now=NOW, series_ids=series, group_id=group_id),
    ]
    for attempt in attempts:
        with pytest.raises(WattkeeperError) as refusal:
            attempt()
        assert refusal.value.code == "registry.not-found"
    with pytest.raises(WattkeeperError) as refusal:
        add_rule_set(actor=ours.operator, now=NOW, document=LENIENT)
    assert refusal.value.code == "accounts.not-allowed"
    assert dirty() == {}
