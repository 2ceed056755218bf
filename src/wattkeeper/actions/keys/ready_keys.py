"""Before anything runs: the key file made at the first start, proved at every other, nothing left plain."""

from contextlib import suppress
from pathlib import Path

import structlog
from django.db import OperationalError, connection

from wattkeeper.data.sealing.master import find_master, make_master, read_master
from wattkeeper.data.sealing.models import TenantKey
from wattkeeper.data.sealing.sweep import find_plain, sweep
from wattkeeper.data.sealing.vault import master_path


def ready_keys() -> Path | None:
    """
    Make the key file where nothing was sealed yet and return its place, None where it is there already.

    :raises WattkeeperError: ``keys.file-missing``, ``keys.file-wrong``, ``keys.file-open``,
        ``keys.file-damaged``, ``keys.sealed-damaged``: without its keys the installation does not start
    """
    is_made = make_key_file()
    check_keys()
    if find_plain():
        seal_all()
    return master_path() if is_made else None


def make_key_file() -> bool:
    """Make the key file where there is none and nothing was sealed yet; whether it was made now.

    :raises WattkeeperError: ``keys.file-unwritable``
    """
    has_table = TenantKey._meta.db_table in connection.introspection.table_names()
    if master_path().exists() or (has_table and TenantKey.objects.exists()):
        return False
    make_master(master_path())
    return True


def check_keys() -> int:
    """
    Prove that the key file opens every tenant's keys, and return how many there are.

    :raises WattkeeperError: as `ready_keys` does
    """
    path = master_path()
    read_master(path)
    rows = list(TenantKey.objects.all())
    for row in rows:
        master = find_master(path, row.master_key_id)
        master.unwrap(bytes(row.wrapped), tenant_id=row.tenant_id, key_id=row.id)
    return len(rows)


def seal_all() -> int:
    """Seal all that the release before left plain; return how many texts. Cut off, it goes on next time."""
    swept = sweep()
    structlog.get_logger("keys").info("keys.sealed", texts=swept.sealed_count)
    if connection.vendor == "sqlite":
        with suppress(OperationalError), connection.cursor() as cursor:  # in use: the next start does it
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return swept.sealed_count
