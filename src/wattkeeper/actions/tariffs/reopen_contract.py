"""Take back the end of a contract, or put it off."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.actions.tariffs.contract_facts import changed_contracts, check_contract_instant
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Contract
from wattkeeper.data.registry.models import UsagePoint


@audited("tariffs.reopen-contract", role=Role.ADMINISTRATOR)
def reopen_contract(
    entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, until: datetime | None = None
) -> int:
    """
    Let the contract that ended last without another after it go on, and return its id.

    It goes on until `until`, in the past or to come; without one until the next contract begins, if any does.
    Its tariff's holidays count again. A bill of the days before that took the place of one that held days
    after them as well is proposed to hold them again. Other days that no bill holds are billed by the next
    run of their period, and are a finding where a later one was billed.

    :raises WattkeeperError: ``registry.not-found``, ``contracts.none-ended``, ``contracts.not-later``,
        ``contracts.overlap``, ``contracts.too-far``, ``registry.instant-*``
    """
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    contract, following = _ended(point)
    ended_at = contract.ends_at
    assert ended_at is not None
    if until is not None:
        check_contract_instant(until, now=now)
        if until <= ended_at:
            raise WattkeeperError(
                "contracts.not-later", until=until.isoformat(), ends_at=ended_at.isoformat()
            )
        if following is not None and until > following.starts_at:
            raise WattkeeperError("contracts.overlap")
    elif following is not None:
        until = following.starts_at
    entry.detail = {"contract_id": contract.id, "at": until, "ended_before": ended_at}
    with changed_contracts(point, actor=actor, now=now, since=ended_at):
        contract.ends_at = until
        contract.save(update_fields=["ends_at"])
    return contract.id


def _ended(point: UsagePoint) -> tuple[Contract, Contract | None]:
    """Return the last contract that ends before another begins, if one does, and that other one."""
    following: Contract | None = None
    for contract in point.contracts.select_for_update().order_by("-starts_at"):
        if contract.ends_at is not None and (following is None or contract.ends_at < following.starts_at):
            return contract, following
        following = contract
    raise WattkeeperError("contracts.none-ended", usage_point=point.code)
