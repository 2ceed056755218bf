"""Withdraw a contract that nothing was billed under: it never was."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.tariffs.contract_facts import changed_contracts
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.contracts import contract_before, find_billed
from wattkeeper.data.billing.parts import counts_on
from wattkeeper.data.registry.models import UsagePoint


@audited("tariffs.withdraw-contract", role=Role.ADMINISTRATOR)
def withdraw_contract(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    usage_point_id: int,
    contract_id: int,
    before_goes_on: bool = False,
) -> None:
    """
    Take a contract of a usage point away, dated ahead or not, that nothing was ever billed under.

    `before_goes_on`: the contract that ends where this one begins holds until this one's end, as if there had
    been no other; without, it stays ended. One that counts its tiers on from this one stands in the way. The
    audit keeps what it was. Holidays and issued bills follow as at any change of contracts.

    :raises WattkeeperError: ``registry.not-found``, ``contracts.billed``, ``contracts.counted-on``,
        ``contracts.nobody-before``
    """
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    contract = point.contracts.select_for_update().filter(id=contract_id).first()
    if contract is None:
        raise WattkeeperError("registry.not-found", kind="contract", id=contract_id)
    if (bill := find_billed(contract)) is not None:
        raise WattkeeperError("contracts.billed", usage_point=point.code, bill_id=bill.id)
    following = point.contracts.filter(starts_at__gt=contract.starts_at).order_by("starts_at").first()
    if following is not None and counts_on(contract, following):
        raise WattkeeperError("contracts.counted-on", usage_point=point.code, at=following.starts_at)
    before = contract_before(contract)
    if before is None and before_goes_on:
        raise WattkeeperError("contracts.nobody-before", usage_point=point.code)
    entry.detail = {
        "contract_id": contract.id,
        "tariff_id": contract.tariff_id,
        "at": contract.starts_at,
        "ends_at": contract.ends_at,
        "is_same_customer": contract.is_same_customer,
        "before_goes_on": before_goes_on,
    }
    with changed_contracts(point, actor=actor, now=now, since=contract.starts_at):
        contract.delete()
        if before is not None and before_goes_on:
            before.ends_at = contract.ends_at
            before.save(update_fields=["ends_at"])
