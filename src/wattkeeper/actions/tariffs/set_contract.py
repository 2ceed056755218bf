"""Say by which tariff a usage point is billed."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.tariffs.changed_holidays import mark_changed_holidays
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.billing.models import Contract, Tariff
from wattkeeper.data.registry.models import UsagePoint


@audited("tariffs.set-contract", role=Role.ADMINISTRATOR)
def set_contract(
    entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, tariff_id: int, at: datetime
) -> int:
    """
    Bill a usage point by a tariff from `at` on, in the past or to come, and return the contract's id.

    The contract in force ends there. One that would begin later stands in the way.
    Where holidays change by it, what was estimated around them is estimated again.

    :raises WattkeeperError: ``registry.not-found``, ``contracts.overlap``, ``registry.instant-naive``
    """
    if at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    point = own(UsagePoint, usage_point_id, actor=actor)
    tariff = own(Tariff, tariff_id, actor=actor)
    contracts = point.contracts.select_for_update()
    before = Holidays(actor.tenant_id).of_point(point.id)
    in_force = contracts.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lt=at).first()
    if in_force is not None:
        in_force.ends_at = at
        in_force.save(update_fields=["ends_at"])
    contract = Contract.objects.create(
        tenant_id=actor.tenant_id, usage_point=point, tariff=tariff, starts_at=at, recorded_at=now
    )
    after = Holidays(actor.tenant_id).of_point(point.id)
    mark_changed_holidays(before, after, tenant_id=actor.tenant_id, now=now)
    entry.subject = f"usage-point:{point.id}"
    entry.detail = {"contract_id": contract.id, "tariff_id": tariff.id, "at": at}
    return contract.id
