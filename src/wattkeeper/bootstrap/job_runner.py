"""Queued jobs in a thread of the worker: a long one holds up neither commands nor the pipeline."""

import threading

import structlog
from django.db import connections

from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services

LOOK_PERIOD_S = 0.5
STOPS_WITHIN_S = 8.0
log = structlog.get_logger()


class JobRunner(threading.Thread):
    """Does one job after another until `stop` is set; then puts back what it was doing."""

    def __init__(self, services: Services, stop: threading.Event) -> None:
        super().__init__(name="jobs", daemon=True)
        self._services = services
        self._stop_event = stop

    def run(self) -> None:
        """Do jobs until told to stop."""
        while not self._stop_event.is_set():
            if not self._run_one():
                self._stop_event.wait(LOOK_PERIOD_S)

    def _run_one(self) -> bool:
        try:
            return run_job(services=self._services, is_stopping=self._stop_event.is_set)
        except Exception:  # logged; the job waits for its next try or has failed
            log.exception("job.failed")
            return False
        finally:
            connections.close_all()
