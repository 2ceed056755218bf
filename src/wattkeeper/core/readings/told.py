"""What a file says of its own values, kept in the flags of a raw read above those that are `Flag`.

A raw read is what was measured; a file also has what somebody estimated, edited or foresaw. Among reads of
one instant such a one is SUSPECT, so that what was measured stands whenever it comes; alone it is the
interval, of the provenance and by the method that the file names.
"""

from typing import NamedTuple, TypeVar

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s

_PROVENANCE_AT, _METHOD_AT, _PART = 16, 20, 15
_OWN_SUSPECT = 1 << 24  # SUSPECT is the file's own word
_Flags = TypeVar("_Flags", int, Int64s)
_SUSPECT, _VERIFIED = int(Flag.SUSPECT), int(Flag.SUSPECT | Flag.VALIDATED)


class Told(NamedTuple):
    """The quality of each of some values; a provenance of MEASURED for a plain read."""

    provenance: Int64s
    flags: Int64s
    method: Int64s


def mark_told(told: Told) -> Int64s:
    """Return the flags of raw reads of such values; one that failed a check and is real is not SUSPECT."""
    provenance, flags, method = told
    is_measured = provenance == Provenance.MEASURED
    is_verified = (flags & _VERIFIED) == _VERIFIED
    flags = np.where(is_measured & is_verified, flags & ~_SUSPECT, flags)
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


def flags_of_device(flags: _Flags) -> _Flags:
    """Return the flags that are `Flag`."""
    return flags & ((1 << _PROVENANCE_AT) - 1)
