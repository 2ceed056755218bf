"""Dirty windows: merged while they wait, claimed once, finished only by who holds them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, to_seconds
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.collection.queries import count_dirty_windows
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.collection.windows import (
    AHEAD,
    ClaimedWindow,
    claim,
    complete,
    extend_claim,
    find_claimed,
    mark_dirty,
)
from wattkeeper.data.registry.models import Channel, Series

HOUR = timedelta(hours=1)
LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def channel_id(ours: People, street: Street, services: Services) -> int:
    """The energy channel of a meter that was installed a month after LONG_AGO."""
    install_first(ours, street, services, at=LONG_AGO + timedelta(days=31))
    DirtyWindow.objects.all().delete()
    return Channel.objects.get(meter_id=street.meter_id, reading_type="energy_import_register_kwh").id


def mark(ours: People, channel_id: int, starts_at: datetime, ends_at: datetime) -> int:
    span = (to_seconds(starts_at), to_seconds(ends_at))
    return mark_dirty(tenant_id=ours.tenant.id, now=NOW, reason="reads", channels={channel_id: span})


def test_reads_of_a_channel_mark_its_series_and_grow_one_window(ours: People, channel_id: int) -> None:
    for hours in (5, 4, 2, 3, 3):
        mark(ours, channel_id, NOW - hours * HOUR, NOW - (hours - 1) * HOUR)
    spans = sorted(DirtyWindow.objects.values_list("starts_at", "ends_at"))
    assert spans[0][0] == NOW - 5 * HOUR
    assert max(end for _, end in spans) == NOW - HOUR + timedelta(seconds=1)
    assert len(spans) <= 2


def test_a_live_value_or_a_meter_in_stock_marks_nothing(
    ours: People, street: Street, channel_id: int
) -> None:
    voltage = Channel.objects.get(meter_id=street.meter_id, reading_type="voltage_l1_v").id
    stock = Channel.objects.get(meter_id=street.other_meter_id, reading_type="energy_import_register_kwh").id
    assert mark(ours, voltage, NOW - HOUR, NOW) == 0
    assert mark(ours, stock, NOW - HOUR, NOW) == 0
    assert mark(ours, channel_id, LONG_AGO, LONG_AGO + HOUR) == 0
    assert not DirtyWindow.objects.exists()


def test_the_read_at_the_instant_of_a_removal_counts(
    ours: People, street: Street, channel_id: int, services: Services
) -> None:
    from wattkeeper.actions.registry.remove_meter import remove_meter

    remove_meter(actor=ours.operator, now=NOW, services=services, meter_id=street.meter_id, at=NOW - HOUR)
    DirtyWindow.objects.all().delete()
    assert mark(ours, channel_id, NOW - HOUR, NOW - HOUR) == 1
    DirtyWindow.objects.all().delete()
    assert mark(ours, channel_id, NOW - HOUR + timedelta(seconds=1), NOW) == 0


class Steady:
    """A steady clock that tests move."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


def claims_over(ours: People, *, spent_s: float, now: datetime = NOW) -> list[ClaimedWindow]:
    """Claim every 20 s of a waiting process's own clock, `now` being what the wall clock says meanwhile."""
    steady = Steady()
    watch: Watch[int] = Watch(steady)
    while True:
        found = claim(now=now, lease_s=60, limit=10, tenant_id=ours.tenant.id, watch=watch)
        if found or steady.at_s >= spent_s:
            return found
        steady.at_s += 20


@pytest.mark.parametrize("jump", [timedelta(0), HOUR, -HOUR, timedelta(days=4000), -timedelta(days=4000)])
def test_a_clock_that_jumps_ends_no_lease_early_and_keeps_none_alive(
    ours: People, channel_id: int, jump: timedelta
) -> None:
    assert is_followed_when_silent(ours, channel_id, jump)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_lease_that_compares_clocks_would_be_caught(
    ours: People, channel_id: int, jump: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_the_clock(_watch: object, signs: Mapping[int, tuple[int, datetime]], _lease_s: int) -> set[int]:
        return {fence_id for fence_id, (_, leased_until) in signs.items() if leased_until <= NOW + jump}

    monkeypatch.setattr(Watch, "silent", by_the_clock)
    assert not is_followed_when_silent(ours, channel_id, jump)


def is_followed_when_silent(ours: People, channel_id: int, jump: timedelta) -> bool:
    """Whether a claim is taken over once its holder was silent for the whole lease, and not before."""
    mark(ours, channel_id, NOW - HOUR, NOW)
    first = claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)
    early = claims_over(ours, spent_s=40, now=NOW + jump)
    after = claims_over(ours, spent_s=60, now=NOW + jump)
    return not early and [window.fence_id > first[0].fence_id for window in after[:1]] == [True]


def test_a_claim_that_is_extended_is_never_silent(ours: People, channel_id: int) -> None:
    mark(ours, channel_id, NOW - HOUR, NOW)
    held, steady = claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id), Steady()
    watch: Watch[int] = Watch(steady)
    for _ in range(20):
        steady.at_s += 20
        assert claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id, watch=watch) == []
        extend_claim(held[0].fence_id, now=NOW, lease_s=60)
    assert complete(held) == 1


def test_who_was_away_looks_anew(ours: People, channel_id: int) -> None:
    """A process that was stopped for an hour with everybody else takes nothing the moment it goes on."""
    mark(ours, channel_id, NOW - HOUR, NOW)
    claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)
    steady = Steady()
    watch: Watch[int] = Watch(steady)
    for at_s in (0, 20, 3600):
        steady.at_s = at_s
        assert claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id, watch=watch) == []


def test_a_window_is_claimed_once_and_taken_over_when_its_holder_is_silent(
    ours: People, channel_id: int
) -> None:
    mark(ours, channel_id, NOW - HOUR, NOW)
    first = claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)
    assert len(first) == 1
    assert claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id) == []
    second = claims_over(ours, spent_s=60)
    assert second[0].fence_id > first[0].fence_id
    with pytest.raises(WattkeeperError) as refusal:
        extend_claim(first[0].fence_id, now=LATER, lease_s=60)
    assert refusal.value.code == "pipeline.lease-lost"
    assert complete(first) == 0
    assert DirtyWindow.objects.exists()
    assert complete(second) == 1
    assert not DirtyWindow.objects.exists()


def test_what_changes_while_a_window_is_held_is_derived_again(ours: People, channel_id: int) -> None:
    mark(ours, channel_id, NOW - HOUR, NOW)
    held = claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)
    mark(ours, channel_id, NOW - HOUR, NOW)
    assert DirtyWindow.objects.count() == 2
    assert claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id) == []  # the series is held
    complete(held)
    assert len(claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)) == 1


def test_fences_only_rise_even_when_nothing_is_left(ours: People, channel_id: int) -> None:
    fences = []
    for _ in range(3):
        mark(ours, channel_id, NOW - HOUR, NOW)
        claimed = claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)
        fences.append(claimed[0].fence_id)
        complete(claimed)
    assert fences == sorted(set(fences))


def test_claims_of_one_tenant(ours: People, theirs: People, channel_id: int) -> None:
    mark(ours, channel_id, NOW - HOUR, NOW)
    assert claim(now=NOW, lease_s=60, limit=10, tenant_id=theirs.tenant.id) == []
    assert len(claim(now=NOW, lease_s=60, limit=10, tenant_id=ours.tenant.id)) == 1


def test_a_span_without_end_is_refused(ours: People, channel_id: int) -> None:
    series_id = Series.objects.get().id
    with pytest.raises(ValueError, match="end"):
        mark_dirty(tenant_id=ours.tenant.id, now=NOW, reason="x", series={series_id: Period(NOW)})


def test_marking_is_a_handful_of_statements(
    ours: People, channel_id: int, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        mark(ours, channel_id, NOW - HOUR, NOW)
    assert DirtyWindow.objects.count() == 1


def test_what_another_claim_holds_is_told_and_not_what_only_waits(ours: People, channel_id: int) -> None:
    series_id = Series.objects.get(quantity="energy_import", usage_point__installations__isnull=False).id

    def others(besides: int | None) -> set[int]:
        asked = [series_id, series_id + 1]
        return find_claimed(tenant_id=ours.tenant.id, series_ids=asked, besides=besides)

    mark(ours, channel_id, NOW - HOUR, NOW)
    assert others(None) == set()
    (window,) = claim(tenant_id=ours.tenant.id, now=NOW, lease_s=60, limit=9)
    assert others(None) == others(window.fence_id + 1) == {series_id}
    assert others(window.fence_id) == set()
    complete([window])
    assert others(None) == set()


def put_off(ours: People, series_id: int, hours: tuple[int, int]) -> None:
    period = Period(NOW + hours[0] * HOUR, NOW + hours[1] * HOUR)
    mark_dirty(tenant_id=ours.tenant.id, now=NOW, reason=AHEAD, series={series_id: period})


def claimed_hours(ours: People, at: datetime) -> list[tuple[int, float, float]]:
    """Return what is claimed at an instant, and complete it: hours after NOW."""
    found = claim(tenant_id=ours.tenant.id, now=at, lease_s=60, limit=9)
    complete(found)
    return [
        (each.series_id, (each.from_s - to_seconds(NOW)) / 3600, (each.to_s - to_seconds(NOW)) / 3600)
        for each in found
    ]


def test_what_waits_for_its_time_is_claimed_once_that_has_passed(ours: People, channel_id: int) -> None:
    first = Series.objects.get().id
    second = first + 1
    put_off(ours, first, (1, 2))
    put_off(ours, second, (3, 4))
    put_off(ours, first, (2, 5))
    assert count_dirty_windows() == 0, "nobody is behind"
    assert claimed_hours(ours, NOW) == []
    mark_dirty(tenant_id=ours.tenant.id, now=NOW, reason="reads", series={first: Period(NOW - HOUR, NOW)})
    assert claimed_hours(ours, NOW) == [(first, -1, 0)], "what waits beside it goes on waiting"
    assert claimed_hours(ours, NOW + HOUR) == [(first, 1, 5)]
    assert claimed_hours(ours, NOW) == [], "also after the clock was set back"
    assert claimed_hours(ours, NOW + 3 * HOUR) == [(second, 3, 4)]
    assert not DirtyWindow.objects.exists()


def test_a_holder_of_what_comes_now_does_not_hold_up_what_waits(ours: People, channel_id: int) -> None:
    mark(ours, channel_id, NOW - HOUR, NOW)
    held = claim(tenant_id=ours.tenant.id, now=NOW, lease_s=60, limit=9)
    put_off(ours, held[0].series_id, (1, 2))
    assert claimed_hours(ours, NOW + HOUR) == [], "the shard is held"
    complete(held)
    assert claimed_hours(ours, NOW + HOUR) == [(held[0].series_id, 1, 2)]
