"""Reads before their time: what they change is derived once it has come, whoever was read meanwhile."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindows
from wattkeeper.core.kernel.instants import Span, merge_spans
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain import ReadTable
from wattkeeper.core.readings.settle import is_early
from wattkeeper.pipeline.window import CONTEXT_S


def find_early(series_id: Int64s, told: ReadTable, now_s: int) -> dict[int, Span]:
    """Return from when to when there are reads before their time, by series.

    `told`: in order of row and time.
    """
    early = told.where(is_early(told, now_s))
    firsts = np.flatnonzero(np.diff(early.row, prepend=-1))
    lasts = firsts + np.diff(firsts, append=len(early)) - 1
    first_s, end_s = early.measured_at_s[firsts].tolist(), (early.measured_at_s[lasts] + 1).tolist()
    own = series_id[early.row[firsts]].tolist()
    return dict(zip(own, zip(first_s, end_s, strict=True), strict=True))


def find_postponed(
    done: ClaimedWindows, early: Iterable[tuple[int, Span]], now_s: int
) -> dict[int, list[Span]]:
    """Return what is to be derived again once its time has come, by series.

    `early`: series and spans in which reads before their time were seen. Of a window that begins after
    `now_s`, or ends more than `CONTEXT_S` after it, the rest too: what is in it nobody has seen.
    """
    later: dict[int, list[Span]] = defaultdict(list)
    for series_id, span in early:
        later[series_id].append(span)
    from_s = np.where(done.from_s > now_s, done.from_s, np.maximum(done.from_s, now_s + CONTEXT_S))
    columns = (done.series_id, from_s, done.to_s)
    for series_id, first_s, end_s in zip(
        *(each[from_s < done.to_s].tolist() for each in columns), strict=True
    ):
        later[series_id].append((first_s, end_s))
    return {series_id: merge_spans(spans) for series_id, spans in later.items()}
