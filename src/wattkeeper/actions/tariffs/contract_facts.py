"""A usage point's contracts change: what follows is the same whichever verb does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.tell_unbilled import tell_unbilled
from wattkeeper.actions.records import check_second
from wattkeeper.actions.tariffs.changed_holidays import mark_changed_holidays
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.billing.holidays import Holidays
from wattkeeper.data.billing.rebills import mark_after
from wattkeeper.data.registry.models import UsagePoint

AHEAD_MOST = timedelta(days=36_525)  # a hundred years


def check_contract_instant(at: datetime, *, now: datetime) -> None:
    """Check that a contract can begin or end at an instant, in the past or to come.

    :raises WattkeeperError: ``registry.instant-*``, ``contracts.too-far``
    """
    check_second(at)
    if at > now + AHEAD_MOST:
        raise WattkeeperError("contracts.too-far", at=at.isoformat())


@contextmanager
def changed_contracts(point: UsagePoint, *, actor: Actor, now: datetime, since: datetime) -> Iterator[None]:
    """Let contracts of a usage point change from an instant on.

    Where holidays change by it, what was estimated around them is estimated again. Issued bills that end
    then or later are looked at; where there are none, days that no bill holds any more are told at once.
    """
    before = Holidays(actor.tenant_id).of_point(point.id)
    yield
    after = Holidays(actor.tenant_id).of_point(point.id)
    mark_changed_holidays(before, after, tenant_id=actor.tenant_id, now=now)
    if not mark_after(since, usage_point_id=point.id):
        tell_unbilled(point, now=now)
