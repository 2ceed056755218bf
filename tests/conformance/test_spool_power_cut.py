"""The power goes: a disk that forgets un-flushed sectors, a real file system, the real spool on that."""

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.spool_rig import Clients, gateway, stored

pytestmark = pytest.mark.soak

CUT_DISK = Path(__file__).with_name("cut_disk.py")
IMAGE_BYTES = 48 * 1024 * 1024
CUTS_COUNT = 200


def why_not() -> str | None:
    """Return what is missing for this rig, or None."""
    if os.geteuid() != 0:
        return "needs root to mount"
    if importlib.util.find_spec("mfusepy") is None or shutil.which("fusermount3") is None:
        return "needs mfusepy and fuse3"
    if not Path("/dev/fuse").exists() or not Path("/dev/loop-control").exists():
        return "needs /dev/fuse and loop devices"
    if shutil.which("mkfs.ext4") is None or shutil.which("losetup") is None:
        return "needs mkfs.ext4 and losetup"
    found = subprocess.run(["losetup", "-f"], capture_output=True, check=False)
    return None if found.returncode == 0 else "no loop device is free"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_in(tmp_path_factory.mktemp("image"), IMAGE_BYTES)


def image_in(folder: Path, size_bytes: int) -> Path:
    """Make an empty file system, or skip the test."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    path = folder / "base.img"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(path))
    return path


def run(*command: str, check: bool = True) -> str:
    """Run a program and return what it prints."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout.strip()


@contextmanager
def mounted(file: Path, folder: Path) -> Iterator[Path]:
    """Mount the file system in `file`."""
    folder.mkdir()
    device = run("losetup", "-f", "--show", str(file))
    try:
        run("mount", "-o", "noatime", device, str(folder))
        try:
            yield folder
        finally:
            run("umount", "-l", str(folder))
    finally:
        run("losetup", "-d", device, check=False)


@contextmanager
def cut_disk(folder: Path, image: Path) -> Iterator["subprocess.Popen[str]"]:
    """Serve a disk that can be cut, as ``disk`` in `folder`."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(CUT_DISK), str(folder), str(image)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline_s = time.monotonic() + 20
        while not (folder / "disk").exists():
            assert process.poll() is None, "the disk did not start"
            assert time.monotonic() < deadline_s, "the disk did not appear"
            time.sleep(0.02)
        yield process
    finally:
        run("fusermount3", "-uz", str(folder), check=False)
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Outcome:
    """What one cut left."""

    acknowledged_count: int
    lost_count: int


def cut_once(image: Path, folder: Path, mode: str, seed: int) -> Outcome:
    """Send records, cut the power, and look for all that was acknowledged before."""
    folder.mkdir()
    dice, crash = random.Random(seed), folder / "crash.img"
    with ExitStack() as stack:
        disk = stack.enter_context(cut_disk(folder / "fuse", image))
        root = stack.enter_context(mounted(folder / "fuse" / "disk", folder / "live"))
        _, port = stack.enter_context(gateway(root / "spool", mode))
        clients = Clients(count())
        clients.start(port)
        stack.callback(clients.stop)
        time.sleep(dice.uniform(0.5, 1.5))
        acknowledged = clients.snapshot()
        assert disk.stdin is not None
        assert disk.stdout is not None
        disk.stdin.write(f"{crash} {seed} {dice.choice((0.0, 0.5, 0.9))}\n")
        disk.stdin.flush()
        assert disk.stdout.readline() == "cut\n"
    with mounted(crash, folder / "after") as root:
        left = stored(root / "spool")
    crash.unlink()
    return Outcome(len(acknowledged), len(acknowledged - left))


def test_nothing_acknowledged_is_lost_in_two_hundred_cuts(image: Path, tmp_path: Path) -> None:
    outcomes = [cut_once(image, tmp_path / str(seed), "durable", seed) for seed in range(CUTS_COUNT)]
    print(sum(outcome.acknowledged_count for outcome in outcomes))
    assert all(outcome.acknowledged_count > 0 for outcome in outcomes)
    assert sum(outcome.lost_count for outcome in outcomes) == 0


def test_the_rig_sees_a_missing_fsync(image: Path, tmp_path: Path) -> None:
    outcomes = [cut_once(image, tmp_path / str(seed), "no-fsync", seed) for seed in range(2)]
    assert all(outcome.lost_count > 0 for outcome in outcomes)
