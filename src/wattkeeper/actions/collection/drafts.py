"""Files that were sent and not imported yet: looked at, tried, mapped; sealed, and gone after a day.

A draft is kept as an upload whose first line says whose it is and where its meters belong.
"""

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.collection.uploads import FOLDER, keep_upload, read_upload
from wattkeeper.actions.records import own
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Site

KEPT_S = 86_400
_SUFFIX = ".draft"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that waits for its mapping."""

    draft_id: str
    label: str
    site_id: int | None
    content: bytes


def hold_draft(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    content: Iterable[bytes],
    label: str,
    site_id: int | None = None,
) -> str:
    """
    Keep a file until somebody has said how it is written, a day at most; return its id.

    :raises WattkeeperError: ``accounts.not-allowed``, ``registry.not-found``, ``imports.not-kept``
    """
    actor.require(Role.OPERATOR)
    if site_id is not None:
        own(Site, site_id, actor=actor)
    drop_old_drafts(services.data_folder, now=now)
    draft_id = secrets.token_hex(16)
    head = {"tenant_id": actor.tenant_id, "label": label[:200], "site_id": site_id}
    parts = _with_head(json.dumps(head).encode(), content)
    keep_upload(services.data_folder, draft_id + _SUFFIX, parts, tenant_id=actor.tenant_id)
    return draft_id


def open_draft(*, actor: Actor, services: Services, draft_id: str) -> Draft:
    """
    Return a draft of the actor's tenant; another tenant's is as if absent.

    :raises WattkeeperError: ``accounts.not-allowed``, ``imports.draft-gone``, ``keys.*``
    """
    actor.require(Role.OPERATOR)
    _path(services.data_folder, draft_id)
    try:
        kept = read_upload(services.data_folder, draft_id + _SUFFIX, label=draft_id)
    except WattkeeperError as error:
        if error.code != "imports.file-gone":
            raise
        raise WattkeeperError("imports.draft-gone") from error
    line, _, content = kept.partition(b"\n")
    head = json.loads(line)
    if head["tenant_id"] != actor.tenant_id:
        raise WattkeeperError("imports.draft-gone")
    return Draft(draft_id, head["label"], head["site_id"], content)


def drop_draft(*, actor: Actor, services: Services, draft_id: str) -> None:
    """
    Remove a draft of the actor's tenant.

    :raises WattkeeperError: as `open_draft` does
    """
    open_draft(actor=actor, services=services, draft_id=draft_id)
    _path(services.data_folder, draft_id).unlink(missing_ok=True)


def drop_old_drafts(data_folder: Path, *, now: datetime) -> int:
    """Remove drafts that nobody imported within a day; return how many."""
    old = [
        path
        for path in (data_folder / FOLDER).glob(f"*{_SUFFIX}")
        if now.timestamp() - path.stat().st_mtime > KEPT_S
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _with_head(head: bytes, content: Iterable[bytes]) -> Iterator[bytes]:
    yield head + b"\n"
    yield from content


def _path(data_folder: Path, draft_id: str) -> Path:
    if not _ID.fullmatch(draft_id):
        raise WattkeeperError("imports.draft-gone")
    return data_folder / FOLDER / f"{draft_id}{_SUFFIX}"
