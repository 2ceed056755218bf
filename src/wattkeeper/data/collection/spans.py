"""Spans of many series as columns, and as the bytes in which a dirty window keeps them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
_COLUMNS_COUNT = 3


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Half-open spans ``[from_s, to_s)`` of series in UTC seconds, one element each."""

    series_id: Int64s
    from_s: Int64s
    to_s: Int64s

    def __len__(self) -> int:
        return len(self.series_id)

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int]]) -> "Spans":
        """Return the spans of rows (series_id, from_s, to_s)."""
        table = np.array(list(rows), dtype=np.int64).reshape(-1, _COLUMNS_COUNT)
        return cls(*(np.ascontiguousarray(table[:, i]) for i in range(_COLUMNS_COUNT)))

    @classmethod
    def unpack(cls, content: bytes) -> "Spans":
        """Return the spans that `pack` made bytes of."""
        return cls(*np.frombuffer(content, dtype="<i8").astype(np.int64).reshape(_COLUMNS_COUNT, -1))

    def pack(self) -> bytes:
        """Return the spans as bytes: one little-endian column after the other."""
        return np.stack((self.series_id, self.from_s, self.to_s)).astype("<i8").tobytes()

    def where(self, chosen: NDArray[np.bool_] | slice) -> "Spans":
        """Return the spans of a mask or a slice."""
        return Spans(self.series_id[chosen], self.from_s[chosen], self.to_s[chosen])

    def plus(self, other: "Spans") -> "Spans":
        """Return the spans of both."""
        pairs = ((self.series_id, other.series_id), (self.from_s, other.from_s), (self.to_s, other.to_s))
        return Spans(*(np.concatenate(pair) for pair in pairs))

    def merged(self) -> "Spans":
        """Return the union: in order of series and time, what touches joined."""
        if not len(self):
            return self
        order = np.lexsort((self.from_s, self.series_id))
        series_id, from_s, to_s = self.series_id[order], self.from_s[order], self.to_s[order]
        _, place = np.unique(series_id, return_inverse=True)
        width_s = int(to_s.max() - from_s.min()) + 1
        reached_s = np.maximum.accumulate(to_s + place * width_s) - place * width_s
        is_first = np.ones(len(order), dtype=np.bool_)
        is_first[1:] = (series_id[1:] != series_id[:-1]) | (from_s[1:] > reached_s[:-1])
        firsts = np.flatnonzero(is_first)
        ends = np.append(firsts[1:], len(order)) - 1
        return Spans(series_id[firsts], from_s[firsts], reached_s[ends])
