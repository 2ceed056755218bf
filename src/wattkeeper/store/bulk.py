"""Questions about thousands of channels or series: rows in the order of their key, each once, made so here.

The engine only reads and merges sorted parts; repeated rows are neighbours then and are dropped as columns.
What few series hold is sorted here: to plan a sorted answer takes the engine longer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import NO_INTERVAL
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import NO_ORIGIN, Ids, Measurements, RawReads
from wattkeeper.store.columns import MEASURED, READS, column_of
from wattkeeper.store.native import Columns
from wattkeeper.store.queries import SPARSE_MAX, among, between, integers

PLAIN = " SETTINGS max_block_size = 65536, preferred_block_size_bytes = 0 FORMAT Native"
_FEW_COUNT = 16
_REST_OF_KEY = ("channel_id", "source", "value", "flags")  # beside the instant, which tells most apart


def read_query(tenant_id: int, channel_ids: Ids, from_s: int, to_s: int, *, has_origins: bool) -> str:
    """Stored reads with from_s <= measured_at < to_s in order of their key; re-deliveries still among them.

    Reads of channels that were not asked for may be among them too.
    """
    origins = ", batch_id, frame_index" if has_origins else ""
    return (
        f"SELECT channel_id, toUnixTimestamp(measured_at) AS measured_at_s, value, flags, source{origins}"
        f" FROM raw_read WHERE tenant_id = {int(tenant_id)}"
        f" AND {among('channel_id', channel_ids)} AND {between('measured_at', from_s, to_s)}"
        " ORDER BY tenant_id, channel_id, measured_at, raw_read.source, value, raw_read.flags" + PLAIN
    )


def measured_query(
    tenant_id: int,
    series_ids: Ids,
    from_s: int,
    to_s: int,
    as_of_run_id: int | None,
    *,
    is_ordered: bool,
) -> str:
    """Stored versions with from_s <= starts_at < to_s, ordered by series, start and run or as they lie.

    PREWHERE: the engine would come to it by itself, which takes it longer than to read a month.
    """
    until = "" if as_of_run_id is None else f" AND run_id <= {int(as_of_run_id)}"
    order = " ORDER BY series_id, starts_at, run_id" if is_ordered else ""
    return (
        "SELECT series_id, toUnixTimestamp(starts_at) AS starts_at_s, value_milliwh, provenance, flags,"
        f" method, run_id FROM measurement PREWHERE tenant_id = {int(tenant_id)}"
        f" AND {among('series_id', series_ids)} AND {between('starts_at', from_s, to_s)}{until}{order}"
        + PLAIN
    )


def method_query(tenant_id: int, series_ids: Ids, from_s: int, to_s: int, methods: Sequence[int]) -> str:
    """Series that any run gave a value of one of `methods` in the span."""
    return (
        f"SELECT DISTINCT series_id FROM measurement WHERE tenant_id = {int(tenant_id)}"
        f" AND {among('series_id', series_ids)} AND {between('starts_at', from_s, to_s)}"
        f" AND method IN {integers(methods)}" + PLAIN
    )


def distinct_reads(blocks: Sequence[Columns], channel_ids: Ids) -> RawReads:
    """Return the reads of the channels, each once, from answers to `read_query`."""
    told = set(READS).intersection(*blocks)
    columns = {name: column_of(blocks, name) for name in told}
    for name in NO_ORIGIN.keys() - told:
        columns[name] = np.broadcast_to(np.int64(NO_ORIGIN[name]), len(columns["channel_id"]))
    is_kept = is_asked(columns["channel_id"], channel_ids)
    is_again = np.zeros(len(is_kept), dtype=np.bool_)
    is_again[1:] = columns["measured_at_s"][1:] == columns["measured_at_s"][:-1]
    for name in _REST_OF_KEY:
        if is_again.any():
            is_again[1:] &= columns[name][1:] == columns[name][:-1]
    is_kept &= ~is_again
    if is_kept.all():
        return RawReads(**columns)
    return RawReads(**{name: column[is_kept] for name, column in columns.items()})


def newest_measured(blocks: Sequence[Columns], series_ids: Ids) -> Measurements:
    """Return the value of the highest run for each series and start, from answers to `measured_query`.

    Answers are ordered unless the series are few (`are_few`).
    """
    columns = {name: column_of(blocks, name) for name in MEASURED}
    if are_few(series_ids):
        order = np.lexsort([columns[name] for name in ("run_id", "starts_at_s", "series_id")])
        columns = {name: column[order] for name, column in columns.items()}
    is_kept = is_asked(columns["series_id"], series_ids)
    is_same = columns["starts_at_s"][1:] == columns["starts_at_s"][:-1]
    is_same &= columns["series_id"][1:] == columns["series_id"][:-1]
    is_kept[:-1] &= ~is_same
    is_kept &= columns["flags"] != NO_INTERVAL
    if is_kept.all():
        return Measurements(**columns)
    return Measurements(**{name: column[is_kept] for name, column in columns.items()})


def are_few(ids: Ids) -> bool:
    """Whether what is stored of so many series is sorted sooner here than by the engine."""
    return len(ids) <= _FEW_COUNT


def is_asked(found: Int64s, ids: Ids) -> NDArray[np.bool_]:
    """Which of the ids found were asked for, shape (found,)."""
    if not len(found):
        return np.zeros(0, dtype=np.bool_)
    least, most = int(found.min()), int(found.max())
    if most - least > SPARSE_MAX * (len(ids) + len(found)):
        return np.isin(found, ids)
    wanted = np.zeros(most - least + 1, dtype=np.bool_)
    rising = np.asarray(ids, dtype=np.int64)
    wanted[rising[(rising >= least) & (rising <= most)] - least] = True
    if wanted.all():
        return np.ones(len(found), dtype=np.bool_)
    result: NDArray[np.bool_] = wanted[found - least]
    return result
