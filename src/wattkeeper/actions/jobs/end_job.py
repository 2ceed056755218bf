"""A job ends: what came of it is written down, for who watches it and in the audit chain."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.job_work import JobOutcome
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.job_queue import ClaimedJob, finish_job


def end_job(job: ClaimedJob, outcome: JobOutcome, *, now: datetime) -> None:
    """Write down how a job ended; whoever asked for it may be gone, so the worker says so.

    :raises WattkeeperError: ``jobs.taken-over``
    """
    worker = Actor(job.tenant_id, None, "worker", Role.ADMINISTRATOR, "system")
    _end(actor=worker, now=now, job=job, outcome=outcome)


@audited("jobs.end")
def _end(entry: Entry, *, actor: Actor, now: datetime, job: ClaimedJob, outcome: JobOutcome) -> None:
    finish_job(job, now=now, result=outcome.result, errors=outcome.errors, has_failed=outcome.has_failed)
    entry.subject = f"job:{job.job_id}"
    entry.detail = {
        "kind": job.kind,
        "label": job.label,
        "requested_by": job.params["requester_name"],
        "has_failed": outcome.has_failed,
        "result": dict(outcome.result),
        "errors": len(outcome.errors),
        "codes": sorted({str(error["code"]) for error in outcome.errors}),
    }
