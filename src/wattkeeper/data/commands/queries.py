"""Commands and what may stop them, as pages, API and shell ask for them."""

from django.db.models import Q, QuerySet

from wattkeeper.core.commands.facts import CutCalendar
from wattkeeper.data.commands.models import Command, CutPolicy, KillSwitch


def list_commands(
    *, tenant_id: int, search: str = "", state: str | None = None, meter_id: int | None = None
) -> QuerySet[Command]:
    """Return the tenant's commands, newest first; words are looked for in meter, reason and person."""
    rows = Command.objects.filter(tenant_id=tenant_id).select_related("meter__site", "requested_by")
    if state is not None:
        rows = rows.filter(state=state)
    if meter_id is not None:
        rows = rows.filter(meter_id=meter_id)
    for word in search.split():
        rows = rows.filter(
            Q(meter__serial_number__icontains=word)
            | Q(reason__icontains=word)
            | Q(requested_by__username__icontains=word)
        )
    return rows.order_by("-id")


def get_command(*, tenant_id: int, command_id: int) -> Command | None:
    """Return a command with its meter, None where the tenant has none of that id."""
    rows = Command.objects.select_related("meter__site", "requested_by")
    return rows.filter(tenant_id=tenant_id, id=command_id).first()


def get_cut_calendar(*, tenant_id: int) -> CutCalendar:
    """Return when the tenant's disconnects may leave: what was set, else the careful default."""
    policy = CutPolicy.objects.filter(tenant_id=tenant_id).first()
    return CutCalendar(policy.opens, policy.closes, policy.is_any_day) if policy else CutCalendar()


def is_stopped(*, tenant_id: int) -> bool:
    """Whether the tenant's kill switch is on."""
    return KillSwitch.objects.filter(tenant_id=tenant_id, is_on=True).exists()
