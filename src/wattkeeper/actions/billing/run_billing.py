"""Bill a period: one bill a usage point, issued once; one that would be another now waits for a decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.figures import Weighed, figures_of, weigh
from wattkeeper.actions.billing.held import Held, held_by, tell_held
from wattkeeper.actions.billing.inputs import compute, read_inputs
from wattkeeper.actions.billing.issue_bill import issue_bill, issued_within, overlap_with
from wattkeeper.actions.billing.tell_unbilled import tell_unbilled
from wattkeeper.actions.services import Services
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.billing.parts import Days, contract_parts
from wattkeeper.data.billing.unbilled import days_of
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.store.api import ReadingStore


@dataclass(slots=True)
class BillingReport:
    """What a billing run did: ids of bills, and usage points held back.

    `unchanged_ids`: issued before, and to stay; `proposed_ids`: issued before, whose correction somebody has
    to decide.
    """

    issued_ids: list[int] = field(default_factory=list)
    unchanged_ids: list[int] = field(default_factory=list)
    proposed_ids: list[int] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)


def run_billing(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    first: date,
    end: date,
    usage_point_ids: Sequence[int] | None = None,
    accept_estimates: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> BillingReport:
    """
    Bill the local days [first, end) of every usage point with a contract, or of those named.

    Each part of these days in which one contract holds is a bill of its own. `accept_estimates`: what no
    register brackets is billed, too, and corrections that it held back are proposed with it.
    Each bill is a transaction of its own; what can't be billed is a finding and holds up nobody else.
    What is billed already stays: where it would be another bill now, its correction is proposed. Earlier days
    of its contracts that nobody billed are a finding of the usage point.

    :raises WattkeeperError: ``accounts.not-allowed``, ``billing.period``, ``store.not-running``
    """
    actor.require(Role.OPERATOR)
    if end <= first:
        raise WattkeeperError("billing.period", first=first.isoformat(), end=end.isoformat())
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False)
    points = UsagePoint.objects.filter(tenant_id=actor.tenant_id, contracts__isnull=False)
    if usage_point_ids is not None:
        points = points.filter(id__in=usage_point_ids)
    wanted = list(points.filter(Q(retired_at__isnull=True)).select_related("site").distinct().order_by("id"))
    report = BillingReport()
    for index, point in enumerate(wanted):
        parts = contract_parts(point, first, end)
        days = [(part.first, part.end) for part in parts] or [(first, end)]
        errors: list[UnableToBill] = []
        for span in days:
            try:
                _bill(report, actor, now, point, span, services.store, accept_estimates=accept_estimates)
            except Exception as error:  # noqa: BLE001
                errors.append(held_by(error, point))
        report.held += [Held(point, error) for error in errors]
        starts_at = local_midnight(first, ZoneInfo(point.site.time_zone))
        tell_held(point, f"usage-point:{point.id}", errors, starts_at=starts_at, now=now)
        tell_unbilled(point, now=now, before=first)
        if on_progress is not None:
            on_progress(index + 1, len(wanted))
    return report


def _bill(
    report: BillingReport,
    actor: Actor,
    now: datetime,
    point: UsagePoint,
    span: Days,
    store: ReadingStore,
    *,
    accept_estimates: bool,
) -> None:
    """Issue the bill of the days of one contract, or look at what holds some of them.

    :raises UnableToBill: ``billing.*``
    """
    zone = ZoneInfo(point.site.time_zone)
    in_the_way = list(issued_within(point, *(local_midnight(day, zone) for day in span)))
    if in_the_way:
        _look_at(report, in_the_way, now, span, store, accept_estimates=accept_estimates)
        return
    inputs = read_inputs(point, *span, store=store)
    bill = compute(inputs, accept_estimates=accept_estimates)
    if isinstance(bill, UnableToBill):
        raise bill
    report.issued_ids.append(issue_bill(actor=actor, now=now, inputs=inputs, bill=bill))


def _look_at(
    report: BillingReport,
    bills: Sequence[Bill],
    now: datetime,
    span: Days,
    store: ReadingStore,
    *,
    accept_estimates: bool,
) -> None:
    """Say of an issued bill that holds days of a span whether it stays or waits for a decision.

    One that holds some of them and no others is proposed to hold all.

    :raises UnableToBill: ``billing.overlap`` with a bill of other days; why its correction can't be billed
    """
    bill = bills[0]
    first, end = days_of(bill)
    is_within = len(bills) == 1 and span[0] <= first and end <= span[1]
    figures = figures_of(bill, store, span if is_within else None, accept_estimates=accept_estimates)
    weighed = weigh(bill, figures, now)
    if weighed is Weighed.PROPOSED and figures.held is not None:
        raise figures.held
    if weighed is Weighed.AS_BILLED and (first, end) != span:
        raise overlap_with(bill, ZoneInfo(bill.usage_point.site.time_zone))
    told = report.proposed_ids if weighed is Weighed.PROPOSED else report.unchanged_ids
    if bill.id not in told[-1:]:  # several parts meet the bill of a whole period one after another
        told.append(bill.id)
