"""Which of two candidates for one interval stands: an estimate never beats what was measured."""

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s

RANKS = {
    Provenance.EDITED: 6,
    Provenance.MEASURED: 4,
    Provenance.DERIVED: 2,
    Provenance.ESTIMATED: 1,
    Provenance.PROJECTED: 1,
    Provenance.MISSING: 0,
}
_RANK_OF = np.array([RANKS[provenance] for provenance in Provenance], dtype=np.int64)


def rank_all(provenance: Int64s, flags: Int64s) -> Int64s:
    """Return the rank of each candidate: edited 6, verified 5, actual 4, derived 2, estimated 1, missing 0.

    What is measured but suspect ranks below every estimate. Arrays of one shape.
    """
    is_measured = provenance == Provenance.MEASURED
    rank = _RANK_OF[provenance] + (is_measured & ((flags & Flag.VALIDATED) != 0))
    return np.where(is_measured & ((flags & Flag.SUSPECT) != 0), 0, rank)
