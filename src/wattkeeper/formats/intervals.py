"""Single intervals as a reader of messages meets them, gathered and turned into blocks together."""

from array import array
from dataclasses import dataclass, field, replace

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import ErrorList, IntervalBlock, is_name, is_time
from wattkeeper.formats.blocks import Key, make_block
from wattkeeper.formats.decimals import CODES, FINE, PADDING, steps_of, to_signed_at

Kind = tuple[Quality, str]


@dataclass(slots=True)
class _Held:
    """Columns of like length, no object an interval; the texts of values stand behind each other."""

    lines: "array[int]" = field(default_factory=lambda: array("i"))
    starts_at_s: "array[int]" = field(default_factory=lambda: array("q"))
    values: bytearray = field(default_factory=lambda: bytearray(PADDING))
    ends: "array[int]" = field(default_factory=lambda: array("q", [len(PADDING)]))
    exponents: "array[int]" = field(default_factory=lambda: array("b"))
    kinds: "array[int]" = field(default_factory=lambda: array("i"))


class IntervalCollector:
    """Gathers intervals and hands out blocks in the order they came; of two for one the first stays."""

    def __init__(self, errors: ErrorList) -> None:
        self._errors = errors
        self._held: dict[Key, _Held] = {}
        self._kinds: dict[Kind, int] = {}

    def add(self, key: Key, line: int, at_s: int, value: str, exponent: int, kind: Kind) -> None:
        """Take an interval (a register where the key's length is 0); value x 10**exponent is thousandths."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held()
        held.lines.append(line)
        held.starts_at_s.append(at_s)
        held.values += value.encode("ascii", "replace")
        held.ends.append(len(held.values))
        held.exponents.append(exponent)
        held.kinds.append(self._kinds.setdefault(kind, len(self._kinds)))

    def blocks(self, twice_code: str) -> list[IntervalBlock]:
        """Return the blocks; what has no name or time, is no number or comes again is an error."""
        kinds = list(self._kinds)
        return [
            block for key, held in self._held.items() if (block := self._block(key, held, kinds, twice_code))
        ]

    def _block(self, key: Key, held: _Held, kinds: list[Kind], twice_code: str) -> IntervalBlock | None:
        point, serial, channel = key[:3]
        if not (point and channel and all(map(is_name, (point, serial, channel)))):
            for line in held.lines:
                self._errors.add(line, 0, "csv.wrong-name")
            return None
        ends, exponents = np.asarray(held.ends), np.asarray(held.exponents).astype(np.int64)
        values, wrong = to_signed_at(np.frombuffer(held.values, np.uint8), ends[:-1], ends[1:], exponents)
        starts_at_s = np.asarray(held.starts_at_s)
        is_held = is_time(starts_at_s, key[4])
        for row in np.flatnonzero((wrong != FINE) | ~is_held).tolist():
            code = CODES[int(wrong[row])] if is_held[row] else "formats.time-out-of-range"
            self._errors.add(held.lines[row], 0, code)
        kept = np.flatnonzero((wrong == FINE) & is_held)
        if not len(kept):
            return None
        at_s = starts_at_s[kept]
        order = np.lexsort((kept, at_s))
        is_again = np.diff(at_s[order], prepend=np.iinfo(np.int64).min) == 0
        for row in kept[order[is_again]].tolist():
            self._errors.add(held.lines[row], 0, twice_code)
        rows = kept[order[~is_again]]
        used, place = np.unique(np.asarray(held.kinds)[rows], return_inverse=True)
        own = [kinds[index] for index in used.tolist()]
        block = make_block(key, at_s[order[~is_again]], values[rows], own, place)
        if key[4]:
            return block
        is_there = np.array([quality.provenance is not Provenance.MISSING for quality, _note in own])[place]
        cells = [bytes(held.values[ends[row] : ends[row + 1]]) for row in rows[is_there].tolist()]
        steps_milli = steps_of(cells, exponents[rows[is_there]]).tolist()
        return replace(block, step_milli=min(steps_milli, default=0))
