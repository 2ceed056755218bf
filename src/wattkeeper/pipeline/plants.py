"""A fault planted on purpose, so that `demo --check --plant` can show that the check would see it."""

import numpy as np

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.advance import register_advance


def ignore_rollover(previous: Int64s, current: Int64s, modulus: int | None, advance_max: Int64s) -> Int64s:
    """Take a register that comes round for one that was reset: an `AdvanceRule` that loses energy."""
    advance = register_advance(previous, current, modulus, advance_max)
    return np.where(current < previous, 0, advance)
