"""Add and retire standing comparisons of a meter with a check meter or with its sub-meters."""

from datetime import datetime
from typing import TypedDict, Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.virtual.marked_nodes import mark_nodes
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period
from wattkeeper.core.vee.accuracy import LOSS_MAX_PPM, WINDOW_MAX_DAYS, get_limits
from wattkeeper.data.alarms.queries import close_gone
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.data.virtual.models import AccuracyCheck

RULE = "vee.accuracy"
FIELDS = frozenset(
    {"main_class", "reference_class", "base_power_w", "loss_ppm", "window_days", "main_id", "reference_id"}
)


class CheckFields(TypedDict, total=False):
    """What a comparison assumes."""

    main_class: str
    reference_class: str
    base_power_w: int
    loss_ppm: int
    window_days: int


def subject_of(check_id: int) -> str:
    """Return how findings name a comparison."""
    return f"accuracy:{check_id}"


@audited("virtual.add-accuracy-check")
def add_accuracy_check(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    main_id: int,
    reference_id: int | None,
    **fields: Unpack[CheckFields],
) -> int:
    """
    Compare the meter at a point with the one at another, or with what the point feeds; return the id.

    While the comparison stands gaps of the main meter are estimated from what the check meter or the meters
    below measured, and gaps of one below from what the main meter and the others leave.

    :raises WattkeeperError: ``registry.not-found``, ``registry.invalid-field``, ``vee.accuracy-class``,
        ``accuracy.itself``
    """
    main = own(UsagePoint, main_id, actor=actor)
    reference = None if reference_id is None else own(UsagePoint, reference_id, actor=actor)
    if main_id == reference_id:
        raise WattkeeperError("accuracy.itself", point=main.code)
    for name in ("main_class", "reference_class"):
        get_limits(str(fields.get(name, "")))
    for name, most in (("loss_ppm", LOSS_MAX_PPM), ("window_days", WINDOW_MAX_DAYS)):
        value = fields.get(name, 0)
        if int(str(value)) > most:
            kind, reason = "accuracycheck", "max_value"
            raise WattkeeperError("registry.invalid-field", kind=kind, field=name, reason=reason, value=value)
    check = AccuracyCheck(tenant_id=actor.tenant_id, main=main, reference=reference)
    entry.detail = {"main_id": main_id, "reference_id": reference_id, **change(check, fields, allowed=FIELDS)}
    entry.subject = subject_of(check.id)
    _mark_checked(check, now=now)
    return check.id


@audited("virtual.retire-accuracy-check")
def retire_accuracy_check(entry: Entry, *, actor: Actor, now: datetime, check_id: int) -> None:
    """
    End a comparison; its reports stay readable and its finding is closed.

    What was estimated from its check meter is estimated again without.

    :raises WattkeeperError: ``registry.not-found``
    """
    check = own(AccuracyCheck, check_id, actor=actor)
    entry.subject = subject_of(check.id)
    check.retired_at = now
    check.save(update_fields=["retired_at"])
    close_gone(tenant_id=actor.tenant_id, rule=RULE, subject_key=entry.subject, now=now)
    _mark_checked(check, now=now)


def _mark_checked(check: AccuracyCheck, *, now: datetime) -> None:
    """Let the gaps be estimated again that the comparison tells something of."""
    if check.reference is None:
        mark_nodes(tenant_id=check.tenant_id, main_ids={check.main_id}, now=now)
        return
    first = check.reference.installations.order_by("starts_at").first()
    if first is not None and first.starts_at < now:
        span = Period(first.starts_at, now)
        series = dict.fromkeys(check.main.series.values_list("id", flat=True), span)
        mark_dirty(tenant_id=check.tenant_id, now=now, reason="check-meter", series=series)
