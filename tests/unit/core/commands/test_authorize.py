"""Who may send what, when: every rule, gravest first."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.core.commands.authorize import UnableToAuthorize, authorize, tenant_cap
from wattkeeper.core.commands.facts import Approver, Command, Facts, batch_key_of, window_start
from wattkeeper.core.commands.states import Kind

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)  # Tuesday 12:00 in Shanghai
CUT = Command(1, Kind.DISCONNECT, 11, 100, NOON + timedelta(hours=24))
FACTS = Facts(
    grants=frozenset(Kind),
    is_protected=False,
    is_retired=False,
    has_relay=True,
    kill_switch_on=False,
    disconnects_by_operator_last_hour=0,
    disconnects_by_tenant_last_hour=0,
    tenant_meter_count=50,
    zone=ZoneInfo("Asia/Shanghai"),
    holidays=frozenset({date(2026, 11, 27)}),
)
KEY = batch_key_of(Kind.DISCONNECT, [11, 12], "debt", CUT.valid_until)
BATCH = replace(CUT, batch_meter_count=2, batch_key=KEY)
OTHER = Approver(200, 1, NOON - timedelta(hours=1), KEY)

REFUSALS: list[tuple[str, Command, dict[str, Any], datetime]] = [
    ("no-grant", CUT, {"grants": frozenset({Kind.RECONNECT})}, NOON),
    ("protected-customer", CUT, {"is_protected": True}, NOON),
    ("kill-switch", CUT, {"kill_switch_on": True}, NOON),
    ("debt-settled", CUT, {"is_for_debt": True, "is_debt_settled": True}, NOON),
    ("no-notice", CUT, {"is_for_debt": True}, NOON),
    ("no-notice", CUT, {"is_for_debt": True, "notice_served_at": NOON - timedelta(days=2, hours=23)}, NOON),
    ("expired", replace(CUT, valid_until=NOON), {}, NOON),
    ("calendar-day", replace(CUT, valid_until=NOON + timedelta(days=9)), {}, NOON + timedelta(days=4)),
    ("calendar-day", CUT, {"holidays": frozenset({date(2026, 11, 24)})}, NOON),
    ("calendar-eve", CUT, {"holidays": frozenset({date(2026, 11, 25)})}, NOON),
    ("calendar-hours", CUT, {}, NOON.replace(hour=0, minute=59, second=59)),
    ("calendar-hours", CUT, {}, NOON.replace(hour=7)),
    ("cap-operator", CUT, {"disconnects_by_operator_last_hour": 20}, NOON),
    ("cap-operator", CUT, {"disconnects_by_operator_last_hour": 15, "pending_count": 5}, NOON),
    ("cap-tenant", CUT, {"disconnects_by_tenant_last_hour": 3}, NOON),
    ("cap-tenant", CUT, {"disconnects_by_tenant_last_hour": 1, "pending_count": 2}, NOON),
    ("cap-tenant", CUT, {"disconnects_by_tenant_last_hour": 4, "tenant_meter_count": 4999}, NOON),
    ("meter-retired", CUT, {"is_retired": True}, NOON),
    ("no-relay", CUT, {"has_relay": False}, NOON),
    ("second-person-needed", BATCH, {}, NOON),
    ("second-person-not-another", BATCH, {"second_approver": replace(OTHER, person_id=100)}, NOON),
    ("second-person-not-another", BATCH, {"second_approver": replace(OTHER, created_by_person_id=100)}, NOON),
    (
        "second-person-not-another",
        BATCH,
        {"second_approver": OTHER, "requester_created_by_person_id": 200},
        NOON,
    ),
    ("approval-of-another-batch", BATCH, {"second_approver": replace(OTHER, batch_key="")}, NOON),
    (
        "approval-stale",
        BATCH,
        {"second_approver": replace(OTHER, approved_at=NOON - timedelta(hours=24))},
        NOON,
    ),
    ("approval-stale", BATCH, {"second_approver": replace(OTHER, approved_at=NOON + timedelta(1))}, NOON),
]

MAY_PASS = {  # with time, or once a second person has looked
    "no-notice",
    "calendar-day",
    "calendar-eve",
    "calendar-hours",
    "cap-operator",
    "cap-tenant",
    "second-person-needed",
}


@pytest.mark.parametrize(
    ("code", "command", "changes", "now"), REFUSALS, ids=[f"{i}-{r[0]}" for i, r in enumerate(REFUSALS)]
)
def test_refusal(code: str, command: Command, changes: dict[str, Any], now: datetime) -> None:
    with pytest.raises(UnableToAuthorize) as caught:
        authorize(command=command, facts=replace(FACTS, **changes), now=now)
    assert caught.value.code == f"commands.{code}"
    assert caught.value.quarantines is code.startswith("cap-")
    assert caught.value.is_permanent is (code not in MAY_PASS)


@pytest.mark.parametrize(
    ("command", "changes", "now"),
    [
        (CUT, {}, NOON),
        (CUT, {}, NOON.replace(hour=1)),
        (CUT, {}, NOON.replace(hour=6, minute=59, second=59)),
        (CUT, {"disconnects_by_operator_last_hour": 19, "tenant_meter_count": 50_000}, NOON),
        (CUT, {"disconnects_by_tenant_last_hour": 3, "tenant_meter_count": 4000}, NOON),
        (CUT, {"is_for_debt": True, "notice_served_at": NOON - timedelta(days=3)}, NOON),
        (BATCH, {"second_approver": OTHER}, NOON),
        (BATCH, {"second_approver": replace(OTHER, approved_at=NOON)}, NOON),
    ],
)
def test_leave(command: Command, changes: dict[str, Any], now: datetime) -> None:
    leave = authorize(command=command, facts=replace(FACTS, **changes), now=now)
    assert leave.command is command
    assert leave.is_valid_at(now)
    assert leave.is_valid_at(now + timedelta(minutes=9, seconds=59))
    assert not leave.is_valid_at(now + timedelta(minutes=10))
    assert not leave.is_valid_at(now - timedelta(seconds=1))


def test_leave_never_outlives_the_command() -> None:
    leave = authorize(command=replace(CUT, valid_until=NOON + timedelta(minutes=1)), facts=FACTS, now=NOON)
    assert not leave.is_valid_at(NOON + timedelta(minutes=1))


def test_the_gravest_reason_is_told() -> None:
    order = [
        "no-grant",
        "protected-customer",
        "kill-switch",
        "expired",
        "calendar-hours",
        "cap-operator",
        "no-relay",
    ]
    facts = replace(
        FACTS,
        grants=frozenset(),
        is_protected=True,
        kill_switch_on=True,
        disconnects_by_operator_last_hour=20,
        has_relay=False,
    )
    command, now = replace(BATCH, valid_until=NOON), NOON.replace(hour=12)
    cures: list[dict[str, Any]] = [
        {"grants": frozenset(Kind)},
        {"is_protected": False},
        {"kill_switch_on": False},
        {},
        {},
        {"disconnects_by_operator_last_hour": 0},
        {"has_relay": True},
    ]
    for code, cure in zip(order, cures, strict=True):
        with pytest.raises(UnableToAuthorize) as caught:
            authorize(command=command, facts=facts, now=now)
        assert caught.value.code == f"commands.{code}"
        facts = replace(facts, **cure)
        command = replace(command, valid_until=NOON + timedelta(days=1)) if code == "expired" else command
        now = NOON if code == "calendar-hours" else now
    with pytest.raises(UnableToAuthorize, match=r"commands\.second-person-needed"):
        authorize(command=command, facts=facts, now=now)


def test_a_reconnect_waits_for_no_office_hours() -> None:
    night = NOON.replace(hour=18)
    facts = replace(
        FACTS,
        is_protected=True,
        kill_switch_on=True,
        disconnects_by_operator_last_hour=99,
        disconnects_by_tenant_last_hour=99,
        is_for_debt=True,
    )
    assert authorize(command=replace(CUT, kind=Kind.RECONNECT), facts=facts, now=night).authorized_at == night


def test_local_time_is_the_zone_s() -> None:
    """12:00 in Shanghai is 05:00 in Berlin."""
    with pytest.raises(UnableToAuthorize, match="calendar-hours"):
        authorize(command=CUT, facts=replace(FACTS, zone=ZoneInfo("Europe/Berlin")), now=NOON)
    with pytest.raises(ValueError, match="naive"):
        authorize(command=CUT, facts=FACTS, now=NOON.replace(tzinfo=None))


def test_tenant_cap() -> None:
    assert [tenant_cap(count) for count in (0, 3999, 4000, 1_100_000)] == [3, 3, 4, 1100]


def test_window_edge() -> None:
    sent = [
        NOON - timedelta(hours=1),
        NOON - timedelta(minutes=59, seconds=59),
        NOON,
        NOON + timedelta(seconds=1),
    ]
    assert [window_start(NOON) < at <= NOON for at in sent] == [False, True, True, False]


def test_batch_key_binds_what_was_approved() -> None:
    keys = {
        KEY,
        batch_key_of(Kind.DISCONNECT, [12, 11], "debt", CUT.valid_until),
        batch_key_of(Kind.DISCONNECT, [11, 12, 13], "debt", CUT.valid_until),
        batch_key_of(Kind.DISCONNECT, [11, 12], "other", CUT.valid_until),
        batch_key_of(Kind.DISCONNECT, [11, 12], "debt", NOON),
    }
    assert len(keys) == 4
