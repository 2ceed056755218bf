"""What every actor of the head-end shares."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.headend.doors import Doors
from wattkeeper.headend.families import MakeDriver
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import Clock, DevicePlan, HoldingsPort, PlanPort, ReportPort
from wattkeeper.headend.progress import Progress
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.headend.stamps import Run
from wattkeeper.headend.timetable import Timetable

BackfillPolicy = Callable[[DevicePlan, Sequence[Run]], Sequence[Run]]


def fetch_every_gap(_device: DevicePlan, runs: Sequence[Run]) -> Sequence[Run]:
    """Fetch every gap: the policy that loses nothing."""
    return runs


def whole_seconds(instant: datetime) -> int:
    """Return the second in which `instant` lies."""
    return to_seconds(instant.replace(microsecond=0))


@dataclass(frozen=True, slots=True)
class Services:
    """The clock, the ports and the shared parts of one head-end."""

    clock: Clock
    plan: PlanPort
    holdings: HoldingsPort
    report: ReportPort
    spool: SpoolWriter
    metrics: HeadendMetrics
    timetable: Timetable
    progress: Progress
    make_driver: MakeDriver
    backfill_policy: BackfillPolicy
    dice: random.Random
    doors: Doors
