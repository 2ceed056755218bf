"""What authority rests on, read in the transaction that decides."""

from datetime import datetime
from zoneinfo import ZoneInfo

from wattkeeper.actions.actor import Actor
from wattkeeper.core.commands.facts import Command as CommandFact
from wattkeeper.core.commands.facts import Facts, window_start
from wattkeeper.core.commands.states import Kind
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.commands.models import Command, KillSwitch
from wattkeeper.data.commands.queries import get_cut_calendar
from wattkeeper.data.registry.models import Installation, Meter, UsagePoint

COMMAND_ROLE = Role.OPERATOR


def command_fact(command: Command) -> CommandFact:
    """Return the command as the core knows it."""
    return CommandFact(
        command_id=command.id or 0,
        kind=Kind(command.kind),
        meter_id=command.meter_id,
        requested_by_person_id=command.requested_by_id,
        valid_until=command.valid_until,
    )


def read_facts(command: Command, *, now: datetime) -> Facts:
    """Return the facts of one command as of now.

    The tenant's kill switch row is locked until the transaction ends, so that two decisions of a tenant never
    count the same hour side by side.

    :raises WattkeeperError: ``commands.meter-not-installed``
    """
    switch = _lock_tenant(command.tenant_id, now)
    point = _usage_point(command.meter, now)
    let_go = Command.objects.filter(
        tenant_id=command.tenant_id, kind=Kind.DISCONNECT.value, queued_at__gt=window_start(now)
    )
    requester = command.requested_by
    return Facts(
        grants=_grants(Actor.of_user(requester, origin="system"), is_active=requester.is_active),
        is_protected=point.is_protected,
        is_retired=command.meter.state == Meter.State.RETIRED,
        has_relay=command.meter.has_relay,
        kill_switch_on=switch.is_on,
        disconnects_by_operator_last_hour=let_go.filter(requested_by=requester).count(),
        disconnects_by_tenant_last_hour=let_go.count(),
        tenant_meter_count=Meter.objects.filter(
            tenant_id=command.tenant_id, state=Meter.State.INSTALLED
        ).count(),
        zone=ZoneInfo(point.site.time_zone),
        calendar=get_cut_calendar(tenant_id=command.tenant_id),
        requester_created_by_person_id=requester.created_by_id,
    )


def _lock_tenant(tenant_id: int, now: datetime) -> KillSwitch:
    KillSwitch.objects.get_or_create(tenant_id=tenant_id, defaults={"changed_at": now})
    return KillSwitch.objects.select_for_update().get(tenant_id=tenant_id)


def _usage_point(meter: Meter, now: datetime) -> UsagePoint:
    installation = (
        Installation.objects.filter(meter=meter, starts_at__lte=now)
        .exclude(ends_at__lte=now)
        .select_related("usage_point__site")
        .first()
    )
    if installation is None:
        raise WattkeeperError("commands.meter-not-installed", serial_number=meter.serial_number)
    return installation.usage_point


def _grants(requester: Actor, *, is_active: bool) -> frozenset[Kind]:
    return frozenset(Kind) if is_active and requester.can(COMMAND_ROLE) else frozenset()
