"""One suite, every engine; and what a process owes beyond it: durability, a lock, a secret."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pytest

from conformance.stores import RUN, client, running_store, spawn
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import conformance
from wattkeeper.store.api import Measurements, RawBatch, ReadingStore
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.memory import MemoryReadingStore

SERVER_URL = os.environ.get("WATTKEEPER_TEST_CLICKHOUSE_URL", "")


@pytest.fixture(scope="module", params=["memory", "embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingStore]:
    if request.param == "memory":
        yield MemoryReadingStore()
    elif request.param == "embedded":
        with running_store(tmp_path_factory.mktemp("store")) as embedded:
            yield embedded
    elif not SERVER_URL:
        pytest.skip("WATTKEEPER_TEST_CLICKHOUSE_URL names no ClickHouse server")
    else:
        server = HttpReadingStore(SERVER_URL, urlsplit(SERVER_URL).password or "")
        server.make_tables()
        yield server


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_promise(store: ReadingStore, check: Callable[[ReadingStore], None]) -> None:
    check(store)


class LastArrivalWins(MemoryReadingStore):
    """The planted engine that keeps whichever run came last."""

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        self._count = getattr(self, "_count", 0) + 1
        super().insert_measurements(
            tenant_id, replace(measurements, run_id=np.full(len(measurements.run_id), self._count))
        )


class OverwritesConflicts(MemoryReadingStore):
    """The planted engine with one value an instant."""

    def insert_raw(self, batches: "list[RawBatch]") -> None:  # type: ignore[override]
        super().insert_raw(batches)
        for rows in self._reads.values():
            for key in sorted(rows)[:-1]:
                if sum(other[1] == key[1] for other in rows) > 1:
                    del rows[key]


@pytest.mark.parametrize("engine", [LastArrivalWins, OverwritesConflicts])
def test_the_suite_sees_a_broken_engine(engine: type[MemoryReadingStore]) -> None:
    with pytest.raises(AssertionError):
        conformance.check_all(engine())


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    process = spawn(tmp_path)
    for stored in range(1, 4):
        own = client(tmp_path, process)
        own.insert_raw([conformance.batch([(1, conformance.MONTH_START_S + stored, stored)], tenant_id=1)])
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = spawn(tmp_path)
        assert client(tmp_path, process).counts(1).raw_reads == stored
    process.terminate()
    process.wait(20)


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    with running_store(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path / "readings"), str(tmp_path / "other.json")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode != 0
    assert "store.folder-locked" in second.stderr


def test_without_the_secret_nothing_is_answered(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        url = f"http://{store._transport.address.host}:{store._transport.address.port}/"
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(url, data=b"SELECT 1", method="POST"), timeout=10)
        assert refused.value.code == 403
        assert (tmp_path / "run" / "store.json").stat().st_mode & 0o777 == 0o600


def test_a_store_that_is_gone_is_a_clear_error(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        assert store.counts(1).raw_reads == 0
    with pytest.raises(WattkeeperError) as gone:
        store.counts(1)
    assert gone.value.code == "store.unreachable"
    assert not gone.value.is_permanent
