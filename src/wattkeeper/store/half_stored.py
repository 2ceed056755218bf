"""Batches that came while the tables were copied, one after another: in the copy whole, or not at all.

Frames are stored first, then receipts, then reads. Reads are copied first, then frames, and receipts last: of
a batch that came in between a copy may lack reads and frames that its receipts tell of. Such a batch came
later than the copy, and goes. What was known before is left as it is: if it is half, something is lost.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa

from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.queries import integers
from wattkeeper.store.verify_raw import IDS_COUNT, agree, find_half, read_batches

_TABLES = ("raw_read", "raw_frame", "raw_receipt")


def known_batches(store: HttpReadingStore) -> pa.Table:
    """Return `batch_id` and `received_at_s` of all receipts, as often as one was stored."""
    return store.select(
        "SELECT batch_id, toInt64(toUnixTimestamp(received_at)) AS received_at_s FROM raw_receipt"
        " FORMAT ArrowStream"
    )


def came_between(before: pa.Table, after: pa.Table) -> tuple[list[int], int | None]:
    """Return the batches known only later, rising, and when the first was received: maybe days ago."""
    is_new = ~np.isin(after["batch_id"].to_numpy(), before["batch_id"].to_numpy())
    batch_ids, received_at_s = (after[name].to_numpy()[is_new] for name in ("batch_id", "received_at_s"))
    return np.unique(batch_ids).tolist(), int(received_at_s.min()) if is_new.any() else None


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
