"""Knots: the instants at which the energy position of a series is known, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reads import Int64s

INT64_SAFE = 2**62


class ReadingsOutOfRange(WattkeeperError):
    """Raised when an energy position does not fit the 64 bits in which energy is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Knots:
    """Known positions in order of time, all int64 of shape (n,).

    `position_milliwh` may be compared within one `chain` only. `is_exact` is 0 where the position was
    interpolated or taken from a read beside the instant. `stretch` rises with every exchange and multiplier
    change (odd: measured; even: no channel installed). `rollover` counts the rollovers so far. `flags` are
    the read's.
    """

    at_s: Int64s
    position_milliwh: Int64s
    chain: Int64s
    is_exact: Int64s
    stretch: Int64s
    rollover: Int64s
    flags: Int64s

    def __len__(self) -> int:
        return len(self.at_s)

    def take(self, index: "NDArray[np.intp] | slice") -> "Knots":
        """Return the knots at the places `index`."""
        return Knots(*(getattr(self, f.name)[index] for f in fields(self)))

    def at(self, place: int, instants_s: Int64s, *, is_exact: bool, **changed: Int64s | int) -> "Knots":
        """Return the knot at `place` once for each of `instants_s`, without flags, with `changed` columns."""
        count = len(instants_s)
        columns = {f.name: np.full(count, getattr(self, f.name)[place]) for f in fields(self)}
        columns |= {"at_s": instants_s, "flags": np.zeros(count, dtype=np.int64)}
        columns["is_exact"] = np.full(count, int(is_exact) & int(self.is_exact[place]))
        columns |= {name: np.broadcast_to(np.asarray(column), count) for name, column in changed.items()}
        return Knots(**columns)

    def shifted(self, **offsets: int) -> "Knots":
        """Return the knots with an offset added to the named columns."""
        return Knots(*(getattr(self, f.name) + offsets.get(f.name, 0) for f in fields(self)))


def join_knots(parts: Sequence[Knots]) -> Knots:
    """Return all knots of `parts` in order of time; at one instant in order of stretch."""
    if len(parts) == 1:
        return parts[0]
    joined = Knots(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Knots)))
    return joined.take(np.lexsort((joined.stretch, joined.at_s)))


def no_knots() -> Knots:
    """Return no knots at all."""
    return Knots(*(np.zeros(0, dtype=np.int64) for _ in fields(Knots)))


def scale_counts(counts: Int64s, ratio: Fraction) -> Int64s:
    """Return ``floor(counts * ratio)``, exact for every count and ratio.

    :raises ReadingsOutOfRange: if a result does not fit
    """
    if not len(counts):
        return counts
    largest = max(abs(int(counts.max())), abs(int(counts.min())))
    if largest * ratio.numerator < INT64_SAFE:
        scaled: Int64s = counts * ratio.numerator
        return scaled if ratio.denominator == 1 else scaled // ratio.denominator
    if largest * ratio >= INT64_SAFE:
        raise ReadingsOutOfRange("readings.out-of-range", count=largest, ratio=str(ratio))
    return np.array(
        [count * ratio.numerator // ratio.denominator for count in counts.tolist()], dtype=np.int64
    )


def rest_of_counts(counts: Int64s, ratio: Fraction) -> NDArray[Any]:
    """Return what `scale_counts` leaves of ``counts * ratio``: whole numerators over its denominator.

    Of Python's integers where products of two of them may not fit 64 bits.
    """
    denominator = ratio.denominator
    if denominator**2 < INT64_SAFE:
        return counts % denominator * (ratio.numerator % denominator) % denominator
    return np.array([count * ratio.numerator % denominator for count in counts.tolist()], dtype=object)
