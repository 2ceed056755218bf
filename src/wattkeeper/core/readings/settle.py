"""From the set of what was said about a channel to one value at each instant."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding, decided_by
from wattkeeper.core.kernel.quality import UNTRUSTED, Flag, Source
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.told import find_corrected, rank_told


class Stamped(Protocol):
    """Reads of which instant and source are known."""

    @property
    def measured_at_s(self) -> Int64s: ...
    @property
    def source(self) -> NDArray[np.integer]: ...


def is_untrusted(flags: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which reads nobody vouches for, neither for the value nor for the instant.

    So the head-end marks a stamp more than ten minutes ahead of its own clock. They measure nothing; the true
    read of the instant does, whenever it comes.
    """
    result: NDArray[np.bool_] = (flags & int(UNTRUSTED)) == UNTRUSTED
    return result


def take(reads: ReadColumns, index: NDArray[np.intp] | NDArray[np.bool_]) -> ReadColumns:
    """Return the rows of `reads` that `index` (positions or mask) names."""
    return ReadColumns(
        reads.measured_at_s[index], reads.value[index], reads.flags[index], reads.source[index]
    )


def settle_reads(
    channel_id: int, reads: ReadColumns, *, interval_s: int
) -> tuple[ReadColumns, list[Finding]]:
    """Return one read for each instant, in order of time, and a finding for each instant in dispute.

    The result depends on the set of the reads only. At one instant the better quality wins (`rank_told`:
    actual, final substitute, estimate, forecast, suspect), then the higher `Source`, then what its teller
    verified, or else validated, then the larger value: a register only grows, so it is the later one where a
    clock was set back and instants came twice. Of equal values the one that tells of the clock wins, then the
    smaller flag set. A LIVE read counts only where no profile, freeze, push or file read lies within one
    interval of it: its stamp comes from another clock. A read that was corrected counts nowhere.
    """
    reads = take(reads, ~find_corrected(reads.measured_at_s, reads.flags, reads.source))
    reads = take(reads, ~_is_live_beside_stored(reads, interval_s))
    is_calm = (reads.flags & Flag.CLOCK_ADJUSTED) == 0
    is_valid, is_accepted = ((reads.flags & flag) != 0 for flag in (Flag.VALIDATED, Flag.ACCEPTED))
    checked = is_valid + (is_valid & is_accepted).astype(np.int64)
    order = np.lexsort(
        (
            reads.flags,
            is_calm,
            -reads.value,
            -checked,
            -reads.source,
            rank_told(reads.flags),
            reads.measured_at_s,
        )
    )
    reads = take(reads, order)
    is_first = np.ones(len(reads), dtype=np.bool_)
    is_first[1:] = reads.measured_at_s[1:] != reads.measured_at_s[:-1]
    if is_first.all():
        return reads, []
    return take(reads, is_first), _find_conflicts(channel_id, reads, is_first)


def is_early(reads: Stamped, now_s: int) -> NDArray[np.bool_]:
    """Which reads are before their time: LIVE, so stamped by our own clock, and after what it says now.

    It was ahead then. What a meter showed an hour ago would make all that it told since look like a fall.
    """
    result: NDArray[np.bool_] = (reads.measured_at_s > now_s) & (reads.source == Source.LIVE)
    return result


def _is_live_beside_stored(reads: ReadColumns, interval_s: int) -> NDArray[np.bool_]:
    is_live = reads.source == Source.LIVE
    is_stored = ~is_live & (reads.source != Source.FIELD)
    if not is_live.any() or not is_stored.any():
        return np.zeros(len(reads), dtype=np.bool_)
    stored_at_s = np.sort(reads.measured_at_s[is_stored])
    after = np.searchsorted(stored_at_s, reads.measured_at_s)
    before_s = reads.measured_at_s - stored_at_s[np.maximum(after - 1, 0)]
    after_s = stored_at_s[np.minimum(after, len(stored_at_s) - 1)] - reads.measured_at_s
    nearest_s = np.minimum(np.abs(before_s), np.abs(after_s))
    result: NDArray[np.bool_] = is_live & (nearest_s < interval_s)
    return result


def _find_conflicts(channel_id: int, reads: ReadColumns, is_first: NDArray[np.bool_]) -> list[Finding]:
    """Return what was told differently of one instant; where a person read the display, that decides."""
    kept = np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    lost = np.flatnonzero(reads.value != reads.value[kept])
    at_s, rows = np.unique(reads.measured_at_s[lost], return_index=True)
    return [
        Finding(
            "readings.conflict",
            starts_at_s=int(instant_s),
            ends_at_s=int(instant_s) + 1,
            channel_id=channel_id,
            evidence={
                "kept_value": int(reads.value[kept[row]]),
                "kept_source": int(reads.source[kept[row]]),
                "lost_value": int(reads.value[row]),
                "lost_source": int(reads.source[row]),
                **(decided_by("noted-read") if reads.source[kept[row]] == Source.FIELD else {}),
            },
        )
        for instant_s, row in zip(at_s, lost[rows], strict=True)
    ]
