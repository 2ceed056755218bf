"""What a file says of its own values, kept in the flags of a raw read above those that are `Flag`.

A raw read is what was measured; a file also has what somebody estimated, edited or foresaw. Such a one is
SUSPECT among reads, so that no register stands on it; alone, or where it is the best that is told of its
instant (`rank_told`), it is the interval, of the provenance and by the method that the file names.

Above that stands which correction a read off a display is: how often a person had noted another for its
instant before (`mark_correction`). It is what was said, not when it came, so order can't matter. A correction
that nobody vouches for is a withdrawal: of its instant nothing was read off the display.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import UNTRUSTED, Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s

_PROVENANCE_AT, _METHOD_AT, _PART = 16, 20, 15
_OWN_SUSPECT = 1 << 24  # SUSPECT is the file's own word
_CORRECTION_AT = 25
_WITHDRAWAL = int(UNTRUSTED)
CORRECTIONS_MAX_COUNT = 63  # flags are 32 bits
WITHDRAWN_COUNT = -1  # no register shows less: of all that is told of an instant a store tells it first
_Flags = TypeVar("_Flags", int, Int64s)
_SUSPECT, _BOTH = int(Flag.SUSPECT), int(Flag.SUSPECT | Flag.VALIDATED)


class Told(NamedTuple):
    """The quality of each of some values; a provenance of MEASURED for a plain read."""

    provenance: Int64s
    flags: Int64s
    method: Int64s


def mark_told(told: Told) -> Int64s:
    """Return the flags of raw reads of such values; one SUSPECT and yet VALIDATED was shown to be real."""
    provenance, flags, method = told
    is_measured = provenance == Provenance.MEASURED
    is_real = is_measured & ((flags & _BOTH) == _BOTH)
    flags = np.where(is_real, flags & ~_SUSPECT | int(Flag.ACCEPTED), flags)
    own = np.where(flags & _SUSPECT, _OWN_SUSPECT, 0)
    own |= (provenance << _PROVENANCE_AT) | (method << _METHOD_AT) | np.where(is_measured, 0, _SUSPECT)
    return np.where(is_measured & (method == Method.NONE), flags, flags | own)


def read_told(flags: Int64s) -> Told:
    """Return what the flags of raw reads say of their values."""
    provenance = (flags >> _PROVENANCE_AT) & _PART
    is_plain = provenance == 0
    is_suspect = np.where(is_plain, flags & _SUSPECT, flags & _OWN_SUSPECT) != 0
    kept = (flags_of_device(flags) & ~_SUSPECT) | np.where(is_suspect, _SUSPECT, 0)
    return Told(np.where(is_plain, int(Provenance.MEASURED), provenance), kept, (flags >> _METHOD_AT) & _PART)


def flags_said(flags: Int64s) -> Int64s:
    """Return the `Flag` sets that tellers gave: what they call estimated is not SUSPECT by that."""
    return read_told(flags).flags if flags.max(initial=0) >> _PROVENANCE_AT else flags


def rank_told(flags: Int64s) -> Int64s:
    """Return the rank of each read: 0 actual, 1 final substitute, 2 estimate, 3 forecast, 4 suspect.

    Ranks of VEE (Oracle, AEMO): an estimate never beats actual data, nor does what is suspect an estimate.
    Final is a substitute that a person edited or the file calls validated.
    """
    provenance, own, _method = read_told(flags)
    is_final = (provenance == Provenance.EDITED) | ((own & Flag.VALIDATED) != 0)
    rank = np.where(is_final, 1, np.where(provenance == Provenance.PROJECTED, 3, 2))
    rank = np.where(provenance == Provenance.MEASURED, 0, rank)
    return np.where((own & _BOTH) == _SUSPECT, 4, rank)


def mark_correction(correction_index: int, *, is_withdrawal: bool = False) -> int:
    """Return the flags of a raw read that corrects those of the same channel, instant and source below it.

    `is_withdrawal`: by nothing; its value is `WITHDRAWN_COUNT`.
    """
    return correction_index << _CORRECTION_AT | (_WITHDRAWAL if is_withdrawal else 0)


def find_corrected(measured_at_s: Int64s, flags: Int64s, teller: Int64s) -> NDArray[np.bool_]:
    """Return which reads a later correction takes back; `teller`: whose, such as the source in a channel."""
    if not _has_corrections(flags):
        return np.zeros(len(flags), dtype=np.bool_)
    return flags >> _CORRECTION_AT < _newest_flags(measured_at_s, flags, teller) >> _CORRECTION_AT


def is_withdrawal(flags: Int64s) -> NDArray[np.bool_]:
    """Return which raw reads say that of their instant nothing was read off the display."""
    if not _has_corrections(flags):
        return np.zeros(len(flags), dtype=np.bool_)
    result: NDArray[np.bool_] = ((flags & _WITHDRAWAL) == _WITHDRAWAL) & (flags >> _CORRECTION_AT > 0)
    return result


def find_withdrawn(measured_at_s: Int64s, flags: Int64s, teller: Int64s) -> NDArray[np.bool_]:
    """Return which reads count no more because what was said last of their instant is a withdrawal.

    The withdrawals are among them. Shapes and `teller` as in `find_corrected`.
    """
    if not is_withdrawal(flags).any():
        return np.zeros(len(flags), dtype=np.bool_)
    return is_withdrawal(_newest_flags(measured_at_s, flags, teller))


def _has_corrections(flags: Int64s) -> bool:
    """Whether any read is a correction: few are, and one number tells of millions."""
    return bool(flags.max(initial=0) >> _CORRECTION_AT)


def _newest_flags(measured_at_s: Int64s, flags: Int64s, teller: Int64s) -> Int64s:
    """Return for each read the flags of the latest correction of its instant and teller."""
    order = np.lexsort((-flags, teller, measured_at_s))
    at_s, teller = measured_at_s[order], teller[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (at_s[1:] != at_s[:-1]) | (teller[1:] != teller[:-1])
    newest = np.empty_like(flags)
    newest[order] = flags[order][np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))]
    return newest


def flags_of_device(flags: _Flags) -> _Flags:
    """Return the flags that are `Flag`."""
    return flags & ((1 << _PROVENANCE_AT) - 1)
