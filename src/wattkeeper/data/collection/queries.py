"""Links, jobs and runs as pages, API and workers ask for them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from django.db.models import F

from wattkeeper.core.kernel.endpoints import shown_endpoint
from wattkeeper.data.collection.job_errors import errors_of
from wattkeeper.data.collection.models import DirtyWindow, Job, Link, Run
from wattkeeper.data.collection.windows import AHEAD
from wattkeeper.data.registry.models import Meter
from wattkeeper.store.mixing import mix_row
from wattkeeper.store.run_mixes import MIX_MODULUS


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: when it began, when its values could be read, by which rules and code."""

    run_id: int
    recorded_at: datetime
    stored_at: datetime | None
    rule_set: str
    code_version: str


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A line and how it does; `endpoint` without its secrets, `is_up` None: not tried yet."""

    link_id: int
    name: str
    site_id: int
    site_code: str
    transport: str
    endpoint: str
    timeout_ms: int
    retries_count: int
    poll_s: int
    headend: str
    is_up: bool | None
    changed_at: datetime | None
    error_code: str
    meters_count: int


@dataclass(frozen=True, slots=True)
class JobRow:
    """A long piece of work: how far, and which of its rows were wrong."""

    job_id: int
    kind: str
    label: str
    state: str
    done_count: int
    total_count: int
    errors: Sequence[Mapping[str, Any]]
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    result: Mapping[str, int]

    @property
    def is_open(self) -> bool:
        """Whether there is still something to come."""
        return self.ended_at is None


def list_links(*, tenant_id: int, site_id: int | None = None, link_id: int | None = None) -> list[LinkRow]:
    """Return the links of a tenant, of one site, or one of them."""
    query = Link.objects.filter(tenant_id=tenant_id).select_related("site").order_by("name")
    if site_id is not None:
        query = query.filter(site_id=site_id)
    if link_id is not None:
        query = query.filter(id=link_id)
    links = list(query)
    meters = Counter(
        Meter.objects.filter(link_id__in=[link.id for link in links], retired_at__isnull=True).values_list(
            "link_id", flat=True
        )
    )
    return [
        LinkRow(
            link.id,
            link.name,
            link.site_id,
            link.site.code,
            link.transport,
            shown_endpoint(link.endpoint),
            link.timeout_ms,
            link.retries_count,
            link.poll_s,
            link.headend,
            link.is_up,
            link.changed_at,
            link.error_code,
            meters[link.id],
        )
        for link in links
    ]


def list_jobs(*, tenant_id: int, kind: str | None = None, limit_count: int = 50) -> list[JobRow]:
    """Return the newest jobs."""
    query = Job.objects.filter(tenant_id=tenant_id)
    if kind is not None:
        query = query.filter(kind=kind)
    return [_job(job) for job in query.order_by("-id")[:limit_count]]


def get_job(*, tenant_id: int, job_id: int) -> JobRow | None:
    """Return one job, None where the tenant has none of that id."""
    job = Job.objects.filter(tenant_id=tenant_id, id=job_id).first()
    return _job(job) if job else None


def begin_run(*, tenant_id: int, now: datetime, rule_set: str, code_version: str) -> int:
    """Write down a run of the pipeline and return its id: the version of what it writes."""
    run = Run(
        tenant_id=tenant_id,
        recorded_at=now,
        rule_set=rule_set,
        code_version=code_version,
        values_mix=0,
        roll_ups_mix=0,
    )
    run.record_mix = record_mix(run)
    run.save(force_insert=True)
    return run.id


def end_run(
    *,
    run_id: int,
    stored_at: datetime,
    values_count: int = 0,
    values_mix: int = 0,
    roll_ups_count: int = 0,
    roll_ups_mix: int = 0,
) -> None:
    """Add to how many values and roll-ups a run wrote and to their sums, and say when they could be read."""
    run = Run.objects.get(id=run_id)
    run.stored_at = stored_at
    Run.objects.filter(id=run_id).update(
        values_count=F("values_count") + values_count,
        values_mix=(F("values_mix") + values_mix) % MIX_MODULUS,
        roll_ups_count=F("roll_ups_count") + roll_ups_count,
        roll_ups_mix=(F("roll_ups_mix") + roll_ups_mix) % MIX_MODULUS,
        stored_at=stored_at,
        record_mix=record_mix(run),
    )


def record_mix(run: Run) -> int:
    """Return a number of what a run's row says: whose, since when known, and made by what."""
    times = (_microseconds(at) if at else 0 for at in (run.recorded_at, run.stored_at))
    made_by = (crc32(text.encode()) for text in (run.rule_set, run.code_version))
    return mix_row((run.tenant_id, *times, *made_by)) % MIX_MODULUS


def _microseconds(at: datetime) -> int:
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def get_run_as_of(*, tenant_id: int, at: datetime) -> int | None:
    """Return the newest run such that it and every one before could be read by an instant; None: none could.

    Runs of several workers overlap: what one stored is then known as of the end of all that began before.
    """
    runs = Run.objects.filter(tenant_id=tenant_id).order_by("id")
    known = runs.filter(recorded_at__lte=at)
    unfinished = known.filter(stored_at__gt=at).values_list("id", flat=True).first()
    if unfinished is not None:
        known = known.filter(id__lt=unfinished)
    return known.values_list("id", flat=True).last()


def list_runs(run_ids: Iterable[int]) -> dict[int, RunRow]:
    """Return runs by id."""
    return {
        row.id: RunRow(row.id, row.recorded_at, row.stored_at, row.rule_set, row.code_version)
        for row in Run.objects.filter(id__in=list(run_ids))
    }


def count_dirty_windows(*, tenant_id: int | None = None) -> int:
    """Return how many rows of windows wait to be derived, but those whose time has not come."""
    query = DirtyWindow.objects.exclude(reason=AHEAD)
    return (query if tenant_id is None else query.filter(tenant_id=tenant_id)).count()


def _job(job: Job) -> JobRow:
    return JobRow(
        job.id,
        job.kind,
        job.label,
        job.state,
        job.done_count,
        job.total_count,
        errors_of(job),
        job.started_at,
        job.heartbeat_at,
        job.ended_at,
        job.result,
    )
