"""The power goes where the spool of a head-end and the NATS store lie: what was acknowledged comes home."""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from conformance.carry_rig import Gateway, Home, WriterProcess, home_at
from conformance.nats_server import NatsServer
from conformance.test_spool_power_cut import Outcome, cut_disk, image_in, mounted

pytestmark = pytest.mark.soak
CUTS_COUNT = 10
IMAGE_BYTES = 256 * 1024 * 1024  # a spool, and a stream that may take three quarters of what is left


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_in(tmp_path_factory.mktemp("image"), IMAGE_BYTES)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with home_at(tmp_path_factory.mktemp("carry") / "home") as made:
        yield made


def cut_once(
    home: Home, image: Path, folder: Path, *, mode: str, seed: int, is_written_before: bool, within_s: float
) -> Outcome:
    """Send records, cut the power, start all of it on what is left, and look for what was acknowledged."""
    folder.mkdir()
    dice, crash, channel_id = random.Random(seed), folder / "crash.img", 5000 + seed
    numbers = count()
    server = NatsServer(folder / "nats", store=folder / "live" / "nats")
    writer = WriterProcess(home, server.url, folder / "writer.log")

    def gateway(root: Path) -> Gateway:
        return Gateway(
            root / "spool", folder / "north.log", name="north", url=server.url, channel_id=channel_id,
            mode=mode, numbers=numbers,
        )  # fmt: skip

    with ExitStack() as stack:
        disk = stack.enter_context(cut_disk(folder / "fuse", image))
        root = stack.enter_context(mounted(folder / "fuse" / "disk", folder / "live"))
        stack.enter_context(server)
        writer.start()
        stack.callback(writer.kill)
        time.sleep(4)  # makes the stream
        if not is_written_before:
            writer.kill()
        headend = gateway(root)
        headend.start()
        stack.callback(headend.kill)
        time.sleep(dice.uniform(1.0, 2.0))
        acknowledged = headend.snapshot()
        assert shutil.disk_usage(root).free > IMAGE_BYTES // 4, "on a full disk no stream begins"
        assert disk.stdin is not None
        assert disk.stdout is not None
        disk.stdin.write(f"{crash} {seed} {dice.choice((0.0, 0.5, 0.9))}\n")
        disk.stdin.flush()
        assert disk.stdout.readline() == "cut\n"
    with ExitStack() as stack:
        root = stack.enter_context(mounted(crash, folder / "after"))
        after = NatsServer(folder / "nats", store=root / "nats", port=server.port)
        stack.enter_context(after)
        writer.start()
        stack.callback(writer.kill)
        headend = gateway(root)
        headend.start()
        stack.callback(headend.kill)
        headend.rest()
        deadline_s = time.monotonic() + within_s
        while (lost := acknowledged - home.stored(channel_id)) and time.monotonic() < deadline_s:
            time.sleep(0.5)
    crash.unlink()
    return Outcome(len(acknowledged), len(lost))


def test_nothing_acknowledged_is_lost_in_ten_cuts(home: Home, image: Path, tmp_path: Path) -> None:
    outcomes = [
        cut_once(
            home, image, tmp_path / str(seed), mode="confirmed", seed=seed, is_written_before=bool(seed % 2),
            within_s=60,
        )
        for seed in range(CUTS_COUNT)
    ]  # fmt: skip
    print(outcomes)
    assert all(outcome.acknowledged_count > 0 for outcome in outcomes)
    assert sum(outcome.lost_count for outcome in outcomes) == 0


def test_the_rig_sees_a_spool_that_trusts_the_carrier(home: Home, image: Path, tmp_path: Path) -> None:
    outcome = cut_once(
        home, image, tmp_path / "planted", mode="trust-publish", seed=99, is_written_before=False, within_s=15
    )
    print(outcome)
    assert outcome.lost_count > 0
