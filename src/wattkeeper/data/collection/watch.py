"""Whether a holder still lives, told without comparing clocks.

A holder raises a count while it lives. Who waits for its place looks at that count again and again and takes
the place once it has not changed for a lease, by the waiting process's own steady clock. So no jump of any
machine's clock ends a lease early or keeps one alive. A watcher that was itself away begins to watch anew.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_AWAY_RATIO = 2  # of a lease: looks further apart than half a lease prove nothing


class Watch(Generic[Key]):
    """Signs of life by key, and since when each is the same."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._seen: dict[Key, tuple[object, float]] = {}
        self._looked_at_s = float("-inf")

    def silent(self, signs: Mapping[Key, object], lease_s: float) -> set[Key]:
        """Return the keys whose sign has been the same for `lease_s`; `signs`: all that are held now."""
        now_s = self._steady()
        is_back = now_s - self._looked_at_s > lease_s / _AWAY_RATIO
        self._looked_at_s = now_s
        known = {} if is_back else self._seen
        self._seen = {
            key: known[key] if key in known and known[key][0] == sign else (sign, now_s)
            for key, sign in signs.items()
        }
        return {key for key, (_, since_s) in self._seen.items() if now_s - since_s >= lease_s}
