"""Say what a virtual meter is made of from an instant on."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.virtual.formulas import put_formula, read_formula
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import UsagePoint


@audited("virtual.set-formula")
def set_formula(
    entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, formula: str, at: datetime
) -> None:
    """
    From `at` until the next recorded change a virtual meter is this formula; an empty one: nothing.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``formulas.*``
    """
    check_instant(at, now=now)
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    entry.detail = {"formula": formula, "at": at}
    if point.kind != UsagePoint.Kind.VIRTUAL:
        raise WattkeeperError("formulas.not-virtual", point=point.code)
    stored = read_formula(actor.tenant_id, formula) if formula.strip() else []
    put_formula(point, formula, stored, at=at, actor=actor, now=now)
