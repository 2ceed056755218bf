"""New keys for every tenant, and everything sealed anew under them; a new master key too, where asked."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.collection.uploads import keys_of_uploads
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.keys import reseal_keys
from wattkeeper.data.files import sync_folder
from wattkeeper.data.sealing.master import (
    MasterKey,
    before,
    find_master,
    make_master,
    next_to,
    read_master,
)
from wattkeeper.data.sealing.models import TenantKey
from wattkeeper.data.sealing.sweep import count_rows, prune_keys, sweep
from wattkeeper.data.sealing.vault import make_key, master_path

_KEPT_FOR = timedelta(days=1)  # a writer that began before may still be sealing by a retired key
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done: keys made, rows sealed anew, keys destroyed that nothing needs any more."""

    keys_count: int
    rows_count: int
    destroyed_count: int


def rotate_keys(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    has_new_master: bool = False,
    on_progress: Progress = lambda _done_count, _total_count: None,
) -> Rotation:
    """
    Make new keys and seal everything anew while the installation runs.

    Interrupted, everything opens as before; `go_on` does the rest.

    :raises WattkeeperError: ``accounts.not-allowed``, ``keys.*``
    """
    if has_new_master:
        actor.require(Role.ADMINISTRATOR)
        exchange_master(master_path())
    keys_count = _make_new(actor=actor, now=now, has_new_master=has_new_master)
    rows_count, destroyed_count = go_on(actor=actor, now=now, services=services, on_progress=on_progress)
    return Rotation(keys_count, rows_count, destroyed_count)


def go_on(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    on_progress: Progress = lambda _done_count, _total_count: None,
) -> tuple[int, int]:
    """
    Seal what is plain or of an older key; return rows changed and old keys destroyed.

    :raises WattkeeperError: ``accounts.not-allowed``, ``keys.*``
    """
    actor.require(Role.ADMINISTRATOR)
    total_count = count_rows()
    swept = sweep(lambda done_count: on_progress(done_count, total_count))
    used = {*swept.by_key, *reseal_keys(services.data_folder), *keys_of_uploads(services.data_folder)}
    return swept.changed_count, prune_keys(list(used), retired_before=now - _KEPT_FOR)


def exchange_master(path: Path) -> None:
    """
    Put a new master key in the place of the old one: whatever step this is cut off at, the keys open.

    :raises WattkeeperError: ``keys.file-*``
    """
    new = _next_master(path)
    _rewrap(path, new)
    if read_master(path) != new:
        with suppress(FileExistsError):
            os.link(path, before(path))
        next_to(path).replace(path)
        sync_folder(path.parent)
    _rewrap(path, new)  # keys made by somebody who had read the old file
    before(path).unlink(missing_ok=True)


def _next_master(path: Path) -> MasterKey:
    if before(path).exists() and not next_to(path).exists():
        return read_master(path)  # cut off after the exchange
    if not next_to(path).exists():
        make_master(next_to(path))
    return read_master(next_to(path))


def _rewrap(path: Path, new: MasterKey) -> None:
    with transaction.atomic():
        for row in TenantKey.objects.select_for_update().exclude(master_key_id=new.key_id):
            old = find_master(path, row.master_key_id)
            key = old.unwrap(bytes(row.wrapped), tenant_id=row.tenant_id, key_id=row.id)
            row.wrapped = new.wrap(key, tenant_id=row.tenant_id, key_id=row.id)
            row.master_key_id = new.key_id
            row.save()


@audited("keys.rotate", role=Role.ADMINISTRATOR)
def _make_new(entry: Entry, *, actor: Actor, now: datetime, has_new_master: bool) -> int:
    tenant_ids = set(TenantKey.objects.values_list("tenant_id", flat=True))
    TenantKey.objects.filter(retired_at__isnull=True).update(retired_at=now)
    for tenant_id in sorted(tenant_ids):
        make_key(tenant_id)
    entry.subject = "keys"
    entry.detail = {"keys": len(tenant_ids), "has_new_master": has_new_master}
    return len(tenant_ids)
