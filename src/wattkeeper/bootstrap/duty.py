"""What one of all workers does at a time: the scheduler's duty, held by a lease, checked in each write."""

import os
import socket
import threading
import time
from collections.abc import Callable

import structlog
from django.db import Error, close_old_connections

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.leases import (
    LEASE_S,
    HeldLease,
    fenced,
    give_lease_back,
    renew_lease,
    take_lease,
)
from wattkeeper.data.collection.watch import Watch

NAME = "scheduler"
LOOK_PERIOD_S = 1.0
log = structlog.get_logger()


class Duty(threading.Thread):
    """Takes the lease when it is free, renews it from a thread of its own, and knows when it was lost."""

    def __init__(self, name: str = NAME, *, lease_s: float = LEASE_S, holder: str = "") -> None:
        super().__init__(name=f"duty-{name}", daemon=True)
        self._lease_name = name
        self._holder = (holder or f"{socket.gethostname()}:{os.getpid()}")[:80]
        self._lease_s = lease_s
        self._watch: Watch[tuple[str, int]] = Watch()
        self._lease: HeldLease | None = None
        self._stop_event = threading.Event()

    @property
    def fence_id(self) -> int | None:
        """The number under which the lease is held now, as far as this process knows."""
        return self._lease.fence_id if self._lease else None

    def run(self) -> None:
        """Take and renew until told to stop; then let the next one take it at once."""
        period_s = min(LOOK_PERIOD_S, self._lease_s / 5)
        while not self._stop_event.is_set():
            self._look()
            close_old_connections()
            self._stop_event.wait(period_s)
        if self._lease is not None:
            give_lease_back(self._lease)

    def stop(self, within_s: float = 5.0) -> None:
        """Give the duty up."""
        self._stop_event.set()
        if self.is_alive():
            self.join(within_s)

    def do(self, work: Callable[[], int]) -> int:
        """Do work that is this process's duty now, each write fenced; 0 where it is somebody else's.

        :raises WattkeeperError: ``leases.lost`` at the first write after somebody else took over
        """
        lease = self._lease
        if lease is None:
            return 0
        with fenced(lease):
            return work()

    def _look(self) -> None:
        try:
            if self._lease is None:
                self._lease = take_lease(
                    self._lease_name, holder=self._holder, watch=self._watch, lease_s=self._lease_s
                )
            else:
                renew_lease(self._lease)
        except WattkeeperError as error:
            log.warning("duty.lost", code=error.code, **error.params)
            self._lease = None
        except Error as error:  # the database is away or busy: the lease stays as long as nobody takes it
            log.warning("duty.unsure", reason=type(error).__name__)


class Lane(threading.Thread):
    """Does one task again and again beside the others, so that none of theirs holds it up."""

    def __init__(
        self, name: str, task: Callable[[], object], stop: threading.Event, *, every_s: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._task = task
        self._stop_event = stop
        self._every_s = every_s

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stop_event.is_set():
            began_s = time.monotonic()
            self._task()
            close_old_connections()
            self._stop_event.wait(max(0.0, self._every_s - (time.monotonic() - began_s)))
