"""What actions need of the world besides the relational side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wattkeeper.store.api import ReadingStore

Measured = Callable[[int, int, int, int], Sequence[int | None]]
"""Called with tenant, series and a span in UTC seconds: what was measured of each interval, if anything."""


@dataclass(frozen=True, slots=True)
class Services:
    """`now`: the one clock. `store` None: no readings store is reachable; what needs one says so.

    `data_folder` holds the key file that device keys are sealed with. `measured`: what raw reads say before
    rules and edits; None where there is no store.
    """

    now: Callable[[], datetime]
    data_folder: Path
    store: "ReadingStore | None" = None
    measured: Measured | None = None
