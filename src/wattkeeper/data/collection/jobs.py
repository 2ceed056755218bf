"""Work that nobody asked for and one process does from its beginning: the head-end's fetch of memories.

The process beats for its job. It ends it, or a worker does, once it has been silent for a lease.
"""

from datetime import datetime

from django.db.models import F

from wattkeeper.data.collection.job_errors import sealed_errors
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Tenant

FETCH = "collection.memory"
CUT_OFF = [{"code": "jobs.fetch-cut-off", "params": {}}]
LEASE_S = 30
WATCH: Watch[int] = Watch()  # this process's own, over everybody's fetches


def report_fetch(
    job_id: int | None, label: str, *, done_count: int, total_count: int, now: datetime
) -> int | None:
    """Keep how far a process's own fetch is, None before it began, and return its job; None once it ended.

    One that a worker took for cut off goes on as another job.
    """
    is_done = done_count >= total_count
    progress = {
        "label": label[:200],
        "done_count": done_count,
        "total_count": total_count,
        "heartbeat_at": now,
    }
    ended = {"state": Job.State.DONE, "ended_at": now} if is_done else {}
    running = Job.objects.filter(id=job_id or 0, state=Job.State.RUNNING)
    if running.update(beats_count=F("beats_count") + 1, **progress, **ended):
        return None if is_done else job_id
    tenant_id = Tenant.objects.order_by("id").values_list("id", flat=True).first()
    if tenant_id is None or is_done:
        return None
    return Job.objects.create(tenant_id=tenant_id, kind=FETCH, started_at=now, **progress).id


def end_silent_fetches(*, now: datetime, watch: Watch[int] = WATCH) -> None:
    """End the fetches whose process gave no sign of life for a lease, as failed.

    Call it every few seconds: silence is measured from look to look.
    """
    running = Job.objects.filter(kind=FETCH, state=Job.State.RUNNING)
    signs = {job.id: (job.beats_count, job.heartbeat_at) for job in running}
    for job in running.filter(id__in=watch.silent(signs, LEASE_S)):
        errors = sealed_errors(CUT_OFF, job_id=job.id, tenant_id=job.tenant_id)
        running.filter(id=job.id).update(state=Job.State.FAILED, ended_at=now, errors_json=errors)
