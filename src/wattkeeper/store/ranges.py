"""What fits the tables. A number that doesn't is refused, never wrapped around into another."""

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import Measurements, RawBatch

INSTANT_MAX_S = 2**32 - 2  # 2106-02-07, the last second but one of a 32-bit instant: windows are half-open
_INT32 = (-(2**31), 2**31 - 1)
_INT8 = (-(2**7), 2**7 - 1)
_RANGES = {
    "measured_at_s": (0, INSTANT_MAX_S),
    "starts_at_s": (0, INSTANT_MAX_S),
    "received_at_s": (0, INSTANT_MAX_S),
    "flags": _INT32,
    "frame_index": _INT32,
    "source": _INT8,
    "provenance": _INT8,
    "method": _INT8,
}


class StoreOutOfRange(WattkeeperError):
    """Raised when a value can't be stored as it is: ``store.out-of-range``; nothing of the call is stored."""


def check_batch(batch: RawBatch) -> None:
    """Return if every read and frame of the batch fits.

    :raises StoreOutOfRange: naming the column and its first such value
    """
    for name in ("measured_at_s", "source", "flags", "frame_index"):
        _check(name, getattr(batch, name))
    _check("received_at_s", np.array([frame.received_at_s for frame in batch.frames], np.int64))


def check_measurements(measurements: Measurements) -> None:
    """Return if every value fits.

    :raises StoreOutOfRange: naming the column and its first such value
    """
    for name in ("starts_at_s", "provenance", "flags", "method"):
        _check(name, getattr(measurements, name))


def _check(name: str, column: Int64s) -> None:
    least, most = _RANGES[name]
    if not len(column) or (np.minimum.reduce(column) >= least and np.maximum.reduce(column) <= most):
        return
    outside = np.flatnonzero((column < least) | (column > most))
    raise StoreOutOfRange("store.out-of-range", column=name, value=int(column[outside[0]]))
