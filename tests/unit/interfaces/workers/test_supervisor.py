"""Which children an installation has."""

from pathlib import Path

import pytest

from wattkeeper.interfaces.workers.supervisor import Supervisor


def roles_of(folder: Path) -> list[str]:
    supervisor = Supervisor(folder, host="127.0.0.1", port=0, environment={})
    return [child.role for child in supervisor._children]


def test_a_writer_runs_where_head_ends_hand_over_through_a_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATTKEEPER_CARRIER", raising=False)
    assert roles_of(tmp_path) == ["store", "headend", "worker", "web"]
    monkeypatch.setenv("WATTKEEPER_CARRIER", "nats://127.0.0.1:4222")
    assert roles_of(tmp_path) == ["store", "writer", "headend", "worker", "web"]
