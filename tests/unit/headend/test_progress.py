"""A fetch that is under way gives signs of life, whether it comes farther or not."""

import asyncio
import contextlib
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from unit.headend.bench import ManualClock, World, running_headend
from wattkeeper.headend import progress as module
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.progress import Progress

BEATS_COUNT = 3


def test_a_fetch_that_waits_for_its_links_still_gives_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT_S", 0.0)
    told: list[tuple[int, int]] = []

    async def wait() -> None:
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()

        def keep(*, done_count: int, total_count: int, label: str) -> None:
            told.append((done_count, total_count))
            if len(told) == BEATS_COUNT or done_count == total_count:
                loop.call_soon_threadsafe(enough.set)

        progress = Progress(SimpleNamespace(report_progress=keep), HeadendMetrics())
        beats = asyncio.create_task(progress.run())
        progress.expect(7)
        await asyncio.wait_for(enough.wait(), 60)
        beats.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beats
        await progress.advance(7)
        done_count = len(told)
        beats = asyncio.create_task(progress.run())
        for _ in range(BEATS_COUNT):
            await asyncio.sleep(0)
        beats.cancel()
        assert len(told) == done_count

    asyncio.run(wait())
    assert told[:BEATS_COUNT] == [(0, 7)] * BEATS_COUNT
    assert told[-1] == (7, 7)


def test_reports_are_told_in_their_order() -> None:
    """The last would begin a job that nobody ends, told after the one that ends it."""
    told: list[int] = []
    is_first_on_its_way, may_go_on = threading.Event(), threading.Event()

    def keep(*, done_count: int, total_count: int, label: str) -> None:
        is_first_on_its_way.set()
        if done_count < total_count:
            may_go_on.wait(60)
        told.append(done_count)

    async def advance_twice() -> None:
        progress = Progress(SimpleNamespace(report_progress=keep), HeadendMetrics())
        progress.expect(2)
        first = asyncio.create_task(progress.advance(1))
        await asyncio.to_thread(is_first_on_its_way.wait, 60)
        second = asyncio.create_task(progress.advance(1))
        for _ in range(BEATS_COUNT):
            await asyncio.sleep(0.01)
        may_go_on.set()
        await asyncio.gather(first, second)

    asyncio.run(advance_twice())
    assert told == [1, 2]


async def test_a_head_end_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def beat(_progress: Progress) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Progress, "run", beat)
    async with running_headend(World([]), ManualClock(), tmp_path):
        await asyncio.wait_for(begun.wait(), 60)
