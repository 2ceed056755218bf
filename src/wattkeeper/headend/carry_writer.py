"""A writer: takes parcels off the carrier, stores them, marks what they touch, confirms to the head-end.

The order makes it safe: stored durably, marked dirty, confirmed to the head-end, acknowledged to the carrier.
Killed between any two, the same parcel comes again, from the carrier or from the head-end, and storing it
once more changes nothing. The carrier's stream may be lost with all it holds: head-ends send anew.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_address import CarrierAddress
from wattkeeper.headend.carry_link import (
    DURABLE,
    READS_SUBJECTS,
    STREAM,
    close,
    connect,
    end,
    headend_of,
    reason_of,
    stored_subject,
)
from wattkeeper.headend.carry_parcel import REFUSED, STORED, Confirmation, unpack_parcel
from wattkeeper.headend.ports import SinkPort
from wattkeeper.store.api import RawBatch

GROUP_COUNT = 8  # parcels that make one insert
_KEPT_OF_HEADEND_COUNT = 64  # more than a head-end has on its way: an older one is one sent again
_ACK_WITHIN_S = 60.0
_FETCH_WITHIN_S = 1.0
_RETRY_S = 0.5
_AGAIN_AFTER_S = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message and the batches in it."""

    message: Msg
    digest: bytes
    batches: list[RawBatch]


class Writer:
    """Stores what head-ends send until told to stop; any number of them share the work."""

    def __init__(self, address: CarrierAddress, sink: SinkPort, *, stop: asyncio.Event) -> None:
        self.failures_count = 0
        self._address = address
        self._sink = sink
        self._stop = stop
        self._trouble = ""  # why nothing comes, said once

    async def run(self) -> None:
        """Work until the stop is set; whatever fails is tried again."""
        work = asyncio.create_task(self._work_always())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await end(work)
        if not work.cancelled():
            work.result()

    async def _work_always(self) -> None:
        while True:
            connection = await connect(self._address, name="writer")
            try:
                while not connection.is_closed:
                    await self._work(connection)
            finally:
                await close(connection)

    async def _work(self, connection: Client) -> None:
        """Take parcels until something fails; then wait a moment."""
        try:
            parcels = await _subscribe(connection.jetstream())
            try:
                await self._take_all(connection, parcels)
            finally:
                await parcels.unsubscribe()
        except (NatsError, OSError, TimeoutError) as error:
            reason = reason_of(error)
            if reason != self._trouble:
                _log.warning("carry.unreachable", reason=reason)
            self._trouble = reason
            await asyncio.sleep(_RETRY_S)

    async def _take_all(self, connection: Client, parcels: JetStreamContext.PullSubscription) -> None:
        """Take parcels until something fails."""
        while True:
            try:
                messages = await parcels.fetch(GROUP_COUNT, timeout=_FETCH_WITHIN_S)
            except NatsTimeout:  # nothing came, or nobody is there to say so
                await parcels.consumer_info()
                messages = []
            self._trouble = ""
            await self._take(connection, messages)

    async def _take(self, connection: Client, messages: Sequence[Msg]) -> None:
        """Store a group of parcels in one insert, one by one where that is refused."""
        arrivals = []
        for message in messages:
            try:
                parcel, batches = await asyncio.to_thread(unpack_parcel, message.data)
            except WattkeeperError as error:
                await self._drop(message, error)
                continue
            arrivals.append(_Arrival(message, parcel.digest, batches))
        if not arrivals:
            return
        failure = await self._deliver([batch for arrival in arrivals for batch in arrival.batches])
        if failure is None:
            await self._confirm(connection, arrivals)
        elif not failure.is_permanent:
            await _put_back(arrivals)
        elif len(arrivals) == 1:
            await self._refuse(connection, arrivals[0], failure)
        else:
            for arrival in arrivals:
                await self._take(connection, [arrival.message])

    async def _deliver(self, batches: Sequence[RawBatch]) -> WattkeeperError | None:
        try:
            await asyncio.to_thread(self._sink.deliver, batches)
        except WattkeeperError as error:
            self.failures_count += 1
            _log.warning("carry.not-stored", code=error.code, batches_count=len(batches))
            return error
        except Exception:  # noqa: BLE001 - contained and counted; the parcels come again
            self.failures_count += 1
            _log.exception("carry.unexpected")
            return WattkeeperError("carry.unexpected", is_permanent=False)
        return None

    async def _confirm(self, connection: Client, arrivals: Sequence[_Arrival]) -> None:
        for arrival in arrivals:
            await _tell(connection, arrival, STORED)
        await connection.flush()
        for arrival in arrivals:
            await arrival.message.ack()

    async def _drop(self, message: Msg, error: WattkeeperError) -> None:
        """Let go of bytes that arrived damaged or that only a later release knows: the head-end has them."""
        self.failures_count += 1
        _log.error("carry.not-understood", code=error.code, headend=headend_of(message.subject))
        await message.term()

    async def _refuse(self, connection: Client, arrival: _Arrival, error: WattkeeperError) -> None:
        """Say that it will never be stored; the head-end sets it aside, nothing is thrown away here."""
        _log.error("carry.refused", code=error.code, headend=headend_of(arrival.message.subject))
        await _tell(connection, arrival, REFUSED, error.code)
        await connection.flush()
        await arrival.message.term()


async def _subscribe(stream: JetStreamContext) -> JetStreamContext.PullSubscription:
    """Make the stream and the writers' common consumer; a stream that is there stays as it is."""
    try:
        await stream.stream_info(STREAM)
    except NotFoundError:
        await stream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[READS_SUBJECTS],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                discard=DiscardPolicy.OLD,
                max_msgs_per_subject=_KEPT_OF_HEADEND_COUNT,
            )
        )
    return await stream.pull_subscribe(
        READS_SUBJECTS,
        durable=DURABLE,
        stream=STREAM,
        config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=_ACK_WITHIN_S),
    )


async def _tell(connection: Client, arrival: _Arrival, outcome: str, code: str = "") -> None:
    ids = [batch.batch_id for batch in arrival.batches] or [0]
    confirmation = Confirmation(arrival.digest, len(arrival.batches), ids[0], ids[-1], outcome, code)
    await connection.publish(stored_subject(headend_of(arrival.message.subject)), confirmation.encode())


async def _put_back(arrivals: Sequence[_Arrival]) -> None:
    """Let the carrier bring them again in a moment, to this writer or another."""
    for arrival in arrivals:
        await arrival.message.nak(delay=_AGAIN_AFTER_S)
    await asyncio.sleep(_AGAIN_AFTER_S)
