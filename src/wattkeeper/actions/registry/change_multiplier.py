"""Change the multiplier of a usage point, now or back-dated."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.installing import mark_points_dirty
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Multiplier, UsagePoint


@audited("registry.change-multiplier")
def change_multiplier(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    usage_point_id: int,
    at: datetime,
    numerator: int,
    denominator: int = 1,
    reason: str = "",
) -> int:
    """
    From `at` until the next recorded change, secondary energy counts `numerator`/`denominator` times.

    The fact in force is cut at `at`; one that starts exactly there is corrected. Everything derived from then
    on is derived again. Returns the fact's id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``multipliers.not-positive``
    """
    check_instant(at, now=now)
    if numerator <= 0 or denominator <= 0:
        raise WattkeeperError("multipliers.not-positive", numerator=numerator, denominator=denominator)
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    entry.detail = {"at": at, "multiplier": f"{numerator}/{denominator}", "reason": reason}
    fact = _fact_from(point, at=at, now=now, entry=entry)
    fact.numerator, fact.denominator, fact.reason = numerator, denominator, reason
    fact.recorded_at = now
    fact.save()
    mark_points_dirty(
        [point.id], tenant_id=actor.tenant_id, from_at=at, to_at=fact.ends_at, now=now, reason="multiplier"
    )
    return fact.id


def _fact_from(point: UsagePoint, *, at: datetime, now: datetime, entry: Entry) -> Multiplier:
    """Return the fact that starts at `at`, new or known, after cutting the one in force there."""
    facts = point.multipliers.select_for_update()
    in_force = facts.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lte=at).first()
    following = facts.filter(starts_at__gt=at).order_by("starts_at").first()
    ends_at = following.starts_at if following else None
    if in_force is not None:
        entry.detail["before"] = f"{in_force.numerator}/{in_force.denominator}"
        if in_force.starts_at == at:
            return in_force
        ends_at = in_force.ends_at
        in_force.ends_at = at
        in_force.save(update_fields=["ends_at"])
    return Multiplier(
        tenant_id=point.tenant_id, usage_point=point, starts_at=at, ends_at=ends_at, recorded_at=now
    )
