"""One suite, every engine; and what a process owes beyond it: durability, a lock, a secret, honest errors."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from conformance.store_plants import PLANTS
from conformance.stores import RUN, client, running_store, spawn
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import conformance
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import MONTH_START_S, batch
from wattkeeper.store.keeping import KeepingReadingStore
from wattkeeper.store.memory import MemoryReadingStore
from wattkeeper.store.schema import TABLES, TABLES_NOW, retunings
from wattkeeper.store.transport import StoreRefused

SERVER_URL = os.environ.get("WATTKEEPER_TEST_CLICKHOUSE_URL", "")
CHANNELS = "SELECT uniqExact(tenant_id, channel_id) FROM raw_read"


@pytest.fixture(scope="module", params=["memory", "embedded", "keeping", "server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingStore]:
    if request.param == "memory":
        yield MemoryReadingStore()
    elif request.param == "embedded":
        with running_store(tmp_path_factory.mktemp("store")) as embedded:
            yield embedded
    elif request.param == "keeping":
        folder = tmp_path_factory.mktemp("store")
        with running_store(folder) as embedded:
            keeping = KeepingReadingStore.keeping(embedded, folder / "run" / "latest.table")
            assert keeping.rebuild()
            yield keeping
            recount = keeping.recount()
            assert recount.is_whole
            assert recount.channels_count == int(told(embedded, CHANNELS))  # of what ran, all or one check
            assert recount.differences == ()
    elif not SERVER_URL:
        pytest.skip("WATTKEEPER_TEST_CLICKHOUSE_URL names no ClickHouse server")
    else:
        server = HttpReadingStore.of_server(SERVER_URL)
        server.make_tables()
        yield server


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_promise(store: ReadingStore, check: Callable[[ReadingStore], None]) -> None:
    check(store)


@pytest.mark.parametrize("engine", PLANTS)
def test_the_suite_sees_a_broken_engine(engine: type[MemoryReadingStore]) -> None:
    with pytest.raises(AssertionError):
        conformance.check_all(engine())


EARLIER = (
    "ALTER TABLE raw_read MODIFY SETTING min_parts_to_merge_at_once = 32, merge_selector_base = 5",
    "ALTER TABLE measurement MODIFY SETTING min_compress_block_size = 131072",
    "ALTER TABLE measurement RESET SETTING min_age_to_force_merge_seconds",
    "ALTER TABLE measurement MODIFY COLUMN value_milliwh MODIFY SETTING min_compress_block_size = 524288",
    "ALTER TABLE measurement MODIFY COLUMN starts_at RESET SETTING min_compress_block_size",
    "ALTER TABLE measurement MODIFY COLUMN method MODIFY SETTING min_compress_block_size = 1048576",
    "ALTER TABLE roll_up MODIFY COLUMN energy_milliwh MODIFY SETTING max_compress_block_size = 2000000",
    "ALTER TABLE measurement MODIFY COLUMN starts_at CODEC(DoubleDelta, ZSTD(1))",
    "ALTER TABLE measurement MODIFY COLUMN value_milliwh CODEC(GCD, ZSTD(3))",
    "ALTER TABLE raw_read MODIFY COLUMN measured_at CODEC(DoubleDelta, ZSTD(1))",
)


@pytest.mark.parametrize("change", EARLIER)
def test_tables_of_an_earlier_release_take_on_what_is_right_for_them_today(
    tmp_path: Path, change: str
) -> None:
    with running_store(tmp_path) as store:
        fresh = told(store, TABLES_NOW)
        assert retunings(fresh) == []  # nothing to do at a usual start
        told(store, change)
        assert retunings(told(store, TABLES_NOW))
    with running_store(tmp_path) as store:
        now = told(store, TABLES_NOW)
        assert retunings(now) == []
        assert sorted(now.replace(",", " ").split()) == sorted(fresh.replace(",", " ").split())


def test_a_month_at_rest_becomes_one_part_and_says_the_same(tmp_path: Path) -> None:
    """Ten days are an hour here, and nothing rests yet, then a second."""
    age = "ALTER TABLE raw_read MODIFY SETTING min_age_to_force_merge_seconds"
    count = (
        "SELECT count() FROM system.parts WHERE active AND table = 'raw_read' AND partition_id = '{}'".format
    )
    with running_store(tmp_path) as store:
        resting, running = (
            told(store, f"SELECT toYYYYMM(toDateTime({at_s}, 'UTC'))").strip()
            for at_s in (MONTH_START_S, MONTH_START_S + 40 * 86_400)
        )
        told(store, "SYSTEM STOP MERGES raw_read")
        for day in range(5):
            store.insert_raw([batch([(1, MONTH_START_S + 86_400 * day, day)], tenant_id=1)])
        before = store.raw_reads(1, [1], MONTH_START_S, MONTH_START_S + 40 * 86_400)
        assert int(told(store, count(resting))) == 5
        told(store, "SYSTEM START MERGES raw_read")
        told(store, f"{age} = 3600")  # not yet: they are younger
        for day in range(40, 43):
            store.insert_raw([batch([(1, MONTH_START_S + 86_400 * day, day)], tenant_id=1)])
        time.sleep(3)
        assert int(told(store, count(resting))) == 5
        assert int(told(store, count(running))) == 3
        told(store, f"{age} = 1")
        until_s = time.monotonic() + 60
        while int(told(store, count(resting))) > 1 and time.monotonic() < until_s:
            time.sleep(0.2)
        assert int(told(store, count(resting))) == 1
        after = store.raw_reads(1, [1], MONTH_START_S, MONTH_START_S + 40 * 86_400)
        assert after.value.tolist() == before.value.tolist()


def test_tables_of_a_server_take_it_on_when_they_are_made_again(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        for change in EARLIER:
            told(store, change)
        store.make_tables()
        assert retunings(told(store, TABLES_NOW)) == []


@pytest.mark.slow
def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    process = spawn(tmp_path)
    for stored in range(1, 4):
        own = client(tmp_path, process)
        own.insert_raw([batch([(1, MONTH_START_S + stored, stored)], tenant_id=1)])
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = spawn(tmp_path)
        assert client(tmp_path, process).counts(1).raw_reads == stored
    process.terminate()
    process.wait(60)


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


def told(store: HttpReadingStore, query: str) -> str:
    """The engine's answer to a question that only tests ask."""
    return store._transport.ask(query.encode(), "/").decode()


def synced(store: HttpReadingStore) -> dict[str, int]:
    rows = told(store, "SELECT event, value FROM system.events WHERE event IN ('FileSync', 'DirectorySync')")
    return {name: int(count) for name, count in (row.split() for row in rows.splitlines())}


def test_inserts_and_merges_reach_the_disk(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        for stored in range(3):
            before = synced(store)
            store.insert_raw([batch([(1, MONTH_START_S + stored, stored)], tenant_id=1)])
            after = synced(store)
            assert all(after.get(name, 0) > before.get(name, 0) for name in ("FileSync", "DirectorySync"))
        before = synced(store)
        told(store, "OPTIMIZE TABLE raw_read FINAL")
        assert synced(store)["FileSync"] > before["FileSync"]


@pytest.mark.parametrize(("engine", "rows_left_count"), [("ReplacingMergeTree", 5), ("MergeTree", 15)])
def test_answers_are_the_same_before_and_after_a_merge(
    tmp_path: Path, engine: str, rows_left_count: int
) -> None:
    """What was delivered again is gone after a merge or is not: nobody may count on either."""
    with running_store(tmp_path) as store:
        told(store, "DROP TABLE raw_read SYNC")
        told(store, TABLES["raw_read"].replace("ENGINE = ReplacingMergeTree", f"ENGINE = {engine}"))
        for batch_id in (1, 1, 2):
            rows = [(1, MONTH_START_S + 900 * index, index) for index in range(5)]
            store.insert_raw([batch(rows, tenant_id=1, batch_id=batch_id)])
        before = store.raw_reads(1, [1], 0, 2**32 - 1), store.latest(1, [1]), store.counts(1).raw_reads
        assert store.counts(1).raw_rows == 15
        told(store, "OPTIMIZE TABLE raw_read FINAL")
        after = store.raw_reads(1, [1], 0, 2**32 - 1), store.latest(1, [1]), store.counts(1).raw_reads
        assert store.counts(1).raw_rows == rows_left_count
    assert before[1:] == after[1:]
    assert before[0].value.tolist() == after[0].value.tolist() == list(range(5))


@pytest.mark.slow
def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can't be mounted here")
    try:
        (disk / "ballast").write_bytes(bytes(12 << 20))
        with running_store(disk) as store:
            acknowledged_count = fill(store)
            assert store.counts(1).raw_reads == acknowledged_count
            (disk / "ballast").unlink()
            store.insert_raw([batch([(2, MONTH_START_S, 1)], tenant_id=1)])
            assert store.counts(1).raw_reads == acknowledged_count + 1
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(store: HttpReadingStore) -> int:
    """Insert until the disk is full; how many reads were acknowledged."""
    noise = random.Random(1)
    for index in range(1000):
        rows = [(1, MONTH_START_S + index * 5000 + row, noise.getrandbits(60)) for row in range(5000)]
        try:
            store.insert_raw([batch(rows, tenant_id=1)])
        except StoreRefused as full:
            if (full.code, full.is_permanent) != ("store.disk-full", False):
                raise
            return index * 5000
    pytest.fail("the disk was never full")


def test_a_restarted_store_is_found_again(tmp_path: Path) -> None:
    process = spawn(tmp_path)
    client(tmp_path, process)
    store = HttpReadingStore.of_file(tmp_path / "run" / "store.json")
    store.insert_raw([batch([(1, MONTH_START_S, 7)], tenant_id=1)])
    process.kill()
    process.wait()
    with pytest.raises(WattkeeperError) as gone:
        store.counts(1)
    assert (gone.value.code, gone.value.is_permanent) == ("store.unreachable", False)
    process = spawn(tmp_path)
    client(tmp_path, process)
    assert store.latest(1, [1])[1].value == 7
    process.terminate()
    assert process.wait(60) == 0
    with pytest.raises(WattkeeperError) as stopped:
        store.counts(1)
    assert stopped.value.code == "store.not-running"


def test_bad_requests_are_refused_and_the_store_goes_on(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        address = store._transport.address
        key = {"X-ClickHouse-Key": address.secret}
        insert = "/?query=INSERT%20INTO%20raw_read%20FORMAT%20ArrowStream"
        cases: list[tuple[str, str, dict[str, str], bytes, int]] = [
            ("GET", "/", {}, b"", 404),
            ("GET", "/ping", {}, b"", 200),
            ("POST", "/", {"X-ClickHouse-Key": "\xe9"}, b"SELECT 1", 403),
            ("POST", "/", {**key, "Content-Length": "9" * 12}, b"", 413),
            ("POST", "/", {**key, "Content-Length": "-1"}, b"", 413),
            ("POST", "/", key, b"\xff\xfe nonsense", 400),
            ("POST", "/", key, b"SELECT 1 \0 nonsense", 400),
            ("POST", "/", key, b"", 400),
            ("POST", "/?query=SELECT%201", key, b"data for nobody", 400),
            ("POST", "/", key, b"nonsense", 500),
            ("POST", "/", key, b"SELECT * FROM nothing", 500),
            ("POST", insert, key, b"no arrow", 500),
            ("POST", insert, key, b"", 500),
        ]
        for method, path, headers, body, status in cases:
            connection = HTTPConnection(address.host, address.port, timeout=10)
            connection.request(method, path, body, headers)
            assert connection.getresponse().status == status, (path, body)
            connection.close()
        cut = HTTPConnection(address.host, address.port, timeout=10)
        cut.request("POST", insert, b"half", {**key, "Content-Length": "1000"})
        cast(socket.socket, cut.sock).close()
        assert store.counts(1).raw_reads == 0


def test_a_folder_the_engine_would_misread_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a?b"
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(tmp_path / "store.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "store.folder-unusable" in process.stderr
    assert not folder.exists()
