"""Bill a period: one bill a usage point, issued once; a bill that rests on older values is corrected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.inputs import BillInputs, read_inputs
from wattkeeper.actions.billing.issue_bill import issue_bill
from wattkeeper.actions.services import Services
from wattkeeper.core.billing.compute import compute_bill
from wattkeeper.core.billing.document import BillDocument
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.billing.rebills import is_rejected
from wattkeeper.data.registry.models import UsagePoint


@dataclass(frozen=True, slots=True)
class Held:
    """A bill that could not be issued, and why."""

    usage_point_id: int
    code: str


@dataclass(slots=True)
class BillingReport:
    """What a billing run did: ids of bills, and usage points held back."""

    issued_ids: list[int] = field(default_factory=list)
    unchanged_ids: list[int] = field(default_factory=list)
    corrected_ids: list[int] = field(default_factory=list)
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

    Each bill is a transaction of its own; what can't be billed is a finding and holds up nobody else.
    Running it again with unchanged values issues nothing.

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
        try:
            inputs = read_inputs(point, first, end, store=services.store)
            kept_id = _kept_id(inputs)
            if kept_id is None:
                bill = compute(inputs, accept_estimates=accept_estimates)
                _issue(report, actor, now, inputs, bill)
            else:
                report.unchanged_ids.append(kept_id)
        except UnableToBill as error:
            report.held.append(Held(point.id, error.code))
            _tell_held(point, first, error, now)
        else:
            close_gone(
                tenant_id=point.tenant_id, rule="billing.held", subject_key=f"usage-point:{point.id}", now=now
            )
        if on_progress is not None:
            on_progress(index + 1, len(wanted))
    return report


def compute(inputs: BillInputs, *, accept_estimates: bool) -> BillDocument:
    """Return the bill of what was read.

    :raises UnableToBill: ``billing.*``
    """
    return compute_bill(
        usage_point=inputs.usage_point.code,
        tariffs=inputs.tariffs,
        period=inputs.period,
        intervals=inputs.intervals,
        interval_s=inputs.series.interval_s,
        series_id=inputs.series.id,
        run_id=inputs.run_id,
        data_version=inputs.data_version,
        tier_used_milliwh=inputs.tier_used_milliwh,
        register_reads=inputs.register_reads,
        accept_estimates=accept_estimates,
    )


def _kept_id(inputs: BillInputs) -> int | None:
    """Return the issued bill of the period if somebody decided that it stays as it is by these values."""
    assert inputs.period.ends_at is not None
    current = Bill.objects.filter(
        usage_point=inputs.usage_point,
        starts_at=inputs.period.starts_at,
        ends_at=inputs.period.ends_at,
        state=Bill.State.ISSUED,
    ).first()
    if current is None:
        return None
    used_milliwh = inputs.tier_used_milliwh
    stays = is_rejected(bill_id=current.id, data_version=inputs.data_version, tier_used_milliwh=used_milliwh)
    return current.id if stays else None


def _issue(
    report: BillingReport, actor: Actor, now: datetime, inputs: BillInputs, bill: BillDocument
) -> None:
    issued = issue_bill(
        actor=actor,
        now=now,
        usage_point=inputs.usage_point,
        versions=inputs.versions,
        bill=bill,
        run_id=inputs.run_id,
        depends_from=inputs.depends_from,
    )
    {
        "issued": report.issued_ids,
        "unchanged": report.unchanged_ids,
        "corrected": report.corrected_ids,
    }[issued.outcome].append(issued.bill_id)


def _tell_held(point: UsagePoint, first: date, error: UnableToBill, now: datetime) -> None:
    draft = FindingDraft(
        point.tenant_id,
        "billing.held",
        f"usage-point:{point.id}",
        local_midnight(first, ZoneInfo(point.site.time_zone)),
        usage_point_id=point.id,
        evidence={"code": error.code, **{name: str(value) for name, value in error.params.items()}},
    )
    keep_findings([draft], now=now)
