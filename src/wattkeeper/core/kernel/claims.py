"""Dirty spans of series under a lease: one, or thousands as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


class ClaimedWindow(NamedTuple):
    """A dirty span ``[from_s, to_s)`` of a series under a lease; a later claim has a higher `fence_id`.

    `window_id` names the stored row that it is part of.
    """

    window_id: int
    series_id: int
    from_s: int
    to_s: int
    fence_id: int


@dataclass(frozen=True, slots=True, eq=False)
class ClaimedWindows(Sequence[ClaimedWindow]):
    """Claimed windows as columns, int64 of shape (windows,); a sequence of `ClaimedWindow` too."""

    window_id: Int64s
    series_id: Int64s
    from_s: Int64s
    to_s: Int64s
    fence_id: Int64s

    @classmethod
    def of(cls, windows: Iterable[ClaimedWindow]) -> Self:
        """Return the windows as columns; themselves if they are."""
        if isinstance(windows, cls):
            return windows
        columns = np.array(list(windows), dtype=np.int64).reshape(-1, len(ClaimedWindow._fields)).T
        return cls(*np.ascontiguousarray(columns))

    @classmethod
    def concatenate(cls, parts: "Sequence[ClaimedWindows]") -> Self:
        """Return the windows of all parts, in their order."""
        columns = zip(*(part.columns for part in (*parts, ClaimedWindows.of(()))), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """The columns in the order of `ClaimedWindow`."""
        return self.window_id, self.series_id, self.from_s, self.to_s, self.fence_id

    def where(self, chosen: "NDArray[np.bool_] | NDArray[np.intp] | slice") -> "ClaimedWindows":
        """Return the windows of a mask, of places or of a slice."""
        return ClaimedWindows(*(column[chosen] for column in self.columns))

    def __len__(self) -> int:
        return len(self.window_id)

    def __iter__(self) -> Iterator[ClaimedWindow]:
        return starmap(ClaimedWindow, zip(*(column.tolist() for column in self.columns), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> ClaimedWindow: ...
    @overload
    def __getitem__(self, place: slice) -> "ClaimedWindows": ...
    def __getitem__(self, place: int | slice) -> "ClaimedWindow | ClaimedWindows":
        if isinstance(place, slice):
            return self.where(place)
        return ClaimedWindow(*(int(column[place]) for column in self.columns))
