"""A seed's worth of everything that goes wrong, in one process: what is left equals what a quiet day leaves.

Two workers with steady clocks of their own derive what a head-end delivers in random pieces, twice or out of
order. Each may die or be stopped at any port call while the other goes on; wall clocks jump.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from relational import NOW
from wattkeeper.bootstrap import pipeline_held, pipeline_ports
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection import windows
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

PIECES_COUNT = 5
STEPS_COUNT = 20
LOOK_S = 10.0
SLOW_MAX = timedelta(hours=1)
_CLAIM = windows.claim
FIELDS = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")


class Died(BaseException):
    """The process is gone: nothing after this runs."""


@dataclass
class Chaos:
    """One seed's world. `plant`: a fault of our own that the comparison must see."""

    tenant_id: int
    batches: list[RawBatch]
    chance: random.Random
    plant: str = ""
    store: MemoryReadingStore = field(default_factory=MemoryReadingStore)
    jump: timedelta = timedelta()
    steady_s: float = 0.0
    depth_count: int = 0
    happened: dict[str, int] = field(default_factory=dict)

    def now(self) -> datetime:
        """What the wall clock says."""
        return NOW + self.jump

    def note(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    def pass_time(self, seconds: float, others: "list[Worker]") -> None:
        """Let time pass for all; who is not stopped looks on meanwhile."""
        while seconds > 0:
            self.steady_s += LOOK_S
            seconds -= LOOK_S
            for worker in others:
                worker.look()


class Worker:
    """A process of the worker role, without its process."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.watch: Watch[int] = Watch(lambda: chaos.steady_s)
        self.other: Worker | None = None
        self.ports = pipeline_ports.pipeline_ports(chaos.store, chaos.tenant_id, chaos.now)
        for port, name in (
            (self.ports.measurements, "append"),
            (self.ports.roll_ups, "append"),
            (self.ports.windows, "complete"),
        ):
            setattr(port, name, self._troubled(name, getattr(port, name)))

    def look(self) -> None:
        """Look at the claims of others, as a worker with nothing to do does."""
        held = DirtyWindow.objects.filter(fence_id__isnull=False)
        signs = {row[0]: list(row[1:]) for row in held.values_list("fence_id", "beats_count", "leased_until")}
        self.watch.silent(signs, pipeline_held.LEASE_S)

    def work(self) -> None:
        """Derive once; whatever happens to it, others go on."""
        before = windows.claim
        windows.claim = partial(_CLAIM, watch=self.watch)
        try:
            run_once(self.ports, self.chaos.now())
        except WattkeeperError as error:
            if error.code != "pipeline.lease-lost":
                raise
            self.chaos.note("refused")
        finally:
            windows.claim = before

    def _troubled(self, name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            trouble = self.chaos.chance.random()
            if trouble < 0.04:
                self.chaos.note(f"died before {name}")
                raise Died
            if trouble < 0.25 and self.chaos.depth_count == 0 and self.other is not None:
                self._stop_while_the_other_works()
            done = whole(*args)
            if trouble > 0.97:
                self.chaos.note(f"died after {name}")
                raise Died
            return done

        return call

    def _stop_while_the_other_works(self) -> None:
        chaos = self.chaos
        chaos.note("stopped")
        chaos.depth_count += 1
        assert self.other is not None
        chaos.pass_time(chaos.chance.choice([20.0, 2 * pipeline_held.LEASE_S]), [self.other])
        if chaos.chance.random() < 0.5:
            _deliver_one(chaos)
        self.other.work_or_die()
        chaos.depth_count -= 1

    def work_or_die(self) -> bool:
        """Whether it lives."""
        try:
            self.work()
        except Died:
            self.watch = Watch(lambda: self.chaos.steady_s)
            return False
        return True


def live(chaos: Chaos) -> tuple[object, ...]:
    """Live through a seed and return what is left."""
    workers = [Worker(chaos), Worker(chaos)]
    workers[0].other, workers[1].other = workers[1], workers[0]
    for _ in range(STEPS_COUNT):
        step = chaos.chance.random()
        if step < 0.4:
            _deliver_one(chaos)
        elif step < 0.8:
            chaos.chance.choice(workers).work_or_die()
        elif step < 0.9:
            chaos.jump = SLOW_MAX * chaos.chance.choice([-1, 0, 1])
            chaos.note("jumped")
        else:
            chaos.pass_time(chaos.chance.choice([30.0, 200.0]), workers)
    while chaos.batches:
        _deliver_one(chaos)
    chaos.chance.random = lambda: 0.5  # type: ignore[method-assign]  # from here on all is quiet
    chaos.jump = timedelta()
    # of what a slow clock took for the future, the worker's look at the last days (`look_again`) is reminded
    windows.mark_recent_dirty(tenant_id=chaos.tenant_id, since=NOW - SLOW_MAX, now=NOW)
    for _ in range(200):
        if not DirtyWindow.objects.exists():
            return left(chaos)
        chaos.pass_time(LOOK_S, workers)
        workers[0].work()
    raise AssertionError("what is dirty stays dirty")


def quiet(chaos: Chaos) -> tuple[object, ...]:
    """Return what the same deliveries leave where nothing goes wrong."""
    StoreSink(chaos.store, chaos.now).deliver(chaos.batches)
    while DirtyWindow.objects.exists():
        run_once(pipeline_ports.pipeline_ports(chaos.store, chaos.tenant_id, chaos.now), chaos.now())
    return left(chaos)


def left(chaos: Chaos) -> tuple[object, ...]:
    """Return current values, days and open findings, without runs and times of receipt."""
    ids = list(Series.objects.order_by("id").values_list("id", flat=True))
    values = chaos.store.measurements(chaos.tenant_id, ids, 0, 2**31)
    days = chaos.store.roll_ups(chaos.tenant_id, ids, [(0, 2**31)])
    columns = [
        getattr(each, name).tolist()
        for each in (values, days)
        for name in type(each).__slots__
        if name != "run_id"
    ]
    findings = Finding.objects.filter(state="OPEN").order_by("rule", "subject_key", "starts_at")
    return *columns, list(findings.values_list("rule", "subject_key", "starts_at", "ends_at"))


def pieces_of(batch: RawBatch, chance: random.Random) -> list[RawBatch]:
    """Return a delivery in pieces of some hours, some twice."""
    places = np.array_split(np.argsort(batch.measured_at_s, kind="stable"), PIECES_COUNT)
    found = [
        replace(
            batch,
            batch_id=batch.batch_id * 100 + number,
            **{name: getattr(batch, name)[part] for name in FIELDS},
        )
        for number, part in enumerate(places)
    ]
    return found + chance.sample(found, 2)


def _deliver_one(chaos: Chaos) -> None:
    if not chaos.batches:
        return
    piece = chaos.batches.pop()
    if chaos.chance.random() < 0.2:  # killed after the store has it, before anything is dirty: told again
        chaos.store.insert_raw([piece])
        chaos.note("delivered again")
        if chaos.plant == "not told again":
            return
    StoreSink(chaos.store, chaos.now).deliver([piece])
