"""The one place that gives a command leave to go. It asks nobody: facts and the clock are handed in.

It is called when a command is requested and again in the transaction that lets it go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from wattkeeper.core.commands.facts import Approver, Command, Facts
from wattkeeper.core.commands.states import Kind
from wattkeeper.core.kernel.errors import WattkeeperError

GOOD_FOR = timedelta(minutes=10)
APPROVAL_GOOD_FOR = timedelta(hours=24)
OPERATOR_CAP = 20
TENANT_CAP_LEAST = 3
TENANT_CAP_DIVISOR = 1000


class UnableToAuthorize(WattkeeperError):
    """Raised with the gravest reason a command may not go; `is_permanent` False where waiting can help."""

    @property
    def quarantines(self) -> bool:
        """Whether every pending disconnect of the tenant must be held: a cap was passed."""
        return self.code in ("commands.cap-operator", "commands.cap-tenant")


@dataclass(frozen=True, slots=True)
class AuthorizedCommand:
    """A command with leave to go until `valid_until`."""

    command: Command
    authorized_at: datetime
    valid_until: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """Whether the leave still holds."""
        return self.authorized_at <= now < self.valid_until


def authorize(*, command: Command, facts: Facts, now: datetime) -> AuthorizedCommand:
    """Return the command with leave to go, good for ten minutes and never past its own validity.

    A disconnect leaves only when the calendar allows it, by default on a weekday from 09:00 to before 15:00
    local time, not on a holiday or the day before one; at most 20 an hour and operator, at most
    max(3, 0.1 % of the meters) an hour and tenant.

    :raises UnableToAuthorize: with the first reason found, gravest first
    """
    if now.tzinfo is None:
        raise ValueError("naive datetime")
    for check in _CHECKS:
        check(command, facts, now)
    return AuthorizedCommand(command, now, min(now + GOOD_FOR, command.valid_until))


def tenant_cap(meter_count: int) -> int:
    """Return how many disconnects a tenant of so many meters may send in an hour."""
    return max(TENANT_CAP_LEAST, meter_count // TENANT_CAP_DIVISOR)


def _refuse(code: str, *, is_permanent: bool = True, **params: object) -> None:
    raise UnableToAuthorize(f"commands.{code}", is_permanent=is_permanent, **params)


def _check_grant(command: Command, facts: Facts, _now: datetime) -> None:
    if command.kind not in facts.grants:
        _refuse("no-grant", kind=command.kind.value)


def _check_protected(command: Command, facts: Facts, _now: datetime) -> None:
    if command.kind is Kind.DISCONNECT and facts.is_protected:
        _refuse("protected-customer")


def _check_kill_switch(command: Command, facts: Facts, _now: datetime) -> None:
    if command.kind is Kind.DISCONNECT and facts.kill_switch_on:
        _refuse("kill-switch")


def _check_debt(command: Command, facts: Facts, now: datetime) -> None:
    if command.kind is not Kind.DISCONNECT or not facts.is_for_debt:
        return
    if facts.is_debt_settled:
        _refuse("debt-settled")
    notice_age = timedelta(-1) if facts.notice_served_at is None else now - facts.notice_served_at
    if notice_age < timedelta(days=facts.notice_days_least):
        _refuse("no-notice", is_permanent=False, least_days=facts.notice_days_least)


def _check_validity(command: Command, _facts: Facts, now: datetime) -> None:
    if now >= command.valid_until:
        _refuse("expired", valid_until=command.valid_until.isoformat())


def _check_calendar(command: Command, facts: Facts, now: datetime) -> None:
    if command.kind is not Kind.DISCONNECT:
        return
    local = now.astimezone(facts.zone)
    at = local.strftime("%Y-%m-%d %H:%M")
    calendar = facts.calendar
    if not calendar.is_any_day:
        if local.weekday() >= 5 or local.date() in facts.holidays:
            _refuse("calendar-day", is_permanent=False, at=at)
        if local.date() + timedelta(days=1) in facts.holidays:
            _refuse("calendar-eve", is_permanent=False, at=at)
    if not calendar.opens <= local.time() < calendar.closes:
        _refuse(
            "calendar-hours",
            is_permanent=False,
            at=at,
            opens=str(calendar.opens),
            closes=str(calendar.closes),
        )


def _check_caps(command: Command, facts: Facts, _now: datetime) -> None:
    if command.kind is not Kind.DISCONNECT:
        return
    if facts.disconnects_by_operator_last_hour + facts.pending_count >= OPERATOR_CAP:
        _refuse("cap-operator", is_permanent=False, cap=OPERATOR_CAP)
    cap = tenant_cap(facts.tenant_meter_count)
    if facts.disconnects_by_tenant_last_hour + facts.pending_count >= cap:
        _refuse("cap-tenant", is_permanent=False, cap=cap)


def _check_meter(_command: Command, facts: Facts, _now: datetime) -> None:
    if facts.is_retired:
        _refuse("meter-retired")
    if not facts.has_relay:
        _refuse("no-relay")


def _check_second_person(command: Command, facts: Facts, now: datetime) -> None:
    if command.batch_meter_count <= 1:
        return
    approver = facts.second_approver
    if approver is None:
        _refuse("second-person-needed", is_permanent=False, meter_count=command.batch_meter_count)
    elif _is_same_hand(command, facts, approver):
        _refuse("second-person-not-another")
    elif approver.batch_key != command.batch_key:
        _refuse("approval-of-another-batch")
    elif not approver.approved_at <= now < approver.approved_at + APPROVAL_GOOD_FOR:
        _refuse("approval-stale")


def _is_same_hand(command: Command, facts: Facts, approver: Approver) -> bool:
    """Whether requester and approver are one person, or one of them made the other's account."""
    requester = command.requested_by_person_id
    return (
        approver.person_id == requester
        or approver.created_by_person_id == requester
        or facts.requester_created_by_person_id == approver.person_id
    )


_CHECKS: tuple[Callable[[Command, Facts, datetime], None], ...] = (
    _check_grant,
    _check_protected,
    _check_kill_switch,
    _check_debt,
    _check_validity,
    _check_calendar,
    _check_caps,
    _check_meter,
    _check_second_person,
)
