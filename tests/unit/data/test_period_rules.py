"""Rules over periods, wired: one finding a run of days, kept while it lasts, apart from what is derived."""

from datetime import timedelta

import pytest

from period_world import TODAY_S, assign, judge, store_days, store_months, store_quarters
from relational import NOW, People, Street, install_first
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.vee.registry import PERIOD_CODES
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import close_window
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Installation, Series
from wattkeeper.store.memory import MemoryReadingStore


@pytest.fixture
def series(ours: People, street: Street, services: Services) -> int:
    """The import series of a usage point with a meter of long standing."""
    install_first(ours, street, services)
    return Series.objects.get(usage_point_id=street.point_id, quantity="energy_import").id


def test_missing_days_are_one_finding_that_goes_when_they_come(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 50), 96), 1)
    assert judge(store, ours) == []
    store_days(store, ours, series, dict.fromkeys(range(10, 15), 90), 2)
    whole = ("vee.interval-count", 14, 9, {"day_count": 5, "expected_count": 480, "present_count": 450})
    assert judge(store, ours) == [whole]
    store_days(store, ours, series, {12: 96}, 3)
    assert [(found[1], found[2]) for found in judge(store, ours)] == [(14, 12), (11, 9)]
    store_days(store, ours, series, dict.fromkeys(range(10, 15), 96), 4)
    assert judge(store, ours) == []


def test_what_is_too_new_or_not_fetched_yet_is_no_finding(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, {1: 0, 2: 0, 3: 96}, 1)
    assert judge(store, ours) == []
    store_days(store, ours, series, dict.fromkeys(range(1, 60), 96), 2)
    assert judge(store, ours) == []


def test_a_series_without_a_day_is_left_alone(ours: People, series: int, store: MemoryReadingStore) -> None:
    assert judge(store, ours) == []


def test_days_before_a_break_without_a_meter_are_not_missed(
    ours: People, series: int, street: Street, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys([1, 2, 3, 4, 5, 30], 96), 1)
    Installation.objects.filter(usage_point_id=street.point_id).update(ends_at=NOW - timedelta(days=20))
    Installation.objects.create(
        tenant=ours.tenant,
        meter_id=street.meter_id,
        usage_point_id=street.point_id,
        starts_at=NOW - timedelta(days=6, hours=1),
        recorded_at=NOW,
    )
    assert [found[1:3] for found in judge(store, ours)] == []


def test_what_is_derived_closes_no_finding_of_a_period(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 50), 96) | {10: 0}, 1)
    assert len(judge(store, ours)) == 1
    span = {"from_at": NOW - timedelta(days=30), "to_at": NOW, "now": NOW, "kept": set()}
    own = {"tenant_id": ours.tenant.id, "subject_key": f"series:{series}"}
    close_window(**own, **span, apart=PERIOD_CODES)  # type: ignore[arg-type]
    assert Finding.objects.filter(state="OPEN").count() == 1
    close_window(**own, **span)  # type: ignore[arg-type]
    assert Finding.objects.filter(state="OPEN").count() == 0


def test_a_rule_set_assigned_now_leaves_old_findings_to_the_rules_of_their_days(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 50), 96) | {20: 0, 5: 0}, 1)
    assert [found[1] for found in judge(store, ours)] == [20, 5]
    assign(ours, {"code": "quiet-1", "rules": {"vee.interval-count": {"severity": "off"}}}, 10)
    assert [found[1] for found in judge(store, ours)] == [20]


def test_a_month_of_other_usage_is_found_once_it_is_over(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 60), 96), 1)
    Installation.objects.update(starts_at=NOW - timedelta(days=200))
    store_months(store, ours, series, {2: 1000, 1: 1400, 0: 9000}, 1)
    assert judge(store, ours) == []
    store_months(store, ours, series, {1: 1600}, 2)
    ((rule, _, _, evidence),) = judge(store, ours)
    assert rule == "vee.high-usage"
    assert (evidence["energy_milliwh"], evidence["reference_milliwh"]) == (1600, 1000)
    assign(ours, {"code": "quiet-2", "rules": {"vee.high-usage": {"severity": "off"}}}, 300)
    assert judge(store, ours) == []


def order(ours: People, street: Street, kind: str, days_ago: int, *, state: str = "VERIFIED") -> None:
    """Keep a command that was sent an hour before a midnight and, if verified, read back at that midnight."""
    at = from_seconds(TODAY_S - days_ago * 86_400)
    is_verified = state == "VERIFIED"
    Command.objects.create(
        tenant_id=ours.tenant.id,
        meter_id=street.meter_id,
        kind=kind,
        state=state,
        reason="unpaid",
        idempotency_key=f"{kind}-{days_ago}",
        requested_by_id=ours.operator.user_id,
        requested_at=at,
        valid_until=at,
        sent_at=at - timedelta(hours=1),
        read_back_at=at if is_verified else None,
        relay_state_code=int(kind == "RECONNECT") if is_verified else None,
    )


def store_idle(store: MemoryReadingStore, ours: People, series_id: int) -> None:
    """Store seven weeks of whole days in which nothing was used."""
    store_days(store, ours, series_id, dict.fromkeys(range(1, 50), 96), 1)
    days = store.roll_ups(ours.tenant.id, [series_id], [(0, TODAY_S)])
    days.energy_milliwh[:] = 0
    store.insert_roll_ups(ours.tenant.id, 2, days)


def test_nothing_used_is_found_unless_the_supply_was_off(
    ours: People, street: Street, series: int, store: MemoryReadingStore
) -> None:
    store_idle(store, ours, series)
    assert [found[:3] for found in judge(store, ours)] == [("vee.zero-consumption", 49, 0)]
    order(ours, street, "DISCONNECT", 40, state="UNKNOWN")
    assert len(judge(store, ours)) == 1
    order(ours, street, "DISCONNECT", 20)
    assert judge(store, ours) == []
    order(ours, street, "RECONNECT", 19)
    assert judge(store, ours) == []  # neither 29 days before nor 19 after are thirty


def test_nothing_used_is_found_unless_the_power_was_out(
    ours: People, series: int, store: MemoryReadingStore
) -> None:
    store_idle(store, ours, series)
    quarter = (TODAY_S - 20 * 86_400 + 3600, 0)
    store_quarters(store, ours, series, [(*quarter, 0)])
    assert len(judge(store, ours)) == 1
    store_quarters(store, ours, series, [(*quarter, int(Flag.POWER_LOST))], run_id=2)
    assert judge(store, ours) == []


def test_use_while_disconnected_is_found_until_somebody_asked_for_the_supply(
    ours: People, street: Street, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 50), 96), 1)
    off_s, asked_s = TODAY_S - 10 * 86_400, TODAY_S - 5 * 86_400 - 3600
    used = [off_s - 900, off_s, off_s + 900, off_s + 1800, asked_s - 900, asked_s, asked_s + 900]
    store_quarters(store, ours, series, [(at_s, 7, 0) for at_s in used])
    assert judge(store, ours) == []
    order(ours, street, "DISCONNECT", 10)
    order(ours, street, "RECONNECT", 5)
    (found,) = Finding.objects.filter(rule=judge(store, ours)[0][0], state="OPEN")
    assert found.rule == "vee.usage-on-inactive"
    assert (to_seconds(found.starts_at), found.evidence) == (off_s + 900, {"energy_milliwh": 14})
    assign(ours, {"code": "floor-1", "rules": {"vee.usage-on-inactive": {"inactive_floor_milliwh": 7}}}, 300)
    assert judge(store, ours) == []
    assign(ours, {"code": "quiet-3", "rules": {"vee.usage-on-inactive": {"severity": "off"}}}, 10)
    assign(ours, {"code": "plain-1", "rules": {}}, 300)
    assert judge(store, ours) == []


def test_what_is_derived_leaves_use_while_disconnected_alone(
    ours: People, street: Street, series: int, store: MemoryReadingStore
) -> None:
    store_days(store, ours, series, dict.fromkeys(range(1, 50), 96), 1)
    order(ours, street, "DISCONNECT", 10)
    store_quarters(store, ours, series, [(TODAY_S - 3 * 86_400, 7, 0), (TODAY_S - 2 * 86_400, 0, 0)])
    assert [found[:2] for found in judge(store, ours)] == [("vee.usage-on-inactive", 3)]
    assert "vee.usage-on-inactive" in PERIOD_CODES


def test_a_series_without_the_days_of_its_sibling_is_found(
    ours: People, street: Street, series: int, store: MemoryReadingStore
) -> None:
    own = {"tenant_id": ours.tenant.id, "usage_point_id": street.point_id, "quantity": "energy_export"}
    sibling = Series.objects.create(**own).id
    whole = dict.fromkeys(range(1, 50), 96)
    store_days(store, ours, series, whole, 1)
    assert judge(store, ours) == []  # the other has never been delivered
    store_days(store, ours, sibling, whole, 1)
    assert judge(store, ours) == []
    store_days(store, ours, sibling, {8: 0, 9: 0}, 2)
    found = {each[0]: each[1:3] for each in judge(store, ours)}
    assert found == {"vee.interval-count": (9, 7), "vee.sibling-missing": (9, 7)}
    assign(ours, {"code": "quiet-4", "rules": {"vee.sibling-missing": {"severity": "off"}}}, 300)
    assert [each[0] for each in judge(store, ours)] == ["vee.interval-count"]
    store_days(store, ours, sibling, {8: 96, 9: 96}, 3)
    assert judge(store, ours) == []
