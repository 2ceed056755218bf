"""The registry's server ends all connections, as a restart does: the head-end's threads connect anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.postgres import postgres_server

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
from concurrent.futures import ThreadPoolExecutor

import django
import psycopg

django.setup()
from django.db import Error, connection

from wattkeeper.bootstrap.fresh_threads import FreshThreads

def ask():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()[0]

def outcome():
    try:
        return threads.submit(ask).result()
    except Error:
        return "lost"

threads = {"fresh": FreshThreads, "plain": ThreadPoolExecutor}[sys.argv[1]](1)
found = [outcome()]
with psycopg.connect(os.environ["WATTKEEPER_DATABASE"], autocommit=True) as owner:
    owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                  " AND backend_type = 'client backend'")
print(*found, *(outcome() for _ in range(3)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "found"), [("fresh", "1 lost 1 1"), ("plain", "1 lost lost lost")])
def test_one_call_fails_and_the_next_connects_anew(kind: str, found: str, tmp_path: Path) -> None:
    """The planted fault: threads that keep what they have."""
    with postgres_server() as url:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "DJANGO_SETTINGS_MODULE": "wattkeeper.data.settings",
                "WATTKEEPER_DATABASE": url,
                "WATTKEEPER_DATA": str(tmp_path),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == found
