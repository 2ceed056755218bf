"""What actions need of the world besides the relational side."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wattkeeper.store.api import ReadingStore


@dataclass(frozen=True, slots=True)
class Services:
    """`now`: the one clock. `store` None: no readings store is reachable; what needs one says so.

    `data_folder` holds the key file that device keys are sealed with.
    """

    now: Callable[[], datetime]
    data_folder: Path
    store: ReadingStore | None = None
