"""kill -9 at random moments: whatever was acknowledged is in the spool."""

import random
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.spool_rig import Clients, gateway, stored


@dataclass(frozen=True)
class Outcome:
    """What a kill loop saw."""

    acknowledged_count: int
    lost_count: int
    restart_max_s: float


def kill_loop(folder: Path, mode: str, *, cycles_count: int, seed: int = 1) -> Outcome:
    """Kill the gateway again and again under load, then count."""
    dice, numbers = random.Random(seed), count()
    acknowledged: set[int] = set()
    restart_max_s = 0.0
    for _ in range(cycles_count):
        clients, started_s = Clients(numbers), time.monotonic()
        with gateway(folder, mode) as (process, port):
            restart_max_s = max(restart_max_s, time.monotonic() - started_s)
            clients.start(port)
            time.sleep(dice.uniform(0.05, 0.2))
            process.kill()
            process.wait()
        clients.stop()
        acknowledged |= clients.acknowledged
    return Outcome(len(acknowledged), len(acknowledged - stored(folder)), restart_max_s)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_a_few_kills(tmp_path: Path) -> None:
    outcome = kill_loop(tmp_path, "durable", cycles_count=5)
    assert outcome.acknowledged_count > 100
    assert outcome.lost_count == 0


@pytest.mark.slow
def test_the_loop_sees_an_acknowledgement_before_the_write(tmp_path: Path) -> None:
    assert kill_loop(tmp_path, "ack-first", cycles_count=3).lost_count > 0


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_in_a_hundred_kills(tmp_path: Path) -> None:
    outcome = kill_loop(tmp_path, "durable", cycles_count=100)
    print(outcome)
    assert outcome.acknowledged_count > 10_000
    assert outcome.lost_count == 0
