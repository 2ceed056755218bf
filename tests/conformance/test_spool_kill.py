"""kill -9 at random moments: whatever was acknowledged is in the spool."""

import os
import random
import signal
import statistics
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.spool_rig import Clients, gateway, stored
from wattkeeper.headend.spool import Spool

DRAINED_EACH_CYCLES = 100
LEAST_COUNT = 40  # acknowledged before each kill


@dataclass(frozen=True)
class Outcome:
    """What a kill loop saw."""

    acknowledged_count: int
    lost_count: int
    restart_median_s: float
    restart_max_s: float


def kill_loop(folder: Path, mode: str, *, cycles_count: int, seed: int = 1) -> Outcome:
    """Kill the gateway again and again under load, drain what it left now and then, and count."""
    dice, numbers = random.Random(seed), count()
    acknowledged: set[int] = set()
    found: set[int] = set()
    restarts_s = []
    for cycle in range(1, cycles_count + 1):
        clients, started_s = Clients(numbers), time.monotonic()
        with gateway(folder, mode) as (process, port):
            restarts_s.append(time.monotonic() - started_s)
            clients.start(port)
            clients.wait_for(LEAST_COUNT)
            time.sleep(dice.uniform(0.0, 0.15))
            process.kill()
            process.wait()
        clients.stop()
        acknowledged |= clients.acknowledged
        if cycle % DRAINED_EACH_CYCLES == 0 or cycle == cycles_count:
            found |= stored(folder)
    return Outcome(
        len(acknowledged), len(acknowledged - found), statistics.median(restarts_s), max(restarts_s)
    )


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_a_few_kills(tmp_path: Path) -> None:
    outcome = kill_loop(tmp_path, "durable", cycles_count=5)
    assert outcome.acknowledged_count > 100
    assert outcome.lost_count == 0


@pytest.mark.slow
def test_the_loop_sees_an_acknowledgement_before_the_write(tmp_path: Path) -> None:
    assert kill_loop(tmp_path, "ack-first", cycles_count=3).lost_count > 0


def begin_for_ever(folder: Path) -> None:
    for number in count():
        Spool(folder / f"{number:04}").append([b"a"])


@pytest.mark.slow
def test_a_kill_while_files_are_begun_stops_nobody_and_sets_nothing_aside(tmp_path: Path) -> None:
    dice, opened_count = random.Random(2), 0
    for cycle in range(100):
        pid = os.fork()
        if pid == 0:
            begin_for_ever(tmp_path / f"{cycle}")
        while not (tmp_path / f"{cycle}").exists():
            time.sleep(0.001)
        time.sleep(dice.uniform(0.01, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for folder in sorted((tmp_path / f"{cycle}").glob("*"))[-1:]:
            spool = Spool(folder)
            spool.append([b"b"])
            found = []
            while batches := spool.peek(9):
                found += [batch.content for batch in batches]
                spool.delete(batches)
            assert found in ([b"b"], [b"a", b"b"])
            assert spool.quarantined_count == 0
            spool.close()
            opened_count += 1
    assert opened_count > 50


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_a_thousand_kills(tmp_path: Path) -> None:
    outcome = kill_loop(tmp_path, "durable", cycles_count=1000)
    print(outcome)
    assert outcome.acknowledged_count > 100_000
    assert outcome.lost_count == 0
    assert outcome.restart_median_s < 2
