"""The worker's thread for jobs: one that bursts holds up none after it, and a stop ends the thread."""

import threading
from pathlib import Path

import pytest

from relational import NOW
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap import job_runner


def test_a_burst_is_survived_and_a_stop_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, done = threading.Event(), threading.Event()
    tries: list[int] = []

    def work(**_: object) -> bool:
        tries.append(len(tries))
        if len(tries) == 1:
            raise RuntimeError("burst")
        done.set()
        return False

    monkeypatch.setattr(job_runner, "run_job", work)
    monkeypatch.setattr(job_runner, "LOOK_PERIOD_S", 0.01)
    runner = job_runner.JobRunner(Services(lambda: NOW, tmp_path), stop)
    runner.start()
    assert done.wait(60)
    stop.set()
    runner.join(60)
    assert not runner.is_alive()
    assert len(tries) >= 2


def test_reports_wait_while_readings_are_behind_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, began = threading.Event(), threading.Event()
    is_behind = True
    monkeypatch.setattr(job_runner, "run_job", lambda **_: began.set())
    monkeypatch.setattr(job_runner, "LOOK_PERIOD_S", 0.01)
    runner = job_runner.JobRunner(Services(lambda: NOW, tmp_path), stop, lambda: is_behind)
    runner.start()
    assert not began.wait(0.2)
    is_behind = False
    assert began.wait(60)
    is_behind = True
    monkeypatch.setattr(job_runner, "HOLD_MAX_S", 0.1)
    began.clear()
    assert began.wait(60), "held for ever"
    stop.set()
    runner.join(60)
