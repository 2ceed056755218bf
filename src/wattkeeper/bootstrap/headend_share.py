"""Several head-ends: each has a name, a spool of its own, and the links that are given to it by that name."""

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

from wattkeeper.bootstrap.duty import Duty
from wattkeeper.data.collection.leases import forget_holder
from wattkeeper.data.collection.models import MAIN
from wattkeeper.headend.ports import LinkPlan, PlanPort


def spool_folder(folder: Path, name: str) -> Path:
    """Return where a head-end's spool lies: all within one folder, so that a backup finds each."""
    return folder / "spool" if name == MAIN else folder / "spool" / f"headend-{name}"


def metrics_path(folder: Path, name: str) -> Path:
    """Return the file in which a head-end publishes its counters."""
    return folder / "run" / ("headend.prom" if name == MAIN else f"headend-{name}.prom")


def own_headend(name: str, spool: Path) -> Duty:
    """Begin to be the head-end of this name as soon as no other process is; call it with the spool locked.

    Who held the same spool before on this machine has ended, so its lease is free at once.
    """
    place = hashlib.sha256(str(spool).encode()).hexdigest()[:16]
    holder = f"{socket.gethostname()[:60]}:{place}"
    lease_name = f"headend:{name}"
    forget_holder(lease_name, holder=holder)
    ownership = Duty(lease_name, holder=holder)
    ownership.start()
    return ownership


class OwnedPlan:
    """A head-end's plan while this process is that head-end, and nothing while another is."""

    def __init__(self, plan: PlanPort, ownership: Duty) -> None:
        self._plan = plan
        self._ownership = ownership

    def revision(self) -> str:
        """Return a token that changes with the plan and with whose it is."""
        return f"{self._ownership.fence_id}:{self._plan.revision()}"

    def links(self) -> Sequence[LinkPlan]:
        """Return the links to read."""
        return () if self._ownership.fence_id is None else self._plan.links()

    def reserve_counters(self, device_id: int, count: int) -> int:
        """Reserve invocation counters durably and return the first."""
        return self._plan.reserve_counters(device_id, count)
