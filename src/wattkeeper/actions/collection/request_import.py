"""Ask for a file to be imported; it is kept on disk, sealed, until a worker has stored its rows."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.collection.import_file import import_file, plain_row_error
from wattkeeper.actions.collection.uploads import FOLDER, keep_upload, read_upload
from wattkeeper.actions.job_work import JobOutcome, Progress, requester_of, requester_params
from wattkeeper.actions.records import own
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.job_queue import ClaimedJob, queue_job
from wattkeeper.data.registry.models import Site
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.mapping import Mapping, parse_mapping

JOB_KIND = "import"


def request_import(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    content: Iterable[bytes],
    label: str,
    site_id: int | None = None,
    options: CsvOptions | Mapping | None = None,
    is_whole: bool = False,
) -> int:
    """
    Keep a file durably and queue its import; return the job's id.

    :raises WattkeeperError: ``accounts.not-allowed``, ``registry.not-found``, ``imports.not-kept``
    """
    actor.require(Role.OPERATOR)
    file_name = secrets.token_hex(16)
    path = keep_upload(services.data_folder, file_name, content, tenant_id=actor.tenant_id)
    try:
        return _queue(
            actor=actor,
            now=now,
            file_name=file_name,
            label=label,
            site_id=site_id,
            options=options or CsvOptions(),
            is_whole=is_whole,
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@audited("imports.request")
def _queue(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    file_name: str,
    label: str,
    site_id: int | None,
    options: CsvOptions | Mapping,
    is_whole: bool,
) -> int:
    if site_id is not None:
        own(Site, site_id, actor=actor)
    params = {
        "file_name": file_name,
        "site_id": site_id,
        "mapping": (options.to_mapping() if isinstance(options, CsvOptions) else options).to_json(),
        "is_whole": is_whole,
    }
    job_id = queue_job(
        tenant_id=actor.tenant_id,
        kind=JOB_KIND,
        label=label,
        params={**params, **requester_params(actor)},
        user_id=actor.user_id,
        now=now,
    )
    entry.subject = f"job:{job_id}"
    entry.detail = {"label": label, "site_id": site_id}
    return job_id


def do_import(job: ClaimedJob, services: Services, on_progress: Progress) -> JobOutcome:
    """Import the file of a job. Rows that it stored before it was interrupted collapse with themselves.

    :raises WattkeeperError: ``imports.file-gone``, and what `import_file` raises
    """
    content = read_upload(services.data_folder, str(job.params["file_name"]), label=job.label)
    is_whole = job.params.get("is_whole", False)
    result = import_file(
        actor=requester_of(job),
        now=services.now(),
        services=services,
        content=content,
        label=job.label,
        site_id=job.params["site_id"],
        options=_options(job),
        is_whole=is_whole,
        on_progress=on_progress,
    )
    return JobOutcome(
        {"rows": result.rows_count, "meters": result.meters_count, "errors": len(result.errors)},
        tuple(plain_row_error(error) for error in result.errors),
        has_failed=is_whole and bool(result.errors),
    )


def _options(job: ClaimedJob) -> CsvOptions | Mapping:
    """Return how the file is written; a job queued by the version before says it in three fields."""
    if "mapping" in job.params:
        return parse_mapping(job.params["mapping"])
    names = ("delimiter", "decimal_mark", "zone")
    return CsvOptions(**{name: job.params[name] for name in names})


def drop_file(job: ClaimedJob, services: Services) -> None:
    """Remove the file of an import that has ended."""
    _path(services.data_folder, job).unlink(missing_ok=True)


def _path(data_folder: Path, job: ClaimedJob) -> Path:
    return data_folder / FOLDER / str(job.params["file_name"])
