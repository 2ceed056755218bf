"""Which of two candidates for one interval stands: an estimate never beats what was measured."""

from enum import Enum

from wattkeeper.core.kernel.quality import Flag, Provenance


class Replacement(Enum):
    """What to do with a new candidate."""

    REPLACE = "replace"
    KEEP = "keep"
    REVIEW = "review"


def get_rank(provenance: Provenance, flags: Flag = Flag.NONE) -> int:
    """Return the rank of a candidate: edited 6, verified 5, actual 4, derived 2, estimated 1, missing 0.

    What is suspect ranks below every estimate.
    """
    if provenance is Provenance.MEASURED:
        if flags & Flag.SUSPECT:
            return 0
        return 5 if flags & Flag.VALIDATED else 4
    ranks = {Provenance.EDITED: 6, Provenance.DERIVED: 2, Provenance.ESTIMATED: 1, Provenance.PROJECTED: 1}
    return ranks.get(provenance, 0)


def judge_replacement(old: Provenance, new: Provenance) -> Replacement:
    """Return whether `new` takes the place of `old` (rule V15); an edit is reviewed, not overwritten."""
    if old is Provenance.EDITED and new is Provenance.MEASURED:
        return Replacement.REVIEW
    return Replacement.REPLACE if get_rank(new) >= get_rank(old) else Replacement.KEEP
