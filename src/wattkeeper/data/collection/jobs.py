"""Progress of work that has no beginning of its own: the head-end's fetch of what meters remember."""

from datetime import datetime

from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.queries import begin_job, end_job, keep_progress
from wattkeeper.data.registry.models import Tenant


def report_job(kind: str, label: str, *, done_count: int, total_count: int, now: datetime) -> None:
    """Keep the progress of the running job of `kind`, beginning and ending it as the counts say."""
    job_id = Job.objects.filter(kind=kind, state=Job.State.RUNNING).values_list("id", flat=True).first()
    if job_id is None:
        tenant_id = Tenant.objects.order_by("id").values_list("id", flat=True).first()
        if tenant_id is None or done_count >= total_count:
            return
        job_id = begin_job(tenant_id=tenant_id, kind=kind, label=label, total_count=total_count, now=now)
    keep_progress(job_id=job_id, now=now, done_count=done_count, total_count=total_count, label=label)
    if done_count >= total_count:
        end_job(job_id=job_id, now=now)
