"""A head-end's side of the carrier: spooled batches go to a writer and leave the spool once it confirms.

`Carrier` is a `SinkPort`, so the drain deletes from the spool when `deliver` returns, and it returns only
once a writer has confirmed every parcel by its checksum. That the carrier's server took a parcel proves
nothing: it answers before its disk has it. What is not confirmed in time is sent again, and at once when the
server comes back or takes parcels again; writing twice changes nothing.
"""

import asyncio
import concurrent.futures
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_address import CarrierAddress
from wattkeeper.headend.carry_link import check_name, close, connect, end, reads_subject, stored_subject
from wattkeeper.headend.carry_parcel import REFUSED, Confirmation, Parcel, decode_confirmation, pack_parcels
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.store.api import RawBatch

PARCEL_MAX_BYTES = 1024 * 1024
WINDOW_COUNT = 16  # parcels on their way at a time
RESEND_S = 10.0
GIVE_UP_S = 60.0
_HEADERS_BYTES = 1024
_LATE_COUNT = 1024
_PUBLISH_WITHIN_S = 5.0
_RETRY_S = 0.5
_log = structlog.get_logger(__name__)
T = TypeVar("T")


class CarrierFailed(WattkeeperError):
    """Raised when no writer confirmed in time (``carry.unconfirmed``) or on closing (``carry.closed``)."""


class ParcelRefused(WattkeeperError):
    """Raised when a writer will never take a parcel; its code is the writer's."""


class Carrier:
    """Carries batches to writers from the event loop it was started in; `deliver` blocks its own thread."""

    def __init__(
        self,
        address: CarrierAddress,
        headend: str,
        metrics: HeadendMetrics,
        *,
        resend_s: float = RESEND_S,
        give_up_s: float = GIVE_UP_S,
    ) -> None:
        """:raises WattkeeperError: ``carry.name`` if the head-end's name can be no part of a subject."""
        self._address = address
        self._headend = check_name(headend)
        self._metrics = metrics
        self._resend_s = resend_s
        self._give_up_s = give_up_s
        self._window = asyncio.Semaphore(WINDOW_COUNT)
        self._waiting: dict[bytes, tuple[Parcel, asyncio.Future[Confirmation]]] = {}
        self._late: OrderedDict[bytes, Confirmation] = OrderedDict()  # of what was given up meanwhile
        self._deliveries: set[asyncio.Task[Any]] = set()
        self._is_sending = True
        self._is_closed = False

    async def start(self) -> None:
        """Begin to seek the server; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._back = self._loop.create_future()  # done once the server is back
        self._taking = self._loop.create_future()  # done once it takes parcels again
        self._connection = asyncio.create_task(self._connect())

    async def close(self) -> None:
        """Let go; what was under way fails, to be carried another time."""
        self._is_closed = True
        await asyncio.gather(*(end(task) for task in self._deliveries))
        await end(self._connection)
        if not self._connection.cancelled() and self._connection.exception() is None:
            await close(self._connection.result())

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """
        Return once a writer has confirmed that all of it is stored and marked.

        :raises CarrierFailed: if none did in time: the same may be asked again
        :raises ParcelRefused: if some of it never will be
        """
        parcels = pack_parcels(batches, self._ask(self._limit_bytes()))
        self._ask(self._carry_all(parcels))

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        if self._is_closed:
            question.close()
            raise CarrierFailed("carry.closed", is_permanent=False)
        try:
            return asyncio.run_coroutine_threadsafe(self._within(question), self._loop).result()
        except concurrent.futures.CancelledError as error:
            raise CarrierFailed("carry.closed", is_permanent=False) from error
        except (TimeoutError, NatsError) as error:
            raise CarrierFailed("carry.unconfirmed", is_permanent=False) from error

    async def _within(self, question: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[Any] = asyncio.create_task(question)
        self._deliveries.add(task)
        try:
            await asyncio.wait([task], timeout=self._give_up_s)
            if not task.done():
                await end(task)
                raise TimeoutError
            found: T = await task
            return found
        finally:
            self._deliveries.discard(task)

    async def _connect(self) -> Client:
        connection = await connect(self._address, name=self._headend, on_back=self._send_anew)
        await connection.subscribe(stored_subject(self._headend), cb=self._take_confirmation)
        return connection

    async def _connected(self) -> Client:
        """Return the connection; one that ended as it was made, or for good, is sought anew."""
        made = self._connection
        if made.done() and (made.exception() is not None or made.result().is_closed):
            self._connection = asyncio.create_task(self._connect())
        return await asyncio.shield(self._connection)

    async def _limit_bytes(self) -> int:
        connection = await self._connected()
        return min(PARCEL_MAX_BYTES, connection.max_payload - _HEADERS_BYTES)

    async def _carry_all(self, parcels: Sequence[Parcel]) -> None:
        own = {parcel.digest: parcel for parcel in parcels}
        verdicts = await asyncio.gather(*(self._carry(parcel) for parcel in own.values()))
        for verdict in verdicts:
            if verdict.outcome == REFUSED:
                raise ParcelRefused(verdict.code or "carry.refused", is_permanent=True)

    async def _carry(self, parcel: Parcel) -> Confirmation:
        """Send one parcel, again and again, until it is confirmed."""
        late = self._late.pop(parcel.digest, None)
        if late is not None and late.confirms(parcel):
            return late
        async with self._window:
            future: asyncio.Future[Confirmation] = self._loop.create_future()
            self._waiting[parcel.digest] = (parcel, future)
            try:
                retry_s = _RETRY_S
                while not future.done():
                    wakes = {future, self._back, self._taking}
                    is_taken = await self._publish(parcel)
                    if is_taken:  # what came back meanwhile has it
                        wakes = {future, self._back}
                    wait_s = self._resend_s if is_taken else retry_s
                    await asyncio.wait(wakes, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    is_fresh = is_taken or any(wake.done() for wake in wakes)
                    retry_s = _RETRY_S if is_fresh else min(2 * retry_s, self._resend_s)
            finally:
                del self._waiting[parcel.digest]
            return future.result()

    async def _publish(self, parcel: Parcel) -> bool:
        """Hand a parcel to the server; whether it said that it has it, which spares asking again at once."""
        self._metrics.count("parcels_sent")
        try:
            connection = await self._connected()
            stream = connection.jetstream(timeout=_PUBLISH_WITHIN_S)
            await stream.publish(reads_subject(self._headend), parcel.content)
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            self._note(is_taken=False, reason=f"{type(error).__name__}: {error}"[:200])
            return False
        self._note(is_taken=True)
        return True

    def _send_anew(self) -> None:
        """Wake all that wait to send: the server is back, and may have lost what it had."""
        self._back.set_result(None)
        self._back = self._loop.create_future()

    def _note(self, *, is_taken: bool, reason: str = "") -> None:
        """Log when sending begins to fail, and when it works again."""
        if is_taken != self._is_sending:
            self._is_sending = is_taken
            if is_taken:  # it takes what it would not take; what it has it keeps
                self._taking.set_result(None)
                self._taking = self._loop.create_future()
            _log.warning("carry.sending" if is_taken else "carry.not-sent", reason=reason)

    async def _take_confirmation(self, message: Msg) -> None:
        confirmation = decode_confirmation(message.data)
        if confirmation is None:
            return
        if confirmation.digest not in self._waiting:
            self._late[confirmation.digest] = confirmation
            if len(self._late) > _LATE_COUNT:
                self._late.popitem(last=False)
            return
        parcel, future = self._waiting[confirmation.digest]
        if confirmation.confirms(parcel) and not future.done():
            self._metrics.count("parcels_confirmed")
            future.set_result(confirmation)
