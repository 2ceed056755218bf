"""What a restored installation has to do again: reads that came after the database was copied."""

from collections import defaultdict
from datetime import datetime

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.store.client import HttpReadingStore


def newest_run_id() -> int:
    """Return the newest run that the relational side knows, 0 where it knows none."""
    return Run.objects.order_by("-id").values_list("id", flat=True).first() or 0


def mark_received_since(store: HttpReadingStore, since: datetime, now: datetime) -> int:
    """Mark what batches that were received since then touch; return how many channels."""
    since_s = to_seconds(since.replace(microsecond=0))
    rows = store.select(
        "SELECT tenant_id, channel_id, toInt64(toUnixTimestamp(min(measured_at))) AS from_s,"  # noqa: S608
        " toInt64(toUnixTimestamp(max(measured_at))) AS to_s FROM raw_read"
        " WHERE (tenant_id, batch_id) IN (SELECT tenant_id, batch_id FROM raw_receipt"
        f" WHERE toUnixTimestamp(received_at) >= {since_s}) GROUP BY tenant_id, channel_id"
        " FORMAT ArrowStream"
    ).to_pylist()
    spans: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        spans[row["tenant_id"]][row["channel_id"]] = row["from_s"], row["to_s"] + 1
    for tenant_id, channels in spans.items():
        mark_dirty(tenant_id=tenant_id, now=now, reason="restored", channels=channels)
    return len(rows)
