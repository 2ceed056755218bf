"""Jobs that wait for a worker: queued, claimed under a fence, beaten for, ended once.

A claim holds while its heart beats. A job whose worker died is claimed again, under the next fence;
what the old holder still writes is refused. After `FAILURES_MAX_COUNT` deaths or failed tries it has failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.job_errors import errors_text, sealed_errors
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.watch import Watch

LEASE_S = 30
WATCH: Watch[tuple[int, int]] = Watch()  # this process's own, over everybody's running jobs
FAILURES_MAX_COUNT = 3
RETRY_WAIT_S = 5
_WAIT_MAX = timedelta(seconds=RETRY_WAIT_S * FAILURES_MAX_COUNT)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job and the fence under which it is held."""

    job_id: int
    tenant_id: int
    kind: str
    label: str
    params: Mapping[str, Any]
    requested_by_id: int | None
    fence_id: int
    failures_count: int

    @property
    def is_last_try(self) -> bool:
        """Whether nobody will claim it after another failure."""
        return self.failures_count + 1 >= FAILURES_MAX_COUNT


def queue_job(
    *, tenant_id: int, kind: str, label: str, params: Mapping[str, Any], user_id: int | None, now: datetime
) -> int:
    """Write down work for a worker and return the job's id; `params` hold all that it needs."""
    job = Job.objects.create(
        tenant_id=tenant_id,
        kind=kind,
        label=label[:200],
        state=Job.State.QUEUED,
        params=dict(params),
        requested_by_id=user_id,
        started_at=now,
        heartbeat_at=now,
    )
    return job.id


def claim_job(*, now: datetime, job_id: int | None = None) -> ClaimedJob | None:
    """Claim the oldest job that waits or whose worker died, or the one named; None where there is none.

    Looked for first: who claims holds up whoever writes on SQLite, and many ask twice a second for hours.
    """
    if not _find_free(now, job_id).exists():
        return None
    with transaction.atomic():
        job = _find_free(now, job_id).select_for_update().order_by("id").first()
        if job is None:
            return None
        if job.state == Job.State.RUNNING:
            job.failures_count += 1
        job.state = Job.State.RUNNING if job.failures_count < FAILURES_MAX_COUNT else Job.State.FAILED
        job.fence_id += 1
        job.beats_count += 1
        job.heartbeat_at = now
        if job.state == Job.State.FAILED:
            job.ended_at, job.errors_json = now, errors_text([{"code": "jobs.worker-died", "params": {}}])
        job.save()
    return None if job.state == Job.State.FAILED else _claimed(job)


def beat(
    job: ClaimedJob, *, now: datetime, done_count: int | None = None, total_count: int | None = None
) -> None:
    """Say that the holder lives and how far it is.

    :raises WattkeeperError: ``jobs.taken-over`` if somebody else holds the job by now
    """
    changes = {"done_count": done_count, "total_count": total_count}
    _write(job, heartbeat_at=now, **{name: value for name, value in changes.items() if value is not None})


def finish_job(
    job: ClaimedJob,
    *,
    now: datetime,
    result: Mapping[str, int],
    errors: Sequence[Mapping[str, Any]] = (),
    has_failed: bool = False,
) -> None:
    """Write down how a job ended.

    :raises WattkeeperError: ``jobs.taken-over``
    """
    _write(
        job,
        state=Job.State.FAILED if has_failed else Job.State.DONE,
        result=dict(result),
        errors_json=sealed_errors(errors, job_id=job.job_id, tenant_id=job.tenant_id),
        heartbeat_at=now,
        ended_at=now,
    )


def put_back(job: ClaimedJob, *, now: datetime, has_failed: bool) -> None:
    """Let a job wait for its next try: after a failure a while, after an orderly stop not at all.

    :raises WattkeeperError: ``jobs.taken-over``
    """
    failures_count = job.failures_count + has_failed
    wait = timedelta(seconds=RETRY_WAIT_S * failures_count if has_failed else 0)
    _write(job, state=Job.State.QUEUED, failures_count=failures_count, heartbeat_at=now + wait)


def _find_free(now: datetime, job_id: int | None) -> "QuerySet[Job]":
    free = Job.objects.filter(
        _is_due(now) | Q(state=Job.State.RUNNING, id__in=_find_dead()), failures_count__lt=FAILURES_MAX_COUNT
    )
    return free if job_id is None else free.filter(id=job_id)


def _is_due(now: datetime) -> Q:
    """A wait ends when it is over, and when the clock was set back so far that nobody can have meant it."""
    is_over = Q(heartbeat_at__lte=now) | Q(heartbeat_at__gt=now + _WAIT_MAX)
    return Q(state=Job.State.QUEUED) & is_over


def _find_dead() -> list[int]:
    """Return the ids of jobs whose worker gave no sign of life for a lease, while this process looked."""
    running = Job.objects.filter(state=Job.State.RUNNING, fence_id__gt=0)
    signs = {
        (job_id, fence_id): sign
        for job_id, fence_id, *sign in running.values_list("id", "fence_id", "beats_count", "heartbeat_at")
    }
    return [job_id for job_id, _ in WATCH.silent(signs, LEASE_S)]


def _claimed(job: Job) -> ClaimedJob:
    return ClaimedJob(
        job.id,
        job.tenant_id,
        job.kind,
        job.label,
        job.params,
        job.requested_by_id,
        job.fence_id,
        job.failures_count,
    )


def _write(job: ClaimedJob, **changes: Any) -> None:
    held = Job.objects.filter(id=job.job_id, state=Job.State.RUNNING, fence_id=job.fence_id)
    if not held.update(beats_count=F("beats_count") + 1, **changes):
        raise WattkeeperError("jobs.taken-over", is_permanent=False, job_id=job.job_id)
