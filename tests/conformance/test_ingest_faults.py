"""Ingest under the faults of the field: kills, full disks, stores that die, counters."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from conformance.stores import client, spawn
from schema_file import place_schema
from unit.headend.bench import ManualClock
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.batch import new_batch_id
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.errors import SpoolFailed, SpoolFull
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import SinkPort
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.timetable import Dues, Sleeper
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import encode_batch
from wattkeeper.store.client import HttpReadingStore

RIG = Path(__file__).with_name("counter_rig.py")
SOURCES = Path(__file__).resolve().parents[2] / "src"
CHANNEL_ID = 7
LEAST_BYTES = 4 * 260  # of counters of four bytes, used before each kill
LEAST_COUNT = 300  # appended before each kill of the store
START_S = 1_700_000_000 // 900 * 900


# A17: our own counters after a kill


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with one meter, to be copied."""
    folder = tmp_path_factory.mktemp("registry")
    place_schema(folder)
    subprocess.run([sys.executable, str(RIG), "", "prepare"], env=environment(folder), check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCES), "WATTKEEPER_DATA": str(folder)}


def counters_used(
    registry: Path, folder: Path, how: str, kills_count: int, *, is_one_enough: bool = False
) -> list[int]:
    """Return every counter that was used while its process was killed again and again.

    It ends with the first that is used again, if one is enough.
    """
    shutil.copytree(registry, folder)
    log = folder / "used.bin"
    dice, used = random.Random(1), list[int]()
    for _ in range(kills_count):
        process = subprocess.Popen(
            [sys.executable, str(RIG), str(log), how], env=environment(folder), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        enough_bytes = log.stat().st_size + LEAST_BYTES
        while log.stat().st_size < enough_bytes:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(dice.uniform(0.05, 0.3))
        process.kill()
        process.wait()
        used = np.frombuffer(log.read_bytes(), dtype=">u4").tolist()
        if is_one_enough and len(set(used)) < len(used):
            break
    return used


@pytest.mark.slow
def test_no_counter_is_used_twice_in_a_few_kills(registry: Path, tmp_path: Path) -> None:
    used = counters_used(registry, tmp_path / "ahead", "reserve-ahead", 4)
    assert len(used) > 1000
    assert len(set(used)) == len(used)


@pytest.mark.slow
def test_counters_that_are_saved_later_are_caught(registry: Path, tmp_path: Path) -> None:
    """A kill that comes right after they were saved, or while they are, shows nothing: another one does."""
    used = counters_used(registry, tmp_path / "later", "save-later", 12, is_one_enough=True)
    assert len(set(used)) < len(used)


@pytest.mark.soak
def test_no_counter_is_used_twice_in_two_hundred_kills(registry: Path, tmp_path: Path) -> None:
    used = counters_used(registry, tmp_path / "ahead", "reserve-ahead", 200)
    print({"kills": 200, "frames": len(used), "reused": len(used) - len(set(used))})
    assert len(set(used)) == len(used)


# A4: a disk that fills up


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_acknowledgements_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as folder:
        (folder / "ballast").write_bytes(bytes(12 * 1024 * 1024))
        spool = Spool(folder / "spool")
        acknowledged: list[bytes] = []

        def offer(first: int, count: int) -> int:
            refused_count = 0
            for number in range(first, first + count):
                content = number.to_bytes(8, "big") * 2048
                try:
                    spool.append([content])
                except (SpoolFailed, SpoolFull):
                    refused_count += 1
                else:
                    acknowledged.append(content)
            return refused_count

        assert offer(0, 1500) > 0
        assert spool.is_failing
        is_late_refused = offer(2000, 20) == 20
        (folder / "ballast").unlink()
        began_s = time.monotonic()
        refused_count = offer(3000, 20)
        recovered_s = time.monotonic() - began_s
        spool.close()
        again = Spool(folder / "spool")
        kept = []
        while batches := again.peek(100):
            kept += [batch.content for batch in batches]
            again.delete(batches)
        again.close()
    print({"acknowledged": len(acknowledged), "kept": len(kept), "recovered_s": round(recovered_s, 3)})
    assert is_late_refused
    assert refused_count == 0
    assert recovered_s < 10
    assert set(acknowledged) <= set(kept)


# A5: the store dies under load


@dataclass
class Forgetful:
    """The planted fault: what the store does not take is dropped."""

    store: HttpReadingStore

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        try:
            self.store.insert_raw(batches)
        except WattkeeperError:
            return


@dataclass
class Faithful:
    """The product's way: whatever the store says is said on."""

    store: HttpReadingStore

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        self.store.insert_raw(batches)


def batch_of(number: int) -> RawBatch:
    one = np.ones(1, dtype=np.int64)
    at_s = one * (START_S + number)
    return RawBatch(
        1, new_batch_id(number), START_S, one * CHANNEL_ID, at_s, one * number, one * 0, one, -one
    )


@dataclass(frozen=True)
class StoreKills:
    """What killing the store under load came to."""

    acknowledged_count: int
    lost_count: int
    duplicates_count: int
    seconds_to_drain: float


async def kill_the_store(
    folder: Path, sink_of: Callable[[HttpReadingStore], SinkPort], kills_count: int, between_s: float
) -> StoreKills:
    """Append to a spool all the time, drain it to a store that is killed again and again, and count."""
    process = spawn(folder)
    client(folder, process)
    store = HttpReadingStore.of_file(folder / "run" / "store.json")
    spool = Spool(folder / "spool")
    drain = Drain(spool, sink_of(store), ManualClock(), Sleeper(Dues()), HeadendMetrics())
    numbers: list[int] = []

    async def append() -> None:
        while True:
            fresh = range(len(numbers), len(numbers) + 20)
            await asyncio.to_thread(spool.append, [encode_batch(batch_of(number)) for number in fresh])
            numbers.extend(fresh)
            await asyncio.sleep(0.02)

    async def keep_draining() -> None:
        while True:
            await drain.drain()
            await asyncio.sleep(0.05)

    appending, draining = asyncio.create_task(append()), asyncio.create_task(keep_draining())
    try:
        for _ in range(kills_count):
            enough_count = len(numbers) + LEAST_COUNT
            await asyncio.sleep(between_s)
            async with asyncio.timeout(60):
                while len(numbers) < enough_count:  # noqa: ASYNC110 - it is the spool's disk that takes so long
                    await asyncio.sleep(0.02)
            process.kill()
            process.wait()
            await asyncio.sleep(0.3)
            process = spawn(folder)
            await asyncio.to_thread(client, folder, process)
        appending.cancel()
        began_s = time.monotonic()
        async with asyncio.timeout(60):
            while spool.batches_count:  # noqa: ASYNC110 - what it looks at belongs to the code under test
                await asyncio.sleep(0.02)
        drained_s = time.monotonic() - began_s
        draining.cancel()
        await asyncio.gather(appending, draining, return_exceptions=True)
        reads = store.raw_reads(1, [CHANNEL_ID], START_S, START_S + len(numbers))
    finally:
        appending.cancel()
        draining.cancel()
        process.kill()
        process.wait()
    spool.close()
    found = reads.value.tolist()
    return StoreKills(len(numbers), len(set(numbers) - set(found)), len(found) - len(set(found)), drained_s)


@pytest.mark.slow
async def test_a_store_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcome = await kill_the_store(tmp_path, Faithful, kills_count=2, between_s=1.5)
    print(outcome)
    assert outcome.acknowledged_count > 500
    assert (outcome.lost_count, outcome.duplicates_count) == (0, 0)


@pytest.mark.slow
async def test_a_batch_that_is_dropped_on_error_is_caught(tmp_path: Path) -> None:
    outcome = await kill_the_store(tmp_path, Forgetful, kills_count=1, between_s=0.5)
    assert outcome.lost_count > 0


@pytest.mark.soak
async def test_a_store_killed_for_minutes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcome = await kill_the_store(tmp_path, Faithful, kills_count=30, between_s=5)
    print(outcome)
    assert (outcome.lost_count, outcome.duplicates_count) == (0, 0)
