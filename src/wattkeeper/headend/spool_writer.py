"""Group commit: batches that arrive while a commit is under way share the next one."""

import asyncio
from collections.abc import Callable

from wattkeeper.headend.errors import SpoolFailed, SpoolFull
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.spool import Spool
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import encode_batch

_GROUP_MAX_COUNT = 256


class SpoolWriter:
    """Appends batches to the spool from the event loop; returns only after their commit."""

    def __init__(self, spool: Spool, metrics: HeadendMetrics, *, on_stored: Callable[[], None]) -> None:
        self.spool = spool
        self._metrics = metrics
        self._on_stored = on_stored
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, batch: RawBatch) -> None:
        """
        Make the batch durable.

        :raises SpoolFull: if it does not fit
        :raises SpoolFailed: if it may not be on disk
        """
        await self.append_bytes(encode_batch(batch))
        self._metrics.count("batches_spooled")
        self._metrics.count("reads_stored", len(batch.value))
        self._on_stored()

    def announce(self) -> None:
        """Say that something waits in the spool."""
        self._on_stored()

    async def append_bytes(self, content: bytes) -> None:
        """Make the byte string durable; raises as `append` does."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((content, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        await asyncio.shield(future)

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP_MAX_COUNT], self._waiting[_GROUP_MAX_COUNT:]
            failure = await self._commit([content for content, _ in group])
            for _, future in group:
                if future.done():
                    continue
                if failure is None:
                    future.set_result(None)
                else:
                    future.set_exception(failure)

    async def _commit(self, contents: list[bytes]) -> SpoolFull | SpoolFailed | None:
        try:
            await asyncio.to_thread(self.spool.append, contents)
        except (SpoolFull, SpoolFailed) as error:
            self._metrics.count("spool_failures")
            return error
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may take it for durable
            self._metrics.count("spool_failures")
            return SpoolFailed("headend.spool-failed", is_permanent=False, reason=str(error))
        return None
