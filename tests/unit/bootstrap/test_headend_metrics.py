"""A head-end's counters are written again once there is room for them."""

import asyncio
from pathlib import Path

import pytest

from wattkeeper.bootstrap import headend_role
from wattkeeper.headend.metrics import HeadendMetrics


async def test_counters_are_written_again_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: asyncio.Queue[None] = asyncio.Queue()

    def counters(_registry: object) -> bytes:
        tries.put_nowait(None)
        return b"counters"

    monkeypatch.setattr(headend_role, "METRICS_PERIOD_S", 0.0)
    monkeypatch.setattr(headend_role, "generate_latest", counters)
    (in_the_way := tmp_path / "headend.new").mkdir()
    publishing = asyncio.create_task(
        headend_role._publish_metrics(HeadendMetrics(), tmp_path / "headend.prom")
    )
    for _ in range(2):
        await asyncio.wait_for(tries.get(), 60)
    in_the_way.rmdir()
    while not (tmp_path / "headend.prom").exists():
        await asyncio.wait_for(tries.get(), 60)
    publishing.cancel()
    assert (tmp_path / "headend.prom").read_bytes() == b"counters"
