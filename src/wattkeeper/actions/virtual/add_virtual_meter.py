"""Add a virtual meter: a usage point whose values a formula makes."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, check_instant, own
from wattkeeper.actions.virtual.formulas import QUANTITY, fitting_interval_s, put_formula, read_formula
from wattkeeper.data.registry.models import Series, Site, UsagePoint

FIELDS = frozenset({"code", "name", "kind"})


@audited("virtual.add-meter")
def add_virtual_meter(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    site_id: int,
    code: str,
    name: str,
    formula: str,
    at: datetime,
    interval_s: int | None = None,
) -> int:
    """
    Add a virtual meter to a site and return the id of its usage point; its formula holds from `at`.

    `interval_s` None: the shortest that the intervals of all parts fit into.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.in-future``,
        ``formulas.*``
    """
    check_instant(at, now=now)
    site = own(Site, site_id, actor=actor)
    stored = read_formula(actor.tenant_id, formula)
    point = UsagePoint(tenant_id=actor.tenant_id, site=site)
    fields = {"code": code, "name": name, "kind": UsagePoint.Kind.VIRTUAL}
    told = {"site_id": site.id, "formula": formula, "at": at}
    entry.detail = told | change(point, fields, allowed=FIELDS)
    entry.subject = f"usage-point:{point.id}"
    Series.objects.create(
        tenant_id=actor.tenant_id,
        usage_point=point,
        quantity=QUANTITY,
        interval_s=interval_s or fitting_interval_s(actor.tenant_id, stored),
    )
    put_formula(point, formula, stored, at=at, actor=actor, now=now)
    return point.id
