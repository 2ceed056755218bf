"""A store client that keeps the latest read of each channel in a table (`latest`), and answers from it."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import queries
from wattkeeper.store.api import LatestRead, RawBatch
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.columns import column_of
from wattkeeper.store.latest import LatestTable
from wattkeeper.store.newest import Newest, newest_of

_SETTLES_WITHIN_S = 0.5  # an insert is in the table so long after it is in the store, at most
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LatestDifference:
    """A channel whose latest read in the table is not the store's."""

    tenant_id: int
    channel_id: int
    kept: LatestRead | None
    stored: LatestRead | None


@dataclass(frozen=True, slots=True)
class LatestRecount:
    """What a comparison of the whole table with the store found; how many records its header tells of."""

    is_whole: bool
    channels_count: int
    told_count: int
    records_count: int
    differences: tuple[LatestDifference, ...]


class KeepingReadingStore(HttpReadingStore):
    """An `HttpReadingStore` whose inserts are taken into the table, in whatever process they are made."""

    _table: LatestTable
    _rebuild_lock: Path
    _rebuilding: threading.Lock

    @classmethod
    def keeping(cls, store: HttpReadingStore, table_path: Path) -> Self:
        """Return a store at the same address that keeps the table at this path."""
        own = cls.__new__(cls)
        own._transport = store._transport
        own._table = LatestTable(table_path)
        own._rebuild_lock = table_path.with_suffix(".rebuild")
        own._rebuilding = threading.Lock()
        return own

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        """Append the batches durably, then take the newest reads among them."""
        with self._table.storing():
            super().insert_raw(batches)
            self._table.take(newest_of(batches))
        if not self._table.is_whole and not self._rebuilding.locked():
            threading.Thread(target=self._try_rebuild, daemon=True).start()

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        """Return the newest read of each channel that has one, the store's where the table is unsure."""
        found, unsure = self._table.find(tenant_id, channel_ids)
        return found | super().latest(tenant_id, unsure) if unsure else found

    def rebuild(self) -> bool:
        """Fill the table anew from the store; False where somebody else is at it."""
        with self._rebuilding:
            descriptor = os.open(self._rebuild_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                doubts_count = self._table.start_anew()
                for newest in self._stored():
                    self._table.take(newest)
                self._table.declare_whole(doubts_count)
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
        return True

    def recount(self) -> LatestRecount:
        """Compare every record with the store; a difference counts if it is still there after a moment."""
        stored: dict[tuple[int, int], LatestRead] = {}
        for newest in self._stored():
            stored = _reads(newest) | stored
        kept = self._kept(stored.keys())
        suspects = [key for key in stored.keys() | kept.keys() if stored.get(key) != kept.get(key)]
        if suspects:
            time.sleep(_SETTLES_WITHIN_S)
        differences = []
        for tenant_id in sorted({tenant_id for tenant_id, _ in suspects}):
            ids = [channel_id for tenant, channel_id in suspects if tenant == tenant_id]
            now = super().latest(tenant_id, ids)
            table = self._kept({(tenant_id, channel_id) for channel_id in ids})
            differences += [
                LatestDifference(tenant_id, id_, table.get((tenant_id, id_)), now.get(id_))
                for id_ in sorted(ids)
                if table.get((tenant_id, id_)) != now.get(id_)
            ]
        return LatestRecount(self._table.is_whole, len(stored), *self._table.counts(), tuple(differences))

    def _kept(self, wanted: Set[tuple[int, int]]) -> dict[tuple[int, int], LatestRead]:
        """Return what the table answers for some channels, and what it holds of all others."""
        kept = {key: read for key, read in _reads(self._table.everything()).items() if key not in wanted}
        for tenant_id in {tenant_id for tenant_id, _ in wanted}:
            found, _ = self._table.find(tenant_id, [own for tenant, own in wanted if tenant == tenant_id])
            kept |= {(tenant_id, channel_id): read for channel_id, read in found.items()}
        return kept

    def _stored(self) -> Iterator[Newest]:
        """Yield the newest read of each channel in each stored month, newest month first."""
        for month in sorted(self._months(), reverse=True):
            blocks = self._blocks(queries.newest_of_month(month))
            yield Newest(*(column_of(blocks, name) for name in Newest.__slots__))

    def _try_rebuild(self) -> None:
        try:
            self.rebuild()
        except (WattkeeperError, OSError) as error:
            _log.warning("store.latest-not-rebuilt", reason=str(error))


def _reads(newest: Newest) -> dict[tuple[int, int], LatestRead]:
    rows = zip(*(getattr(newest, name).tolist() for name in Newest.__slots__), strict=True)
    return {row[:2]: LatestRead(*row[1:]) for row in rows}
