"""A fetch of memories ends: by its own process, or shown as cut off once that one gave no more signs."""

from datetime import timedelta

import pytest

from relational import NOW, People
from wattkeeper.data.collection.job_errors import errors_of
from wattkeeper.data.collection.jobs import LEASE_S, end_silent_fetches, report_fetch
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.watch import Watch

TOTAL = 9
LOOKS_COUNT = 4  # within a lease


class Worker:
    """Looks at the fetches again and again, by a steady clock of its own."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._watch: Watch[int] = Watch(lambda: self.at_s)

    def look_for(self, leases_count: int) -> None:
        for _ in range(LOOKS_COUNT * leases_count):
            self.look()
        self.look()

    def look(self) -> None:
        end_silent_fetches(now=NOW, watch=self._watch)
        self.at_s += LEASE_S / LOOKS_COUNT


@pytest.fixture
def worker(ours: People) -> Worker:
    return Worker()


def report(job_id: int | None, done_count: int) -> int | None:
    return report_fetch(job_id, "l", done_count=done_count, total_count=TOTAL, now=NOW)


def states() -> list[str]:
    return list(Job.objects.order_by("id").values_list("state", flat=True))


def test_a_fetch_whose_process_is_gone_is_shown_as_cut_off(worker: Worker) -> None:
    report(None, 1)
    worker.look_for(1)
    job = Job.objects.get()
    assert (job.state, job.ended_at, job.done_count) == ("FAILED", NOW, 1)
    assert [error["code"] for error in errors_of(job)] == ["jobs.fetch-cut-off"]


def test_a_fetch_that_comes_no_farther_runs_on_while_its_process_lives(worker: Worker) -> None:
    job_id = report(None, 1)
    for _ in range(3 * LOOKS_COUNT):
        assert report(job_id, 1) == job_id
        worker.look()
    assert states() == ["RUNNING"]
    assert report(job_id, TOTAL) is None
    worker.look_for(2)
    assert states() == ["DONE"]


def test_each_process_reports_its_own_fetch(worker: Worker) -> None:
    """The one before was killed; its counts are not those of the next."""
    report(None, 5)
    job_id = report(None, 2)
    for _ in range(2 * LOOKS_COUNT):
        report(job_id, 3)
        worker.look()
    assert states() == ["FAILED", "RUNNING"]
    assert report(job_id, TOTAL) is None
    assert states() == ["FAILED", "DONE"]


def test_a_process_that_was_stopped_goes_on_as_another_fetch(worker: Worker) -> None:
    job_id = report(None, 1)
    worker.look_for(1)
    again_id = report(job_id, 2)
    assert again_id not in (None, job_id)
    assert states() == ["FAILED", "RUNNING"]
    assert report(again_id, TOTAL) is None
    assert report(None, TOTAL) is None
    assert states() == ["FAILED", "DONE"]


def test_a_clock_that_jumps_ends_no_fetch(worker: Worker) -> None:
    job_id = report(None, 1)
    for days in (4000, -4000, 0):
        at = NOW + timedelta(days=days)
        assert report_fetch(job_id, "l", done_count=1, total_count=TOTAL, now=at) == job_id
        worker.look()
    assert states() == ["RUNNING"]
