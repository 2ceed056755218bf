"""Time that goes on only while nobody has anything to do: how long somebody waits is exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Where a loop would wait for so long, so long has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0 if timeout is not None else None)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._still = _Selector()
        super().__init__(self._still)

    def time(self) -> float:
        return self._still.now_s


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do work that waits for nothing but the loop's own time: seconds of it take none."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work)
