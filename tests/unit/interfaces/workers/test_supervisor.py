"""Which children an installation has, and what they may leave open."""

import errno
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from wattkeeper.interfaces.workers import child_log, supervisor
from wattkeeper.interfaces.workers.supervisor import Child, Supervisor


def roles_of(folder: Path) -> list[str]:
    watching = Supervisor(folder, host="127.0.0.1", port=0, environment={})
    return [child.role for child in watching._children]


def test_a_writer_runs_where_head_ends_hand_over_through_a_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATTKEEPER_CARRIER", raising=False)
    assert roles_of(tmp_path) == ["store", "headend", "worker", "web"]
    monkeypatch.setenv("WATTKEEPER_CARRIER", "nats://127.0.0.1:4222")
    assert roles_of(tmp_path) == ["store", "writer", "headend", "worker", "web"]


def test_what_children_write_is_their_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, made = tmp_path / "program", tmp_path / "made"
    program.write_text('#!/bin/sh\n: > "$MADE"\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    child = Child("web", {"MADE": str(made)}, tmp_path / "log")
    child.start()
    assert child._process is not None
    assert child._process.wait(60) == 0
    assert made.stat().st_mode & 0o777 == 0o600


def test_a_child_that_has_no_room_to_start_is_started_once_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    now_s = 0.0
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now_s))
    child = Child("web", {}, tmp_path / "log" / "web.log")
    child.watch()
    child.watch()
    assert child.pid is None
    (tmp_path / "log").mkdir()
    child.watch()
    assert child.pid is None, "it is not tried again and again"
    now_s = supervisor.PAUSE_MAX_S
    child.watch()
    assert child.pid


def test_what_people_read_may_find_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    watching = Supervisor(tmp_path, host="127.0.0.1", port=0, environment={})
    (tmp_path / "run" / "pids.json").mkdir()
    watching.watch()
    assert all(child.pid for child in watching._children)


def test_a_long_log_is_begun_anew_while_the_child_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing grows without bound: what was said last stands beside it once, on a full disk nowhere."""
    program, log = tmp_path / "program", tmp_path / "web.log"
    program.write_text("#!/bin/sh\nwhile read line; do echo $line; done < $SAID\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(child_log, "LOG_MAX_BYTES", 8)
    os.mkfifo(said := tmp_path / "said")
    log.write_text("before\n")
    log.chmod(0o600)
    child = Child("web", {"SAID": str(said)}, log)

    def is_told(line: str) -> bool:
        return line in log.read_text()

    child.watch()
    assert child._process is not None
    with said.open("w") as saying:
        for line, kept, former in (
            ("a long line", "", "ng line\n"),
            ("short", "short\n", "ng line\n"),
            ("and on", "", "\nand on\n"),
        ):
            print(line, file=saying, flush=True)
            wait_until(partial(is_told, line))
            child.watch()
            assert (log.read_text(), (tmp_path / "web.log.1").read_text()) == (kept, former)
            assert (tmp_path / "web.log.1").stat().st_mode == log.stat().st_mode
        monkeypatch.setattr(child_log.shutil, "copyfileobj", no_room)
        print("on a full disk", file=saying, flush=True)
        wait_until(partial(is_told, "full disk"))
        child.watch()
        assert log.read_text() == ""
        assert not (tmp_path / "web.log.1").exists()
        print('{"event": "role.refused", "code": "said.last"}', file=saying)
    assert child._process.wait(60) == 0
    assert child.why_it_ended().code == "said.last"


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def no_room(*_given: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
