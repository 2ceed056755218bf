"""An upgrade that dies before its n-th statement, or the first that holds a text.

`python -m conformance.upgrade_rig MODE [N [TEXT]]`

Modes: `upgrade` (ours), `beside` (ours, while another one reads the table of bills on MariaDB for N seconds
from before the first statement that holds a text), `plain` (Django's own: step by step, each recorded apart
from it), `stop` (the same as far as the release of schema N went), `read` (count the rows of every model
through this release's code and check the audit chains), `newer` (as if a newer release had been here that
serves releases from schema N on).
Prints one JSON object.
"""

import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import Any

APART = -1  # instead of a number: before the first step that is recorded apart from itself
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Killer:
    """Kills this process before its n-th statement."""

    def __init__(self, at_count: int, at_text: str = "") -> None:
        self.at_count = at_count
        self.at_text = at_text
        self.count = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        is_apart = "django_migrations" in sql and not context["connection"].in_atomic_block
        is_meant = self.count == self.at_count or bool(self.at_text and self.at_text in sql)
        if is_meant or (self.at_count == APART and is_apart and "INSERT" in sql):
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)


class Reader:
    """Reads the table of bills in a transaction of its own for some time, from before a statement."""

    def __init__(self, lasts_s: int, at_text: str) -> None:
        self.lasts_s = lasts_s
        self.at_text = at_text
        self.ending: threading.Timer | None = None

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.ending is None and self.at_text in sql:
            other = context["connection"].get_new_connection(context["connection"].get_connection_params())
            other.begin()
            other.cursor().execute("SELECT id FROM billing_bill")
            self.ending = threading.Timer(self.lasts_s, other.close)
            self.ending.start()
        return execute(sql, params, many, context)


def upgrade_ours() -> None:
    from wattkeeper.data.upgrades.steps import upgrade

    upgrade(now=NOW)


def upgrade_plainly(targets: list[tuple[str, str]] | None = None) -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


def stop_at(version: int) -> None:
    from releases import steps_taken

    upgrade_plainly(sorted(dict(sorted(steps_taken(version))).items()))


def read() -> dict[str, Any]:
    from django.apps import apps

    from wattkeeper.data.audit.chain import find_break
    from wattkeeper.data.registry.models import Tenant

    counts = {model._meta.db_table: len(list(model._default_manager.all())) for model in apps.get_models()}
    breaks = [find_break(tenant_id) for tenant_id in Tenant.objects.values_list("id", flat=True)]
    return {"counts": counts, "breaks": [found for found in breaks if found is not None]}


def newer(oldest_served: int) -> None:
    from django.db import connection

    from wattkeeper.data.upgrades.models import SchemaVersion

    SchemaVersion.objects.create(version=99, oldest_served=oldest_served, recorded_at=NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)",
            ["collection", "0099_of_tomorrow", NOW.isoformat()],
        )


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wattkeeper.data.settings")
    import django
    from django.db import connection

    django.setup()
    mode, number = sys.argv[1], int((sys.argv[2:] or ["0"])[0])
    told: dict[str, Any] = {}
    if mode in {"upgrade", "plain"}:
        killer = Killer(number, *sys.argv[3:])
        with connection.execute_wrapper(killer):
            upgrade_ours() if mode == "upgrade" else upgrade_plainly()
        told = {"statements": killer.count}
    elif mode == "beside":
        reader = Reader(number, *sys.argv[3:])
        with connection.execute_wrapper(reader):
            upgrade_ours()
        told = {"was_read": reader.ending is not None}
    elif mode == "stop":
        stop_at(number)
    elif mode == "newer":
        newer(number)
    else:
        told = read()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
