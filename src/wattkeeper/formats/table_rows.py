"""What a table's rows came to so far, in columns that grow in place: all of a file is held at once."""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import Int64s
from wattkeeper.formats.blocks import Key

Bools = NDArray[np.bool_]
Ints = NDArray[np.signedinteger]


class Part(NamedTuple):
    """Rows that were right, as columns of like length; as narrow as a file allows, since all are held."""

    key: Ints
    line: Ints
    at_s: Int64s
    later_s: Ints  # after `at_s` the hour that a clock change repeats has the same wall clock again; else 0
    value_milli: Int64s
    kind: Ints


@dataclass(slots=True)
class Held:
    """All that was right so far; keys and kinds by their index; a `Part`'s columns, which grow in place."""

    keys: dict[Key, int] = field(default_factory=dict)
    kinds: dict[tuple[Quality, str], int] = field(default_factory=dict)
    rows: tuple["array[int]", ...] = field(default_factory=lambda: tuple(array(code) for code in "iiqiqi"))
    steps_milli: dict[int, int] = field(default_factory=dict)  # by key, the smallest that its values show

    def take(self, part: Part, is_kept: Bools) -> None:
        """Take some rows."""
        for held, column in zip(self.rows, part, strict=True):
            held.frombytes(column[is_kept].astype(f"i{held.itemsize}").view(np.uint8).data)

    def learn_steps(self, key: Ints, steps_milli: Int64s) -> None:
        """Take what the last digit of some values counts."""
        for one, step_milli in zip(key.tolist(), steps_milli.tolist(), strict=True):
            self.steps_milli[one] = min(step_milli, self.steps_milli.get(one, step_milli))

    def give_up(self) -> Part:
        """Return all rows; none are left."""
        rows, self.rows = self.rows, ()
        return Part(*[np.asarray(held) for held in rows])


def is_in_order(part: Part) -> bool:
    """Whether rows stand by key and time already, none twice: as in most files."""
    is_later = (part.key[1:] == part.key[:-1]) & (part.at_s[1:] > part.at_s[:-1])
    return bool(((part.key[1:] > part.key[:-1]) | is_later).all())
