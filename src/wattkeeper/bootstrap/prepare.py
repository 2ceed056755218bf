"""A data folder made ready: database migrated, first administrator made."""

import errno
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from wattkeeper.bootstrap.engines import setup_django
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.installation import NOTE, REGISTRY, note_installation, read_note


def prepare(
    folder: Path, *, now: datetime, on_key_made: Callable[[Path], None] = lambda _path: None
) -> tuple[str, str] | None:
    """Migrate the folder's database; return (user name, password) of an administrator made now, else None.

    :raises WattkeeperError: if the settings are wrong or the folder can't be written; ``schema.*`` if this
        release can't follow what the database is; ``keys.*`` if the key file is not the right one;
        ``installation.*`` if something is missing that was there at an earlier start;
        ``operations.restore-unfinished``; ``database.of-a-drill``; ``files.denied`` if the registry can only
        be read
    """
    os.environ["WATTKEEPER_DATA"] = str(folder)
    from wattkeeper.actions.operations.restore import require_finished
    from wattkeeper.store.scratch import take_away_scratch

    require_finished(folder)
    take_away_scratch(folder)
    setup_django()
    from wattkeeper.actions.accounts.first_administrator import first_administrator
    from wattkeeper.actions.keys.ready_keys import ready_keys
    from wattkeeper.actions.operations.audit_heads import seal_heads
    from wattkeeper.data.drills import require_no_drill
    from wattkeeper.data.durability import require_durable
    from wattkeeper.data.upgrades.steps import upgrade

    require_no_drill()
    require_durable()
    _refuse_if_read_only(folder / REGISTRY)
    _refuse_if_forgotten(folder)
    upgrade(now=now)
    if made := ready_keys():
        on_key_made(made)
    made_now = first_administrator(now=now)
    seal_heads(folder, now)
    note_installation(folder)
    return made_now


def _refuse_if_read_only(registry: Path) -> None:
    from django.db import connection

    if connection.vendor == "sqlite" and registry.exists() and not os.access(registry, os.W_OK):
        raise WattkeeperError("files.denied", file=str(registry), reason=os.strerror(errno.EACCES))


def _refuse_if_forgotten(folder: Path) -> None:
    """A folder whose registry has an organisation has a note; without it, who knows what else is missing."""
    from django.db import connection

    from wattkeeper.data.registry.models import Tenant
    from wattkeeper.data.upgrades.schema import read_schema

    is_used = connection.vendor == "sqlite" and read_schema().version > 0 and Tenant.objects.exists()
    if is_used and read_note(folder) is None:
        raise WattkeeperError("installation.note-missing", file=str(folder / NOTE))
