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
    doubted = _rows(
        store,
        f"SELECT DISTINCT batch_id FROM raw_receipt WHERE reads_count > 0 AND {came} AND ({_RECEIPT}) NOT IN"
        " (SELECT tenant_id, batch_id, toInt64(toYYYYMM(measured_at)) FROM raw_read WHERE batch_id IN"
        f" (SELECT batch_id FROM raw_receipt WHERE {came}))",
    )
    unread = find_unread(store, [batch_id for (batch_id,) in doubted]) if doubted else []
    unframed = _rows(
        store,
        f"SELECT DISTINCT {_RECEIPT} FROM raw_receipt WHERE reads_count = 0 AND {came} AND ({_BATCH}) NOT IN"
        f" (SELECT {_BATCH} FROM raw_frame WHERE batch_id IN (SELECT batch_id FROM raw_receipt WHERE {came}))",
    )
    _delete(store, "raw_receipt", _RECEIPT, [*unread, *unframed])
    untold = _rows(
        store,
        f"SELECT DISTINCT {_BATCH} FROM raw_frame WHERE {came} AND ({_BATCH}) NOT IN (SELECT {_BATCH}"
        f" FROM raw_receipt WHERE batch_id IN (SELECT batch_id FROM raw_frame WHERE {came}))",
    )
    _delete(store, "raw_frame", _BATCH, untold)


def _rows(store: HttpReadingStore, query: str) -> list[tuple[int, ...]]:
    return [tuple(row.values()) for row in store.select(f"{query} FORMAT ArrowStream").to_pylist()]


def _delete(store: HttpReadingStore, table: str, key: str, keys: Sequence[tuple[int, ...]]) -> None:
    for start in range(0, len(keys), _SLICE_COUNT):
        those = ", ".join(map(str, keys[start : start + _SLICE_COUNT]))
        store.execute(f"ALTER TABLE {table} DELETE WHERE ({key}) IN ({those}) SETTINGS mutations_sync = 2")
