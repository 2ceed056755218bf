"""Jobs, and files sent in."""

from typing import Any

from django.http import HttpRequest
from ninja import File, Router
from ninja.files import UploadedFile

from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection import queries
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.schemas import ImportOut, JobOut
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["imports"])
FILE_MAX_BYTES = 64 * 1024 * 1024


@router.get("/jobs", response=list[JobOut])
def list_jobs(request: HttpRequest, kind: str | None = None) -> Any:
    """List the newest jobs."""
    return queries.list_jobs(tenant_id=actor_of(request).tenant_id, kind=kind)


@router.get("/jobs/{int:job_id}", response=JobOut)
def get_job(request: HttpRequest, job_id: int) -> Any:
    """Get a job: how far it is and which rows were wrong."""
    return found(queries.get_job(tenant_id=actor_of(request).tenant_id, job_id=job_id), "job", job_id)


@router.post("/imports", response=ImportOut)
def upload(
    request: HttpRequest,
    file: File[UploadedFile],
    site_id: int | None = None,
    delimiter: str = ",",
    decimal_mark: str = ".",
    zone: str | None = None,
) -> Any:
    """Import a NEM12 or CSV file; sending it again changes nothing."""
    if (file.size or 0) > FILE_MAX_BYTES:
        raise WattkeeperError("imports.file-too-large", limit_bytes=FILE_MAX_BYTES)
    services = get_services()
    result = import_file(
        actor=actor_of(request),
        now=services.now(),
        services=services,
        content=file.read(),
        label=file.name or "",
        site_id=site_id,
        options=CsvOptions(delimiter=delimiter, decimal_mark=decimal_mark, zone=zone),
    )
    return {
        "job_id": result.job_id,
        "rows_count": result.rows_count,
        "meters_count": result.meters_count,
        "errors_count": len(result.errors),
    }
