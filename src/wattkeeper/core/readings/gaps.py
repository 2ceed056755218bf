"""Which instants of a profile are not held: what to fetch from the memory of a meter."""

import numpy as np

from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.facts import InstallationFact

PROFILE_SOURCES = frozenset({Source.PROFILE, Source.FILE, Source.PUSH})


def find_gaps(
    reads: ReadColumns,
    installation: InstallationFact,
    from_s: int,
    to_s: int,
    interval_s: int,
    *,
    held_by: frozenset[Source] = PROFILE_SOURCES,
) -> list[tuple[int, int]]:
    """Return half-open spans that cover exactly the grid stamps in ``[from_s, to_s)`` that are not held.

    A stamp is a multiple of `interval_s` (UTC) at which the channel was installed; a read of one of the
    sources `held_by` at that very instant holds it. Each span begins at its first missing stamp and ends one
    interval after its last, so its length over `interval_s` is the number of stamps to fetch.
    """
    first = -(-max(from_s, installation.starts_at_s) // interval_s) * interval_s
    end_s = to_s if installation.ends_at_s is None else min(to_s, installation.ends_at_s + 1)
    stamps = np.arange(first, end_s, interval_s, dtype=np.int64)
    is_holding = np.isin(reads.source, [int(source) for source in held_by])
    missing = stamps[~np.isin(stamps, reads.measured_at_s[is_holding])]
    if not len(missing):
        return []
    cuts = np.flatnonzero(np.diff(missing) > interval_s) + 1
    firsts = missing[np.concatenate(([0], cuts))]
    lasts = missing[np.concatenate((cuts - 1, [len(missing) - 1]))]
    return list(zip(firsts.tolist(), (lasts + interval_s).tolist(), strict=True))
