"""What every test shares: a time zone that shows UTC slips, a data folder of its own."""

import gc
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from typing import Any

import pytest
import structlog
from django.db.backends.signals import connection_created
from hypothesis import HealthCheck, settings

from memory import write_in_memory
from schema_file import schema

os.environ["TZ"] = "America/St_Johns"
time.tzset()
# Of this process alone, whatever its parent or its user named: no test sees what another process makes.
HOME = tempfile.TemporaryDirectory(prefix="wattkeeper-test-")
os.environ["WATTKEEPER_DATA"] = HOME.name

# Machines are shared and noisy: no test depends on how long one example takes. Each run tries the same ones:
# what passed passes again; `pytest --hypothesis-profile exploring` looks for others.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", calm)
settings.register_profile("wattkeeper", calm, derandomize=True)
settings.register_profile("brief", calm, derandomize=True, max_examples=25)  # for `make check`
settings.load_profile("wattkeeper")
# A traceback with every local variable costs a good part of a second, queries of query sets included.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Fill the tests' database in memory from a migrated file: what is left to migrate is nothing."""

    def fill(connection: Any, **_: Any) -> None:
        if connection.vendor == "sqlite" and connection.is_in_memory_db():
            connection_created.disconnect(fill)
            with closing(sqlite3.connect(":memory:")) as migrated:
                migrated.deserialize(schema())
                migrated.backup(connection.connection)

    connection_created.connect(fill, weak=False)


def pytest_configure(config: pytest.Config) -> None:
    """Let what tests write lie in memory; what runs for long writes too much for that."""
    if config.getoption("markexpr") != "soak":
        write_in_memory()


def pytest_unconfigure() -> None:
    """Take the data folder away."""
    HOME.cleanup()


def pytest_collection_finish() -> None:
    """Leave what stays until the end, thousands of tests among it, to no search for garbage."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what runs for long run for long, three hours where nothing is said, and what is first be first.

    Of tests alike the first is as fast as any, all others together are slow.
    """
    begun = set()
    for item in items:
        if item.get_closest_marker("alike"):
            name = item.nodeid.partition("[")[0]
            if name in begun:
                item.add_marker("slow")
            begun.add(name)
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(10_800))
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
