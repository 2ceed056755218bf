"""Say by which tariff a usage point is billed."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.tariffs.contract_facts import changed_contracts, check_contract_instant
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Contract, Tariff
from wattkeeper.data.registry.models import UsagePoint


@audited("tariffs.set-contract", role=Role.ADMINISTRATOR)
def set_contract(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    usage_point_id: int,
    tariff_id: int,
    at: datetime,
    is_same_customer: bool = False,
) -> int:
    """
    Bill a usage point by a tariff from `at` on, in the past or to come, and return the contract's id.

    The contract in force ends there; one that begins there is corrected, and stays recorded as of when it was
    made. One that would begin later stands in
    the way. `is_same_customer`: as of the contract that holds until `at`, so that the tiers count on; another
    customer's begin anew. Where holidays change by it, what was estimated around them is estimated again.
    Issued bills that it prices otherwise are proposed to be corrected.

    :raises WattkeeperError: ``registry.not-found``, ``contracts.overlap``, ``contracts.nobody-before``,
        ``contracts.too-far``, ``registry.instant-*``
    """
    check_contract_instant(at, now=now)
    point = own(UsagePoint, usage_point_id, actor=actor)
    tariff = own(Tariff, tariff_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    entry.detail = {"tariff_id": tariff.id, "at": at, "is_same_customer": is_same_customer}
    contracts = point.contracts.select_for_update()
    with changed_contracts(point, actor=actor, now=now, since=at):
        before = contracts.filter(Q(ends_at__isnull=True) | Q(ends_at__gte=at), starts_at__lt=at).first()
        if before is None and is_same_customer:
            raise WattkeeperError("contracts.nobody-before", usage_point=point.code)
        if before is not None:
            before.ends_at = at
            before.save(update_fields=["ends_at"])
        contract = contracts.filter(starts_at=at).first()
        if contract is None:
            contract = Contract(tenant_id=actor.tenant_id, usage_point=point, starts_at=at, recorded_at=now)
        else:
            told = {"tariff_id": contract.tariff_id, "is_same_customer": contract.is_same_customer}
            entry.detail["before"] = told
        contract.tariff, contract.is_same_customer = tariff, is_same_customer
        contract.save()
    entry.detail["contract_id"] = contract.id
    return contract.id
