"""How long work takes beside other work of this machine: CPU time only, in counts to a million."""

import time
from collections.abc import Callable
from typing import Any


def count_to_a_million() -> None:
    """Work to measure other work by: about 50 ms where this was written."""
    sum(1 for _ in range(1_000_000))


def slowed(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return work that counts to two million before it begins: a planted fault."""

    def slow_work(*of: Any) -> Any:
        count_to_a_million()
        count_to_a_million()
        return work(*of)

    return slow_work


class Slowest:
    """Does many pieces of work, keeps the longest time; what seems longer is done again before it counts."""

    def __init__(self) -> None:
        self._spent_s = 0.0

    def did(self, work: Callable[..., Any], *of: Any) -> Any:
        """Do a piece of work and return its result."""
        began_s = time.thread_time()
        result = work(*of)
        if time.thread_time() - began_s > self._spent_s:
            self._spent_s = max(self._spent_s, _least_s(work, *of))
        return result

    def ratio(self) -> float:
        """Return the longest time as a share of what counting to a million takes now."""
        return self._spent_s / _least_s(count_to_a_million)


def _least_s(work: Callable[..., Any], *of: Any) -> float:
    spent_s = []
    for _ in range(3):
        began_s = time.thread_time()
        work(*of)
        spent_s.append(time.thread_time() - began_s)
    return min(spent_s)
