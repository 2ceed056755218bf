"""Ask for a period to be billed; a worker does it, and does it again from its last bill when it dies."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.billing.held import Held
from wattkeeper.actions.billing.run_billing import run_billing
from wattkeeper.actions.job_work import JobOutcome, Progress, plain_error, requester_of, requester_params
from wattkeeper.actions.records import own
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.job_queue import ClaimedJob, queue_job
from wattkeeper.data.registry.models import UsagePoint

JOB_KIND = "billing"


@audited("billing.request")
def request_billing(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    first: date,
    end: date,
    usage_point_ids: Sequence[int] | None = None,
    accept_estimates: bool = False,
) -> int:
    """
    Queue the billing of the local days [first, end), of all usage points or of those named; return the job.

    :raises WattkeeperError: ``billing.period``, ``registry.not-found``
    """
    if end <= first:
        raise WattkeeperError("billing.period", first=first.isoformat(), end=end.isoformat())
    for usage_point_id in usage_point_ids or ():
        own(UsagePoint, usage_point_id, actor=actor)
    params = {
        "first_date": first.isoformat(),
        "end_date": end.isoformat(),
        "usage_point_ids": None if usage_point_ids is None else list(usage_point_ids),
        "accept_estimates": accept_estimates,
    }
    job_id = queue_job(
        tenant_id=actor.tenant_id,
        kind=JOB_KIND,
        label=period_text(first, end),
        params={**params, **requester_params(actor)},
        user_id=actor.user_id,
        now=now,
    )
    entry.subject = f"job:{job_id}"
    entry.detail = params
    return job_id


def do_billing(job: ClaimedJob, services: Services, on_progress: Progress) -> JobOutcome:
    """Bill what a job asks for. Bills that it issued before it was interrupted are found unchanged."""
    report = run_billing(
        actor=requester_of(job),
        now=services.now(),
        services=services,
        first=date.fromisoformat(job.params["first_date"]),
        end=date.fromisoformat(job.params["end_date"]),
        usage_point_ids=job.params["usage_point_ids"],
        accept_estimates=job.params["accept_estimates"],
        on_progress=on_progress,
    )
    return JobOutcome(
        {
            "issued": len(report.issued_ids),
            "unchanged": len(report.unchanged_ids),
            "proposed": len(report.proposed_ids),
            "held": len(report.held),
        },
        tuple(_held(row) for row in report.held),
    )


def _held(row: Held) -> dict[str, Any]:
    told = plain_error(row.error)
    return {**told, "params": {**told["params"], "usage_point": row.usage_point.code}}


def period_text(first: date, end: date) -> str:
    """Return a period as people name it: ``2026-10`` for a calendar month, else first and last day."""
    if first.day == 1 and end.day == 1 and (end - first).days <= 31:
        return f"{first:%Y-%m}"
    return f"{first} – {date.fromordinal(end.toordinal() - 1)}"
