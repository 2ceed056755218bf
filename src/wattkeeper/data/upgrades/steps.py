"""Upgrades: each step and its record in one transaction, one upgrader at a time, no long waits for locks.

Django records a step after the statements it put off; killed in between, a step would be done and not known.
Here both are in one transaction where the engine can (SQLite, PostgreSQL). MariaDB commits each statement:
one that waits too long for a table is tried again by itself, a step that was begun and not ended is
remembered, and nothing runs on it. An empty database gets its whole schema as one step (`first`).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.sql import emit_post_migrate_signal
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.installation import close_to_others
from wattkeeper.data.upgrades.first import make_at_once
from wattkeeper.data.upgrades.models import SchemaVersion
from wattkeeper.data.upgrades.schema import BEGUN, read_schema
from wattkeeper.data.upgrades.versions import OLDEST_SERVED, SCHEMA_VERSION

LOCK_WAIT_MS = 1000  # a step that waits longer for a table holds up everybody behind it
TRIES_COUNT = 10
_PAUSE_S = 0.5
_LOCK_KEY = 0x57_41_54_54  # a number for PostgreSQL, its digits for MariaDB


def upgrade(*, now: datetime) -> list[str]:
    """
    Bring the database to this release's schema and return the steps that were taken.

    Interrupted anywhere, it goes on with the next step that is missing.

    :raises WattkeeperError: ``schema.half-applied``, ``schema.too-new``, ``schema.locked`` if others held a
        table for all of `TRIES_COUNT` tries
    """
    with _alone():
        taken = _take_steps()
        if read_schema().version < SCHEMA_VERSION:
            recorded = {"oldest_served": OLDEST_SERVED, "recorded_at": now}
            SchemaVersion.objects.get_or_create(version=SCHEMA_VERSION, defaults=recorded)
    return taken


def _take_steps() -> list[str]:
    before = read_schema()
    before.refuse(is_upgrading=True)
    if not before.missing:
        return []
    for number in range(1, TRIES_COUNT + 1):
        try:
            _migrate()
        except OperationalError as error:
            if not _is_about_locks(error):
                raise
            if number == TRIES_COUNT or not connection.features.can_rollback_ddl:
                raise WattkeeperError("schema.locked", is_permanent=False, tries=TRIES_COUNT) from error
            time.sleep(_PAUSE_S)
        else:
            break
    return list(before.missing)


def make_first() -> bool:
    """Make this release's schema if no step was ever taken on the database; return whether that was so."""
    executor = _WholeSteps(connection)
    if executor.recorder.applied_migrations():
        return False
    executor.recorder.ensure_schema()
    first, _ = executor.migration_plan(executor.loader.graph.leaf_nodes())[0]
    with executor.whole(first) as is_taken:
        if not is_taken:
            make_at_once(executor)
    return True


def _migrate() -> None:
    executor = _WholeSteps(connection)
    executor.loader.check_consistent_history(connection)
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    if not make_first():
        executor.migrate(targets, plan=plan)
    emit_post_migrate_signal(0, False, connection.alias, apps=apps, plan=plan)


class _WholeSteps(MigrationExecutor):
    """Takes each step and records it in one transaction, or marks it as begun where DDL commits by itself."""

    def apply_migration(
        self, state: ProjectState, migration: Migration, fake: bool = False, fake_initial: bool = False
    ) -> ProjectState:
        """Take one step, unless somebody else took it meanwhile."""
        with self.whole(migration) as is_taken:
            if is_taken:
                return migration.mutate_state(state, preserve=False)
            return super().apply_migration(state, migration, fake, fake_initial)

    @contextmanager
    def whole(self, step: Migration) -> Iterator[bool]:
        """Yield whether somebody else took the step meanwhile; what is done then is done wholly or not."""
        is_undoable = connection.features.can_rollback_ddl
        with _constraints_off(), transaction.atomic() if is_undoable else nullcontext():
            _limit_waits()
            is_taken = (step.app_label, step.name) in self.recorder.applied_migrations()
            is_marked = not (is_taken or is_undoable)
            if is_marked:
                self.recorder.record_applied(BEGUN + step.app_label, step.name)
            patient = _Patient()
            try:
                with connection.execute_wrapper(patient) if is_marked else nullcontext():
                    yield is_taken
            except OperationalError as error:
                if is_marked and _is_about_locks(error) and not patient.has_changed:
                    self.recorder.record_unapplied(BEGUN + step.app_label, step.name)
                raise
            if is_marked:
                self.recorder.record_unapplied(BEGUN + step.app_label, step.name)


class _Patient:
    """Tries each statement again that waits too long for a table: all before it are committed."""

    def __init__(self) -> None:
        self.has_changed = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute a statement; notes whether it may have changed anything."""
        for _ in range(TRIES_COUNT - 1):
            try:
                return self._execute(execute, sql, params, many, context)
            except OperationalError as error:
                if not _is_about_locks(error):
                    raise
                time.sleep(_PAUSE_S)
        return self._execute(execute, sql, params, many, context)

    def _execute(self, execute: Any, sql: str, *of: Any) -> Any:
        result = execute(sql, *of)
        self.has_changed |= not sql.lstrip().upper().startswith(("SELECT", "SET", "SHOW"))
        return result


@contextmanager
def _constraints_off() -> Iterator[None]:
    """SQLite rebuilds tables: its foreign keys are off meanwhile, and checked by Django before the commit."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.disable_constraint_checking()
    try:
        yield
    finally:
        connection.enable_constraint_checking()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other upgrader works on the database: its server knows, or its folder is locked."""
    with _folder_locked() if connection.vendor == "sqlite" else _server_locked():
        yield


@contextmanager
def _folder_locked() -> Iterator[None]:
    """SQLite's own lock is a transaction's, and a first schema is looked for, made and filled in several.

    Not the data folder's own: who restores into one holds that meanwhile.
    """
    close_to_others(settings.DATA_FOLDER)
    folder = settings.DATA_FOLDER / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _server_locked() -> Iterator[None]:
    take, release = {
        "postgresql": ("SELECT pg_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)"),
        "mysql": ("SELECT GET_LOCK(CAST(%s AS CHAR), 600)", "SELECT RELEASE_LOCK(CAST(%s AS CHAR))"),
    }[connection.vendor]
    _ask(take, _LOCK_KEY)
    try:
        yield
    finally:
        if connection.is_usable():
            _ask(release, _LOCK_KEY)


def _limit_waits() -> None:
    if connection.vendor == "postgresql":
        _ask(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
    elif connection.vendor == "mysql":
        _ask(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_MS // 1000}")


def _ask(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)


def _is_about_locks(error: OperationalError) -> bool:
    text = str(error).lower()
    return "lock timeout" in text or "lock wait timeout" in text or "database is locked" in text
