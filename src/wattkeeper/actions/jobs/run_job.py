"""Do a queued job: claimed, worked, ended once; put back where later may help or the process must stop."""

import time
from collections.abc import Callable

from wattkeeper.actions.billing import request_billing
from wattkeeper.actions.collection import request_import
from wattkeeper.actions.job_work import JobOutcome, Progress, plain_error
from wattkeeper.actions.jobs.end_job import end_job
from wattkeeper.actions.jobs.heart import Heart
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.job_queue import ClaimedJob, beat, claim_job, put_back

PROGRESS_PERIOD_S = 0.5
TAKEN_OVER = "jobs.taken-over"
_WORK: dict[str, Callable[[ClaimedJob, Services, Progress], JobOutcome]] = {
    request_billing.JOB_KIND: request_billing.do_billing,
    request_import.JOB_KIND: request_import.do_import,
}


class Stopped(Exception):
    """Raised inside a job's work when the process must end."""


def run_job(
    *,
    services: Services,
    is_stopping: Callable[[], bool] = lambda: False,
    on_progress: Progress | None = None,
    job_id: int | None = None,
) -> bool:
    """Do the oldest job that waits or whose worker died, or the one named; whether there was one to do.

    What may go better later waits for its next try, a few times; anything else ends the job with its code.
    An unexpected exception counts as a failed try and goes on to the caller.
    """
    job = claim_job(now=services.now(), job_id=job_id)
    if job is None:
        return False
    try:
        with Heart(job, services.now):
            outcome = _WORK[job.kind](job, services, _Noted(job, services, is_stopping, on_progress))
        end_job(job, outcome, now=services.now())
    except Stopped:
        put_back(job, now=services.now(), has_failed=False)
    except WattkeeperError as error:
        _fail(job, services, error)
    except Exception as error:
        _fail(job, services, WattkeeperError("jobs.burst", is_permanent=False, reason=type(error).__name__))
        raise
    else:
        _clean(job, services)
    return True


def _fail(job: ClaimedJob, services: Services, error: WattkeeperError) -> None:
    if error.code == TAKEN_OVER:
        return
    if not error.is_permanent and not job.is_last_try:
        put_back(job, now=services.now(), has_failed=True)
        return
    end_job(job, JobOutcome({}, (plain_error(error),), has_failed=True), now=services.now())
    _clean(job, services)


def _clean(job: ClaimedJob, services: Services) -> None:
    if job.kind == request_import.JOB_KIND:
        request_import.drop_file(job, services)


class _Noted:
    """Progress that is kept, not at each step but often enough to watch."""

    def __init__(
        self,
        job: ClaimedJob,
        services: Services,
        is_stopping: Callable[[], bool],
        on_progress: Progress | None,
    ) -> None:
        self._job = job
        self._services = services
        self._is_stopping = is_stopping
        self._on_progress = on_progress
        self._due_s = 0.0

    def __call__(self, done_count: int, total_count: int) -> None:
        if self._is_stopping():
            raise Stopped
        if time.monotonic() >= self._due_s or done_count == total_count:
            beat(self._job, now=self._services.now(), done_count=done_count, total_count=total_count)
            self._due_s = time.monotonic() + PROGRESS_PERIOD_S
        if self._on_progress is not None:
            self._on_progress(done_count, total_count)
