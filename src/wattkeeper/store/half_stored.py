"""Batches that were stored while the tables were copied, one after another: told of, and not there.

Frames are stored first, then receipts, then reads. Reads are copied first, then frames, and receipts last: of
a batch that came in between a copy has a receipt, perhaps frames, and no read. It is one that came later.
"""

from collections.abc import Sequence

from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.verify_raw import find_unread

_SLICE_COUNT = 10_000
_RECEIPT = "tenant_id, batch_id, toInt64(toYYYYMM(first_at))"
_BATCH = "tenant_id, batch_id"


def forget_half_stored(store: HttpReadingStore, since_s: int) -> None:
    """Take away receipts whose reads or frames are nowhere, then frames without a receipt, received since."""
    came = f"toUnixTimestamp(received_at) >= {int(since_s)}"
    told = f"(SELECT batch_id FROM raw_receipt WHERE {came})"
    read = (
        f"SELECT tenant_id, batch_id, toInt64(toYYYYMM(measured_at)) FROM raw_read WHERE batch_id IN {told}"
    )
    framed = f"SELECT {_BATCH} FROM raw_frame WHERE batch_id IN {told}"
    doubted = _rows(store, "raw_receipt", "batch_id", f"reads_count > 0 AND {came}", _RECEIPT, read)
    unread = find_unread(store, [batch_id for (batch_id,) in doubted]) if doubted else []
    unframed = _rows(store, "raw_receipt", _RECEIPT, f"reads_count = 0 AND {came}", _BATCH, framed)
    _delete(store, "raw_receipt", _RECEIPT, [*unread, *unframed])
    held = f"SELECT {_BATCH} FROM raw_receipt WHERE batch_id IN (SELECT batch_id FROM raw_frame WHERE {came})"
    _delete(store, "raw_frame", _BATCH, _rows(store, "raw_frame", _BATCH, came, _BATCH, held))


def _rows(
    store: HttpReadingStore, table: str, columns: str, where: str, key: str, others: str
) -> list[tuple[int, ...]]:
    """Return what is in a table and whose key is not among others."""
    query = f"SELECT DISTINCT {columns} FROM {table} WHERE {where} AND ({key}) NOT IN ({others})"
    return [tuple(row.values()) for row in store.select(f"{query} FORMAT ArrowStream").to_pylist()]


def _delete(store: HttpReadingStore, table: str, key: str, keys: Sequence[tuple[int, ...]]) -> None:
    for start in range(0, len(keys), _SLICE_COUNT):
        those = ", ".join(map(str, keys[start : start + _SLICE_COUNT]))
        store.execute(f"ALTER TABLE {table} DELETE WHERE ({key}) IN ({those}) SETTINGS mutations_sync = 2")
