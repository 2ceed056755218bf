"""End the contract of a usage point: from an instant on nobody is billed for it."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.tariffs.contract_facts import changed_contracts, check_contract_instant
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import UsagePoint


@audited("tariffs.end-contract", role=Role.ADMINISTRATOR)
def end_contract(entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, at: datetime) -> int:
    """
    End the contract that holds until `at`, in the past or to come, and return its id.

    A contract that was ended later ends earlier by it. Holidays that were its tariff's count no more from
    then on. Issued bills of later days are proposed to be corrected.

    :raises WattkeeperError: ``registry.not-found``, ``contracts.none-in-force``, ``contracts.too-far``,
        ``registry.instant-*``
    """
    check_contract_instant(at, now=now)
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    in_force = point.contracts.select_for_update().filter(starts_at__lt=at)
    contract = in_force.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at)).first()
    if contract is None:
        raise WattkeeperError("contracts.none-in-force", usage_point=point.code)
    entry.detail = {"contract_id": contract.id, "at": at, "ended_before": contract.ends_at}
    with changed_contracts(point, actor=actor, now=now, since=at):
        contract.ends_at = at
        contract.save(update_fields=["ends_at"])
    return contract.id
