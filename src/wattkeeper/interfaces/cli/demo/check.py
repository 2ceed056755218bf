"""`wattkeeper demo --check`: the whole of it unattended, lived on one clock, compared with the truth."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from wattkeeper.bootstrap.plants import PLANTS
from wattkeeper.bootstrap.prepare import prepare
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.demo.street import Street, find_mosquitto, free_port, make_supervisor
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.faulty import CUT_POINT
from wattkeeper.simulators.world import HISTORY_DAYS, ZONE, build_world
from wattkeeper.simulators.world_model import World

BEGINS_AT = datetime(2026, 10, 30, tzinfo=ZoneInfo(ZONE))
SEED = 20261030
TIMEOUT_MS = 150
POLL_S = 3600
SMALL_HISTORY_DAYS = 30  # October whole
STALLS_AFTER_S = 150.0  # one claim of windows takes a busy machine a minute
SCRATCH_BYTES = 2 << 30
Progress = Callable[[str, int, int], None]


def run_check(
    *, plant: str = "", is_small: bool = False, on_progress: Progress, folder: Path | None = None
) -> dict[str, Any]:
    """
    Run the proof and return its JSON object; `ok` says whether all of it holds.

    With `is_small` a quarter of the homes and half of the memories: the same faults in less time.

    :raises WattkeeperError: if a part can't be started or does not keep up
    """
    if plant and plant not in PLANTS:
        raise WattkeeperError("settings.plant", plant=plant, known=", ".join(PLANTS))
    began_s = time.monotonic()
    if folder is not None:
        report = _run(folder, plant, is_small, on_progress)
    else:
        with tempfile.TemporaryDirectory(prefix="wattkeeper-check-", dir=_scratch()) as made:
            report = _run(Path(made), plant, is_small, on_progress)
    report["seconds"] = round(time.monotonic() - began_s, 1)
    return report


def _scratch() -> str | None:
    """Return a folder in memory where there is room: what the check keeps is thrown away afterwards."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > SCRATCH_BYTES:
        return str(memory)
    return None


def _run(folder: Path, plant: str, is_small: bool, on_progress: Progress) -> dict[str, Any]:
    clock = SharedClock.create(folder / "run" / "clock", starts_at=BEGINS_AT)
    os.environ["WATTKEEPER_CLOCK"] = f"file:{folder / 'run' / 'clock'}"
    world = build_world(
        seed=SEED,
        now=BEGINS_AT,
        is_check=True,
        is_mqtt=find_mosquitto() is not None,
        history_days=SMALL_HISTORY_DAYS if is_small else HISTORY_DAYS,
        is_small=is_small,
    )
    street = Street(folder, world)
    supervisor = make_supervisor(folder, port=free_port(), environment={"WATTKEEPER_PLANT": plant})
    try:
        supervisor.take_folder()
        street.start(clock=str(folder / "run" / "clock"), stuck=_stuck(world, plant))
        prepare(folder, now=clock.now())
        supervisor.start(("store",))
        from wattkeeper.interfaces.cli.demo.proof import Proof

        proof = Proof(street, clock, world, supervisor)
        proof.provision(timeout_ms=TIMEOUT_MS, poll_s=POLL_S)
        supervisor.start(("headend", "worker", "web"))
        proof.fetch_memories(on_progress, within_s=STALLS_AFTER_S)
        proof.live(on_progress)
        proof.wait_derived(within_s=STALLS_AFTER_S)
        return proof.report(folder, plant)
    finally:
        supervisor.stop()
        street.stop()


def _stuck(world: World, plant: str) -> tuple[str, ...]:
    """The relay that sticks when trust in acknowledgements is planted."""
    if plant != "trust-ack":
        return ()
    return tuple(entry.meter_serial for entry in world.entries if entry.usage_point == CUT_POINT)
