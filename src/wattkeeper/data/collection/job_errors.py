"""What was wrong with the rows of a job, sealed: it may quote cells of a file."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wattkeeper.data.collection.models import Job
from wattkeeper.data.sealing.vault import Sealed, seal

ERRORS_KEPT_MAX_COUNT = 1000
_PLACE = "collection.job.errors_json"


def errors_text(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the first errors as the column holds them, not sealed yet."""
    kept = list(errors)[:ERRORS_KEPT_MAX_COUNT]
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def sealed_errors(errors: Sequence[Mapping[str, Any]], *, job_id: int, tenant_id: int) -> Sealed | None:
    """Return the first errors as an update writes them."""
    text = errors_text(errors)
    return seal(text.encode(), tenant_id=tenant_id, place=_PLACE, row=str(job_id)) if text else None


def errors_of(job: Job) -> Sequence[Mapping[str, Any]]:
    """Return the errors of a job, also of one that ended under the release before."""
    found: Sequence[Mapping[str, Any]] = json.loads(job.errors_json) if job.errors_json else job.errors
    return found
