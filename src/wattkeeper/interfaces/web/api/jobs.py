"""Jobs: long work done in the background."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.utils import translation
from ninja import File, Router, Status
from ninja.files import UploadedFile

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.billing.request_billing import request_billing
from wattkeeper.actions.collection.request_import import request_import
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection import queries
from wattkeeper.formats.csv_intervals import written_so
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.mappings import FILE_MAX_BYTES, find_mapping
from wattkeeper.interfaces.web.api.work_schemas import BillingRunIn, JobOut
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["jobs"])


@router.get("/jobs", response=list[JobOut])
def list_jobs(request: HttpRequest, kind: str | None = None) -> Any:
    """List the newest jobs."""
    return [_plain(row) for row in queries.list_jobs(tenant_id=actor_of(request).tenant_id, kind=kind)]


@router.get("/jobs/{int:job_id}", response=JobOut)
def get_job(request: HttpRequest, job_id: int) -> Any:
    """Get a job: how far it is, what came of it, and which rows were wrong."""
    return _job(actor_of(request), job_id)


@router.post("/imports", response={202: JobOut})
def upload(
    request: HttpRequest,
    file: File[UploadedFile],
    site_id: int | None = None,
    delimiter: str = "",
    decimal_mark: str = "",
    zone: str | None = None,
    encoding: str = "",
    mapping: str = "",
    all_or_nothing: bool = False,
) -> Any:
    """Import a file of any format in the background; sending it again changes nothing.

    `mapping` names the kept mapping of a table; without one its columns are those of the plain CSV format.
    `delimiter`, `decimal_mark`, `zone` and `encoding` (utf-8, gb18030 or cp1252) stand in place of the
    mapping's; without any: comma, point, times with their offset, and as its bytes tell.
    """
    if (file.size or 0) > FILE_MAX_BYTES:
        raise WattkeeperError("imports.file-too-large", limit_bytes=FILE_MAX_BYTES)
    actor, services = actor_of(request), get_services()
    own = find_mapping(actor.tenant_id, mapping)
    options = written_so(own, delimiter=delimiter, decimal_mark=decimal_mark, zone=zone, encoding=encoding)
    job_id = request_import(
        actor=actor,
        now=services.now(),
        services=services,
        content=file.chunks(),
        label=file.name or "",
        site_id=site_id,
        options=options,
        is_whole=all_or_nothing,
    )
    return Status(202, _job(actor, job_id))


@router.post("/billing-runs", response={202: JobOut})
def bill(request: HttpRequest, payload: BillingRunIn) -> Any:
    """Bill a period in the background. Billing it again with the same values issues nothing."""
    actor, now = actor_of(request), get_services().now()
    fields = payload.dict()
    first, end = fields.pop("first_date"), fields.pop("end_date")
    answer = once(
        request,
        actor,
        lambda: {"job_id": request_billing(actor=actor, now=now, first=first, end=end, **fields)},
    )
    return Status(202, _job(actor, answer["job_id"]))


def _job(actor: Actor, job_id: int) -> dict[str, Any]:
    return _plain(found(queries.get_job(tenant_id=actor.tenant_id, job_id=job_id), "job", job_id))


def _plain(row: queries.JobRow) -> dict[str, Any]:
    language = translation.get_language() or "en"
    errors = [
        {**error, "message": sentence(error["code"], error.get("params") or {}, language)}
        for error in row.errors
    ]
    return {**asdict(row), "errors": errors}
