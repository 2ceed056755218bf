"""Queued jobs in a thread of the worker: a long one holds up neither commands nor the pipeline."""

import threading
import time
from collections.abc import Callable

import structlog
from django.db import connections

from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services

LOOK_PERIOD_S = 0.5
STOPS_WITHIN_S = 8.0
HOLD_MAX_S = 600.0
log = structlog.get_logger()


class JobRunner(threading.Thread):
    """Does one job after another until `stop` is set; then puts back what it was doing.

    While `is_behind` says that readings wait for more than one claim, no report is begun, for `HOLD_MAX_S`.
    """

    def __init__(
        self, services: Services, stop: threading.Event, is_behind: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(name="jobs", daemon=True)
        self._services = services
        self._stop_event = stop
        self._is_behind = is_behind
        self._held_since_s: float | None = None

    def run(self) -> None:
        """Do jobs until told to stop."""
        while not self._stop_event.is_set():
            if self._must_wait() or not self._run_one():
                self._stop_event.wait(LOOK_PERIOD_S)

    def _must_wait(self) -> bool:
        if not self._is_behind():
            self._held_since_s = None
            return False
        if self._held_since_s is None:
            self._held_since_s = time.monotonic()
        return time.monotonic() - self._held_since_s < HOLD_MAX_S

    def _run_one(self) -> bool:
        try:
            return run_job(services=self._services, is_stopping=self._stop_event.is_set)
        except Exception:  # logged; the job waits for its next try or has failed
            log.exception("job.failed")
            return False
        finally:
            connections.close_all()
