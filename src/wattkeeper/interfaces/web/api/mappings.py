"""Mappings of columns, and what would become of a file before it is imported."""

import json
from typing import Any

from django.http import HttpRequest
from django.utils import translation
from ninja import File, Form, Router, Status
from ninja.files import UploadedFile

from wattkeeper.actions.collection.import_file import try_import
from wattkeeper.actions.collection.mappings import (
    get_mapping,
    list_mappings,
    name_of_mapping,
    remove_mapping,
    save_mapping,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.formats.api import RowError
from wattkeeper.formats.mapping import Mapping, parse_mapping
from wattkeeper.formats.table_head import detect_content
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.reads.imports import about_block
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.schemas import In
from wattkeeper.interfaces.web.api.work_schemas import DetectionOut, MappingOut, TriedOut
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["imports"])
FILE_MAX_BYTES = 64 * 1024 * 1024
SHOWN_MAX_COUNT = 1000


class TryIn(In):
    """How a file is written: a kept mapping's name, or one as JSON, or neither where it says so itself."""

    site_id: int | None = None
    mapping: str = ""
    mapping_json: str = ""


class MappingIn(In):
    """A mapping and the name to keep it under."""

    name: str
    mapping: dict[str, Any]


@router.get("/mappings", response=list[MappingOut])
def list_all(request: HttpRequest) -> Any:
    """List the kept mappings."""
    return list_mappings(tenant_id=actor_of(request).tenant_id)


@router.put("/mappings", response={204: None})
def put(request: HttpRequest, payload: MappingIn) -> Any:
    """Keep a mapping under a name, in the place of one that had it."""
    mapping = parse_mapping(json.dumps(payload.mapping))
    save_mapping(actor=actor_of(request), now=get_services().now(), name=payload.name, mapping=mapping)
    return Status(204, None)


@router.get("/mappings/{int:mapping_id}", response=dict[str, Any])
def get(request: HttpRequest, mapping_id: int) -> Any:
    """Get a kept mapping."""
    tenant_id = actor_of(request).tenant_id
    name = name_of_mapping(tenant_id=tenant_id, mapping_id=mapping_id)
    return json.loads(get_mapping(tenant_id=tenant_id, name=name).to_json())


@router.delete("/mappings/{int:mapping_id}", response={204: None})
def remove(request: HttpRequest, mapping_id: int) -> Any:
    """Remove a kept mapping."""
    actor = actor_of(request)
    name = name_of_mapping(tenant_id=actor.tenant_id, mapping_id=mapping_id)
    remove_mapping(actor=actor, now=get_services().now(), name=name)
    return Status(204, None)


@router.post("/imports/detect", response=DetectionOut)
def detect(request: HttpRequest, file: File[UploadedFile]) -> Any:
    """Guess the mapping of a CSV file or workbook, and say what of the guess a person must confirm."""
    actor_of(request).require(Role.OPERATOR)
    detection = detect_content(content_of(file))
    return {
        "mapping": json.loads(detection.mapping.to_json()),
        "questions": detection.questions,
        "preview": detection.preview,
    }


@router.post("/imports/try", response=TriedOut)
def try_(request: HttpRequest, file: File[UploadedFile], how: Form[TryIn]) -> Any:
    """Say what would become of a file, and store nothing."""
    actor, services = actor_of(request), get_services()
    result, blocks = try_import(
        actor=actor,
        now=services.now(),
        services=services,
        content=content_of(file),
        label=file.name or "",
        site_id=how.site_id,
        options=find_mapping(actor.tenant_id, how.mapping, how.mapping_json),
    )
    return {
        "rows": result.rows_count,
        "meters": result.meters_count,
        "errors_count": len(result.errors),
        "errors": [_told(error) for error in result.errors[:SHOWN_MAX_COUNT]],
        "blocks": [
            {**about, "starts_at": about["from"], "ends_at": about["to"]}
            for about in map(about_block, blocks[:SHOWN_MAX_COUNT])
        ],
    }


def find_mapping(tenant_id: int, name: str, text: str = "") -> Mapping | None:
    """Return the mapping of a name or of a JSON text, None where there is neither.

    :raises WattkeeperError: ``mapping.*``
    """
    if name:
        return get_mapping(tenant_id=tenant_id, name=name)
    return parse_mapping(text) if text else None


def content_of(file: UploadedFile) -> bytes:
    """Return what was sent.

    :raises WattkeeperError: ``imports.file-too-large``
    """
    if (file.size or 0) > FILE_MAX_BYTES:
        raise WattkeeperError("imports.file-too-large", limit_bytes=FILE_MAX_BYTES)
    return b"".join(file.chunks())


def _told(error: RowError) -> dict[str, Any]:
    params = {name: str(value) for name, value in error.params.items()}
    message = sentence(error.code, params, translation.get_language() or "en")
    return {
        "line": error.line,
        "column": error.column,
        "code": error.code,
        "params": params,
        "message": message,
    }
