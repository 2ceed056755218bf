"""Head-ends, writers and the NATS server killed and wiped under load: nothing acknowledged is lost."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.carry_rig import Home, Plant, home_at

pytestmark = pytest.mark.slow
LEAST_COUNT = 250  # acknowledged between two strikes
TAKEN_COUNT = 5  # of two head-ends, each of which sends one after the other: the first of them left a spool
VICTIMS = ("headend", "writer", "nats", "wipe", "writers-then-wipe")
channels = count(1000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with home_at(tmp_path_factory.mktemp("carry") / "home") as made:
        yield made


@dataclass(frozen=True)
class Outcome:
    """What a kill loop saw."""

    acknowledged_count: int
    lost_count: int


def strike(plant: Plant, victim: str, dice: random.Random) -> None:
    """Kill, and start again."""
    if victim == "writers-then-wipe":
        plant.wait_until_it_takes(1)  # a writer that still starts has made no place for parcels
    struck = {
        "headend": [dice.choice(plant.headends)],
        "writer": [dice.choice(plant.writers)],
        "nats": [plant.nats],
        "wipe": [plant.nats],
        "writers-then-wipe": [*plant.writers, plant.nats],
    }[victim]
    for part in struck:
        if part is plant.nats and victim == "writers-then-wipe":
            plant.wait_until_it_takes(TAKEN_COUNT)  # what nobody fetches
        part.kill()
    if "wipe" in victim:
        plant.nats.wipe()
    for part in struck:
        part.start()


def kill_loop(home: Home, folder: Path, mode: str, victims: list[str], *, within_s: float) -> Outcome:
    """Strike again and again under load, then count."""
    dice = random.Random(len(victims))
    plant = Plant(home, folder / "plant", next(channels), mode)
    with plant.running():
        for victim in victims:
            plant.wait_for_more(LEAST_COUNT)
            time.sleep(dice.uniform(0.1, 0.6))
            strike(plant, victim, dice)
        time.sleep(0.5)
        lost = plant.settle(within_s)
    outcome = Outcome(len(plant.acknowledged), len(lost))
    print(mode, len(victims), outcome)
    return outcome


def test_whoever_is_killed_nothing_acknowledged_is_lost(home: Home, tmp_path: Path) -> None:
    outcome = kill_loop(home, tmp_path, "confirmed", list(VICTIMS), within_s=40)
    assert outcome.acknowledged_count > 1000
    assert outcome.lost_count == 0


def test_the_loop_sees_a_spool_that_trusts_the_carrier(home: Home, tmp_path: Path) -> None:
    victims = ["writers-then-wipe", "writers-then-wipe"]
    assert kill_loop(home, tmp_path, "trust-publish", victims, within_s=8).lost_count > 0


@pytest.mark.soak
def test_a_hundred_strikes(home: Home, tmp_path: Path) -> None:
    dice = random.Random(3)
    victims = [dice.choice(VICTIMS) for _ in range(100)]
    outcome = kill_loop(home, tmp_path, "confirmed", victims, within_s=120)
    assert outcome.acknowledged_count > 10_000
    assert outcome.lost_count == 0
