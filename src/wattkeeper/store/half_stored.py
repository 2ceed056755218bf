"""Batches that came while the tables were copied, one after another: in the copy whole, or not at all.

Frames are stored first, then receipts, then reads. Reads are copied first, then frames, and receipts last: of
a batch that came in between a copy may lack reads and frames that its receipts tell of. Such a batch came
later than the copy, and goes. What was known before is left as it is: if it is half, something is lost.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store import archive
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.queries import integers
from wattkeeper.store.verify_raw import IDS_COUNT, agree, find_half, read_batches

_TABLES = ("raw_read", "raw_frame", "raw_receipt")


def known_batches(store: HttpReadingStore) -> Int64s:
    """Return the batches of which a receipt is stored, rising; one of several months as often."""
    months = [_told(store, month, "batch_id")["batch_id"].to_numpy() for month in _months(store)]
    known = np.concatenate([np.empty(0, np.int64), *months])
    known.sort()
    return known


def came_between(store: HttpReadingStore, before: Int64s) -> tuple[list[int], int | None]:
    """Return the batches known only now, rising, and when the first was received: maybe days ago.

    A month at a time: of all receipts of years only the ids of `before` are held.
    """
    came: set[int] = set()
    oldest_s = None
    for month in _months(store):
        told = _told(store, month, "batch_id, toInt64(toUnixTimestamp(received_at)) AS received_at_s")
        batch_ids, received_at_s = (told[name].to_numpy() for name in ("batch_id", "received_at_s"))
        is_new = np.searchsorted(before, batch_ids) == np.searchsorted(before, batch_ids, "right")
        if is_new.any():
            came.update(batch_ids[is_new].tolist())
            first_s = int(received_at_s[is_new].min())
            oldest_s = first_s if oldest_s is None else min(oldest_s, first_s)
    return sorted(came), oldest_s


def _months(store: HttpReadingStore) -> list[int]:
    return archive.months_of(store, "raw_receipt")


def _told(store: HttpReadingStore, month: int, columns: str) -> pa.Table:
    return store.select(
        f"SELECT DISTINCT {columns} FROM raw_receipt WHERE toYYYYMM(first_at) = {month} FORMAT ArrowStream"
    )


def forget_half_stored(store: HttpReadingStore, came: Sequence[int], archived: Set[int]) -> None:
    """
    Take away what is half there of batches: reads, frames and receipts.

    :param came: batches that were not known before the tables were copied
    :param archived: months (yyyymm, UTC) of receipts in the archive: nobody knows here what came before
    """
    half = {key: held for ids in _slices(came) for key, held in find_half(store, ids).items()}
    later = {key[1] for key in half}
    later -= {
        key[1] for key, held in half.items() if key[2] in archived or _are_needed(store, key, held, later)
    }
    for ids in _slices(sorted(later)):
        for table in _TABLES:
            store.execute(
                f"ALTER TABLE {table} DELETE WHERE batch_id IN {integers(ids)} SETTINGS mutations_sync = 2"
            )


def _are_needed(
    store: HttpReadingStore, key: tuple[int, ...], held: Mapping[str, Any], later: Collection[int]
) -> bool:
    """Whether a batch that stays may have delivered the same reads: a merge leaves one of those.

    Then that batch is short of them, and reaches where they lie.
    """
    if not held["reads_count"]:
        return False
    tenant_id, batch_id, month = key
    rows = store.select(
        f"SELECT DISTINCT batch_id FROM raw_receipt WHERE tenant_id = {tenant_id} AND batch_id != {batch_id}"
        f" AND toYYYYMM(first_at) = {month} AND reads_count > 0"
        f" AND first_channel_id <= {held['last_channel_id']}"
        f" AND last_channel_id >= {held['first_channel_id']}"
        f" AND toUnixTimestamp(first_at) <= {held['last_at_s']}"
        f" AND toUnixTimestamp(last_at) >= {held['first_at_s']} FORMAT ArrowStream"
    )
    for ids in _slices(sorted(set(rows["batch_id"].to_pylist()).difference(later))):
        found, receipts = read_batches(store, ids)
        if any(other[2] == month and not agree(found.get(other), told) for other, told in receipts.items()):
            return True
    return False


def _slices(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + IDS_COUNT] for start in range(0, len(ids), IDS_COUNT)]
