"""A series that cannot be derived costs itself alone, wherever it fails; it is told and tried again later."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db.models import F

from relational import NOW, People, Street, install_first
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.failed_series import RULE, keep_failed
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, to_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.collection.windows import (
    REST_S,
    claim,
    complete,
    find_resting,
    mark_dirty,
    set_aside,
)
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.pipeline import derive, single_derive
from wattkeeper.pipeline.derive import PipelineReport, run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

HOURS = Period(NOW - timedelta(days=2), NOW - timedelta(hours=2))
RESTED = NOW + timedelta(seconds=REST_S)
BROKEN = IndexError("index 41 out-of-bounds in add.reduceat [0, 41)")


def batch_of(tenant_id: int, channel_id: int) -> RawBatch:
    """Return two days of a register with a gap."""
    at_s = to_seconds(NOW) - 900 * np.delete(np.arange(190, dtype=np.int64), range(20, 24))[::-1]
    nothing = np.zeros(len(at_s), dtype=np.int64)
    value = (at_s - at_s[0]) // 900
    return RawBatch(
        tenant_id,
        channel_id,
        int(at_s[-1]),
        nothing + channel_id,
        at_s,
        value,
        nothing,
        nothing + 5,
        nothing - 1,
    )


class Place:
    """Two series of one shard, and a pipeline that stumbles over the first while `is_broken`."""

    def __init__(self, people: People, channels: list[int]) -> None:
        self.people, self.channels = people, channels
        self.bad, self.good = Series.objects.order_by("id").values_list("id", flat=True)
        self.store, self.is_broken, self.now = MemoryReadingStore(), True, NOW

    def deliver(self, *channel_ids: int) -> None:
        batches = [batch_of(self.people.tenant.id, channel_id) for channel_id in channel_ids]
        StoreSink(self.store, lambda: self.now).deliver(batches)

    def run(self, at: datetime = NOW, *, is_many: bool = True) -> PipelineReport:
        self.now = at
        ports = pipeline_ports(self.store, self.people.tenant.id, lambda: self.now)
        report = run_once(ports if is_many else replace(ports, many=None), at)
        keep_failed(self.people.tenant.id, report.failures, at)
        return report

    def stored(self) -> set[int]:
        values = self.store.measurements(self.people.tenant.id, [self.bad, self.good], 0, 2**31)
        return set(values.series_id.tolist())

    def told(self) -> list[tuple[str, str]]:
        rows = Finding.objects.filter(rule=RULE).order_by("id")
        return [(row.subject_key, row.state, row.evidence["code"]) for row in rows]


@pytest.fixture
def place(ours: People, street: Street, services: Services) -> Place:
    install_first(ours, street, services)
    install_meter(
        actor=ours.operator,
        now=NOW,
        services=services,
        meter_id=street.other_meter_id,
        usage_point_id=street.other_point_id,
        at=NOW - timedelta(days=62),
    )
    DirtyWindow.objects.all().delete()
    rows = Channel.objects.filter(reading_type="energy_import_register_kwh").order_by("id")
    return Place(ours, list(rows.values_list("id", flat=True)))


def plant_single(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = single_derive._derive_window

    def stumble(ports: Any, facts: Any, *rest: Any) -> Any:
        if place.is_broken and facts.series_id == place.bad:
            raise BROKEN
        return whole(ports, facts, *rest)

    monkeypatch.setattr(single_derive, "_derive_window", stumble)


def plant_group(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = derive.derive_groups

    def stumble(many: Any, groups: Any, *rest: Any) -> Iterator[Any]:
        if place.is_broken and any(place.bad in group.series.facts.series_id for group in groups):
            raise BROKEN
        return whole(many, groups, *rest)

    monkeypatch.setattr(derive, "derive_groups", stumble)


def plant_tail(name: str, find: Callable[..., Any]) -> Callable[[Place, pytest.MonkeyPatch], None]:
    def plant(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(derive, name)

        def stumble(*args: Any) -> Any:
            if place.is_broken and any(place.bad in np.asarray(ids) for ids in find(*args)):
                raise BROKEN
            return whole(*args)

        monkeypatch.setattr(derive, name, stumble)

    return plant


PLANTS = {
    "single": (plant_single, False),
    "group": (plant_group, True),
    "determinants": (
        plant_tail("append_determinants", lambda _port, _run, tables: [t[0].series_id for t in tables]),
        True,
    ),
    "append": (plant_tail("_append", lambda _ports, _virtual, _run, rows, _now: [rows.series_id]), True),
    "roll-ups": (plant_tail("refresh", lambda _port, _run, days: [own.series_id for own in days]), True),
}


@pytest.mark.parametrize("where", PLANTS)
def test_a_series_that_fails_holds_up_no_other_and_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    plant, is_many = PLANTS[where]
    plant(place, monkeypatch)
    place.deliver(*place.channels)
    report = place.run(is_many=is_many)
    assert [(failure.series_id, failure.code) for failure in report.failures] == [(place.bad, "IndexError")]
    assert place.good in place.stored()
    assert place.told() == [(f"series:{place.bad}", "OPEN", "IndexError")]
    place.deliver(place.channels[1])
    assert place.run(is_many=is_many).window_count == 1, "its shard is free, and it rests itself"
    place.is_broken = False
    mark_dirty(tenant_id=place.people.tenant.id, now=NOW, reason="x", series={place.bad: HOURS})
    place.run(is_many=is_many)
    assert place.told()[0][1] == "OPEN", "what rests is not derived yet, though some of it is"
    assert place.run(RESTED - timedelta(seconds=1), is_many=is_many).window_count == 0
    assert not place.run(RESTED, is_many=is_many).failures
    assert place.stored() == {place.bad, place.good}
    assert not DirtyWindow.objects.exists()
    assert place.told() == [(f"series:{place.bad}", "CLOSED", "IndexError")]


def test_what_the_store_refuses_is_nobodys_own_fault(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving what nobody can store would only ask a store that is down again and again."""
    tries: list[int] = []

    def refuse(*_args: Any) -> None:
        tries.append(1)
        raise WattkeeperError("store.refused", is_permanent=False)

    monkeypatch.setattr(derive, "_append", refuse)
    place.deliver(*place.channels)
    with pytest.raises(WattkeeperError, match=r"store\.refused"):
        place.run()
    assert len(tries) == 1


def test_what_no_series_fails_over_alone_is_told_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = derive.refresh

    def stumble(port: Any, run_id: int, days: Any) -> Any:
        if sum(len(own.series_id) for own in days) > 1:
            raise BROKEN
        return whole(port, run_id, days)

    monkeypatch.setattr(derive, "refresh", stumble)
    place.deliver(*place.channels)
    report = place.run()
    assert [(failure.series_id, failure.error) for failure in report.failures] == [(None, BROKEN)]
    assert place.stored() == {place.bad, place.good}
    assert not place.told()


def test_a_series_that_fails_at_each_delivery_leaves_one_row(place: Place) -> None:
    for hours in range(6):
        span = Period(NOW - timedelta(hours=hours + 1), NOW)
        mark_dirty(tenant_id=place.people.tenant.id, now=NOW, reason="x", series={place.bad: span})
        held = claim(tenant_id=place.people.tenant.id, now=NOW, lease_s=60, limit=9)
        assert set_aside(held, now=NOW + timedelta(seconds=10 * hours)) == len(held) == 1
    row = DirtyWindow.objects.get()
    assert (row.spans_count, row.fence_id, row.leased_until) == (1, None, RESTED), "the first rest counts"
    assert list(find_resting(place.people.tenant.id)) == [place.bad]
    mark_dirty(tenant_id=place.people.tenant.id, now=NOW, reason="x", series={place.good: span})
    held = claim(tenant_id=place.people.tenant.id, now=NOW, lease_s=60, limit=9)
    assert held.series_id.tolist() == [place.good], "what comes new joins no row that rests"
    complete(held)


@pytest.mark.parametrize("jump", [timedelta(days=-4000), timedelta(days=4000)])
def test_a_clock_that_jumps_leaves_nothing_at_rest_for_ever(place: Place, jump: timedelta) -> None:
    span = {place.bad: Period(NOW - timedelta(hours=1), NOW)}
    mark_dirty(tenant_id=place.people.tenant.id, now=NOW, reason="x", series=span)
    set_aside(claim(tenant_id=place.people.tenant.id, now=NOW, lease_s=60, limit=9), now=NOW)
    assert len(claim(tenant_id=place.people.tenant.id, now=NOW + jump, lease_s=60, limit=9)) == 1


def test_who_was_taken_over_sets_nothing_aside(place: Place) -> None:
    span = {place.bad: Period(NOW - timedelta(hours=1), NOW)}
    mark_dirty(tenant_id=place.people.tenant.id, now=NOW, reason="x", series=span)
    stale = claim(tenant_id=place.people.tenant.id, now=NOW, lease_s=60, limit=9)
    DirtyWindow.objects.update(fence_id=F("fence_id") + 1)
    assert set_aside(stale, now=NOW) == 0
    assert DirtyWindow.objects.get().fence_id is not None


def test_a_shard_that_one_tenant_holds_is_free_for_another(place: Place, theirs: People) -> None:
    span = {place.bad: Period(NOW - timedelta(hours=1), NOW)}
    for people in (place.people, theirs):
        mark_dirty(tenant_id=people.tenant.id, now=NOW, reason="x", series=span)
    for people in (place.people, theirs):
        assert len(claim(tenant_id=people.tenant.id, now=NOW, lease_s=60, limit=9)) == 1
