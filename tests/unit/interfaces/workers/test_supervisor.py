"""Which children an installation has, and what they may leave open."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from wattkeeper.interfaces.workers import supervisor
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
