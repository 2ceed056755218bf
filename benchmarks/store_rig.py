"""What the store's benchmarks share: a store process of their own, CPU seconds, days that look real."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mdm_rig import STORE_CODE, calib, cpu_s

from wattkeeper.bootstrap.engines import SystemClock
from wattkeeper.headend.batch import new_batch_id
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.store.api import Measurements, RawBatch
from wattkeeper.store.client import HttpReadingStore

__all__ = ["OwnStore", "calib", "energies", "spool_and_drain"]
DAY_S = 86_400
INTERVAL_S = 900
INTERVALS_COUNT = DAY_S // INTERVAL_S
JUNE_S = 1_780_272_000  # 2026-06-01


class OwnStore:
    """A store process on a folder, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._address = folder / "run" / "store.json"
        self._address.unlink(missing_ok=True)
        command = [sys.executable, "-c", STORE_CODE, str(folder / "readings"), str(self._address)]
        self.process = subprocess.Popen(command)
        while not self._address.exists():
            if self.process.poll() is not None:
                raise RuntimeError("the store did not start")
            time.sleep(0.05)
        self.client = HttpReadingStore.of_file(self._address)

    def cpu_s(self) -> float:
        """CPU seconds of the store process so far."""
        return cpu_s(self.process.pid)

    def ask(self, query: str) -> list[list[str]]:
        """Return the rows of an answer, as texts."""
        told = self.client._transport.ask(query.encode(), "/").decode()
        return [line.split("\t") for line in told.splitlines()]

    def settle_s(self) -> float:
        """Wait until no merge runs any more; the CPU seconds that took."""
        before = self.cpu_s()
        quiet_count = 0
        while quiet_count < 10:
            self_s = self.cpu_s()
            time.sleep(0.2)
            quiet_count = quiet_count + 1 if self.cpu_s() - self_s <= 0.02 else 0
        return self.cpu_s() - before

    def close(self) -> None:
        """Stop the process."""
        self.process.terminate()
        self.process.wait(120)


@contextmanager
def own_store(folder: Path) -> Iterator[OwnStore]:
    """Serve a store for the block."""
    store = OwnStore(folder)
    try:
        yield store
    finally:
        store.close()


def energies(rng: np.random.Generator, meters_count: int, intervals_count: int) -> Any:
    """Interval energies in Wh, shape (meters, intervals): noise around a daily shape, like a home's."""
    hour = np.arange(intervals_count) % INTERVALS_COUNT / 4.0
    shape = 0.4 + np.exp(-((hour - 19) ** 2) / 8) + 0.6 * np.exp(-((hour - 7.5) ** 2) / 3)
    level = rng.lognormal(4.0, 0.6, (meters_count, 1))
    return rng.gamma(4.0, 0.25, (meters_count, intervals_count)).__mul__(level * shape).astype(np.int64)


def day_batches(
    rng: np.random.Generator, first_channel: int, batches_count: int, meters_count: int, day_start_s: int
) -> list[RawBatch]:
    """Registers of whole days as concentrators hand them over: two channels a meter, 96 instants each."""
    return [
        _day_batch(rng, first_channel + 2 * meters_count * index, meters_count, day_start_s)
        for index in rng.permutation(batches_count).tolist()
    ]


def _day_batch(rng: np.random.Generator, first_channel: int, meters_count: int, day_start_s: int) -> RawBatch:
    channels_count = 2 * meters_count
    count = channels_count * INTERVALS_COUNT
    register = np.cumsum(energies(rng, channels_count, INTERVALS_COUNT), axis=1)
    register += rng.integers(10**6, 10**8, (channels_count, 1))
    return RawBatch(
        tenant_id=1,
        batch_id=new_batch_id(day_start_s + DAY_S),
        received_at_s=day_start_s + DAY_S,
        channel_id=np.repeat(np.arange(first_channel, first_channel + channels_count), INTERVALS_COUNT),
        measured_at_s=np.tile(day_start_s + INTERVAL_S * np.arange(INTERVALS_COUNT), channels_count),
        value=register.ravel(),
        flags=np.zeros(count, np.int64),
        source=np.ones(count, np.int64),
        frame_index=np.full(count, -1, np.int64),
    )


class Sink:
    """The store as the drain sees it, without the relational marks of the pipeline."""

    def __init__(self, store: HttpReadingStore) -> None:
        self._store = store

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """Store the batches durably."""
        self._store.insert_raw(batches)


def spool_and_drain(spool: Spool, store: HttpReadingStore, batches: Sequence[RawBatch]) -> None:
    """Take the batches the head-end's way: group commit to the spool, then into the store, then forgotten."""
    metrics = HeadendMetrics()
    asyncio.run(_spool(SpoolWriter(spool, metrics, on_stored=lambda: None), batches))
    drain = Drain(spool, Sink(store), SystemClock(), None, metrics)  # type: ignore[arg-type]
    if not asyncio.run(drain.drain()):
        raise RuntimeError("the spool was not drained")


async def _spool(writer: SpoolWriter, batches: Sequence[RawBatch]) -> None:
    await asyncio.gather(*(writer.append(batch) for batch in batches))


def month_values(
    rng: np.random.Generator, first_series: int, series_count: int, month_s: int, days_count: int
) -> Measurements:
    """Derived values of some days: multiples of 1 Wh; of any milliwatt-hours 0.5 %, estimates in fours."""
    count = days_count * INTERVALS_COUNT
    is_first = rng.random((series_count, count)) < 0.005 / 4
    is_estimated = is_first.copy()
    for later in range(1, 4):
        is_estimated[:, later:] |= is_first[:, :-later]
    is_estimated = is_estimated.ravel()
    value_milliwh = energies(rng, series_count, count).ravel() * 1000
    return Measurements(
        series_id=np.repeat(np.arange(first_series, first_series + series_count), count),
        starts_at_s=np.tile(month_s + INTERVAL_S * np.arange(count), series_count),
        value_milliwh=value_milliwh + is_estimated * rng.integers(0, 1000, len(is_estimated)),
        provenance=np.where(is_estimated, 2, 1),
        flags=np.where(is_estimated, 0, 1),
        method=np.where(is_estimated, 1, 0),
        run_id=np.full(len(is_estimated), month_s // 1000),
    )


def cpu_of(work: Callable[[], None], store: OwnStore) -> dict[str, float]:
    """Run `work`; CPU seconds of this process and of the store's, and wall seconds."""
    own_s, store_s, wall_s = time.process_time(), store.cpu_s(), time.monotonic()
    work()
    return {
        "client": time.process_time() - own_s,
        "store": store.cpu_s() - store_s,
        "wall": time.monotonic() - wall_s,
    }
