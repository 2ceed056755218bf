"""Finding and keeping rows of the actor's own tenant; another tenant's are as if absent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model, Q, QuerySet

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import day_unit_s
from wattkeeper.data.sealing.fields import SealedRow

M = TypeVar("M", bound=Model)
SEALED = "sealed"
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)  # from here on readings are kept, in every zone


def own(model: type[M], record_id: int, *, actor: Actor) -> M:
    """Return a row of the actor's tenant, locked until the transaction ends.

    :raises WattkeeperError: ``registry.not-found``
    """
    row = model._default_manager.select_for_update().filter(tenant_id=actor.tenant_id, pk=record_id).first()
    if row is None:
        raise WattkeeperError("registry.not-found", kind=model._meta.model_name, id=record_id)
    return row


def keep(row: Model) -> None:
    """Validate and save a row.

    :raises WattkeeperError: ``registry.taken`` or ``registry.invalid-field`` with the field's name
    """
    unset = {field.name for field in row._meta.fields if field.null and getattr(row, field.attname) is None}
    try:
        row.full_clean(exclude=unset)
    except ValidationError as error:
        raise _first_fault(row, error) from error
    row.save()


def change(row: Model, changes: Mapping[str, Any], *, allowed: frozenset[str]) -> dict[str, Any]:
    """Set fields of a row, keep it, and return {field: [before, after]} for the audit.

    Of a sealed field the audit holds that it changed: what it was and is would stand there in plain for ever.

    :raises WattkeeperError: ``registry.unknown-field`` for one that is not among `allowed`
    """
    if unknown := sorted(set(changes) - allowed):
        raise WattkeeperError("registry.unknown-field", field=unknown[0])
    before = {name: getattr(row, name) for name in changes}
    for name, value in changes.items():
        setattr(row, name, value)
    keep(row)
    changed = {name: [before[name], getattr(row, name)] for name in changes}
    sealed = _sealed(row)
    return {
        name: [SEALED if value and name in sealed else value for value in values]
        for name, values in changed.items()
        if values[0] != values[1]
    }


def cut_at(facts: QuerySet[Any], at: datetime) -> datetime | None:
    """End the fact in force at `at`, drop one that starts there, and return when a new one has to end.

    `facts`: of one thing, one after another, each from `starts_at` until `ends_at`; locked.
    """
    facts = facts.select_for_update()
    in_force = facts.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lte=at).first()
    following = facts.filter(starts_at__gt=at).order_by("starts_at").first()
    ends_at: datetime | None = following.starts_at if following else None
    if in_force is None:
        return ends_at
    ends_at = in_force.ends_at
    if in_force.starts_at == at:
        in_force.delete()
    else:
        in_force.ends_at = at
        in_force.save(update_fields=["ends_at"])
    return ends_at


def check_time_zone(name: str) -> None:
    """Check that `name` is an IANA zone.

    :raises WattkeeperError: ``registry.time-zone-unknown``
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise WattkeeperError("registry.time-zone-unknown", name=name) from error


def check_fits_days(interval_s: int, zone: str, *, usage_point: str) -> None:
    """Check that every local day of a zone is a whole number of intervals, also where its clock changes.

    :raises WattkeeperError: ``series.interval-not-kept``
    """
    if day_unit_s(ZoneInfo(zone)) % interval_s:
        raise WattkeeperError(
            "series.interval-not-kept", usage_point=usage_point, interval_s=interval_s, zone=zone
        )


def check_instant(at: datetime, *, now: datetime) -> None:
    """Check that facts are dated on a whole second that has come, and that readings can be of.

    :raises WattkeeperError: ``registry.instant-naive``, ``registry.instant-fraction``,
        ``registry.instant-too-early``, ``registry.in-future``
    """
    check_second(at)
    if at > now:
        raise WattkeeperError("registry.in-future", at=at.isoformat())


def check_second(at: datetime) -> None:
    """Check that an instant, past or to come, is a whole second that readings can be of.

    :raises WattkeeperError: ``registry.instant-naive``, ``registry.instant-fraction``,
        ``registry.instant-too-early``
    """
    if at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    if at.microsecond:
        raise WattkeeperError("registry.instant-fraction", at=at.isoformat())
    if at < EARLIEST:
        raise WattkeeperError("registry.instant-too-early", at=at.isoformat())


def _first_fault(row: Model, error: ValidationError) -> WattkeeperError:
    kind = row._meta.model_name
    for field_name, faults in error.error_dict.items():
        fault = faults[0]
        if fault.code in {"unique", "unique_together"}:
            checked = (fault.params or {}).get("unique_check", (field_name,))
            name = checked[-1]
            return WattkeeperError("registry.taken", kind=kind, field=name, value=str(getattr(row, name, "")))
        if field_name != NON_FIELD_ERRORS:
            return WattkeeperError(
                "registry.invalid-field",
                kind=kind,
                field=field_name,
                reason=fault.code or "invalid",
                value=_value(row, field_name),
            )
    name = _broken_field(row)
    value = _value(row, name)
    return WattkeeperError("registry.invalid-field", kind=kind, field=name, reason="constraint", value=value)


def _value(row: Model, name: str) -> str:
    """Return the beginning of what stands in a field; of a sealed one, that it is sealed."""
    return SEALED if name in _sealed(row) else str(getattr(row, name, ""))[:100]


def _sealed(row: Model) -> set[str]:
    return {field.name for field in row.sealed_fields()} if isinstance(row, SealedRow) else set()


def _broken_field(row: Model) -> str:
    """Return the field that the first rule is about which a row breaks; nothing where the rules name none."""
    for constraint in row._meta.constraints:
        try:
            constraint.validate(type(row), row)
        except ValidationError:
            condition = getattr(constraint, "condition", None)
            named = [each[0] for each in getattr(condition, "children", ()) if isinstance(each, tuple)]
            return str(named[0]).partition("__")[0] if named else ""
    return ""
