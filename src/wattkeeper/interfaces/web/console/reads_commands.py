"""Commands as pages show them: the way each has come, and what is still possible."""

from dataclasses import dataclass
from datetime import datetime

from wattkeeper.core.commands.states import IS_FINAL, Kind, State
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Installation, Meter, UsagePoint

_WAY = (State.REQUESTED, State.APPROVED, State.QUEUED, State.SENT, State.ACKED)
_GOOD, _BAD = (
    {State.VERIFIED},
    {State.REFUSED, State.EXPIRED, State.CANCELLED, State.QUARANTINED, State.FAILED},
)


@dataclass(frozen=True, slots=True)
class Stop:
    """One state on a command's way: ``done``, ``now``, ``failed`` or still to come (empty)."""

    state_code: str
    css: str


def get_installed_meter(
    *, tenant_id: int, meter_id: int, now: datetime
) -> tuple[Meter, UsagePoint | None] | None:
    """Return a meter and where it is installed, None where the tenant has no meter of that id."""
    meter = Meter.objects.select_related("site").filter(tenant_id=tenant_id, id=meter_id).first()
    if meter is None:
        return None
    installed = (
        Installation.objects.select_related("usage_point__site")
        .filter(meter=meter, starts_at__lte=now)
        .exclude(ends_at__lte=now)
        .first()
    )
    return meter, installed.usage_point if installed else None


def way_of(command: Command) -> list[Stop]:
    """Return the states a command has passed, where it is, and those still ahead if all goes well."""
    passed = [State.REQUESTED.value, *command.steps.order_by("id").values_list("to_state", flat=True)]
    here = State(command.state)
    stops = [Stop(code, "done") for code in passed[:-1]]
    stops.append(Stop(here.value, _css_of(here)))
    if here in IS_FINAL or here is State.QUARANTINED:
        return stops
    ahead = [*_WAY, State.ARMED] if command.kind == Kind.RECONNECT.value else [*_WAY]
    ahead.append(State.VERIFIED)
    return stops + [Stop(state.value, "") for state in ahead if state.value not in passed]


def badge_of(state_code: str) -> str:
    """Return how a command's state is coloured."""
    state = State(state_code)
    return "good" if state in _GOOD else "bad" if state in _BAD else "warn" if state is State.UNKNOWN else ""


def is_open(command: Command) -> bool:
    """Whether a command's state may still change by itself."""
    return State(command.state) not in IS_FINAL


def _css_of(state: State) -> str:
    return "done" if state in _GOOD else "failed" if state in _BAD else "now"
