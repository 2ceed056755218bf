"""A job's heartbeat: beats while its work is busy in one long step."""

import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType

from django.db import OperationalError, connections

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.job_queue import LEASE_S, ClaimedJob, beat

BEAT_S = LEASE_S / 6


class Heart:
    """Beats for a job from a thread of its own, until the block ends or somebody else holds the job."""

    def __init__(self, job: ClaimedJob, now: Callable[[], datetime], *, beat_s: float = BEAT_S) -> None:
        self._job = job
        self._now = now
        self._beat_s = beat_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job-{job.job_id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._beat_s):
            try:
                beat(self._job, now=self._now())
            except OperationalError:
                continue  # a busy database; the lease holds several beats
            except WattkeeperError:
                break
            finally:
                connections.close_all()
