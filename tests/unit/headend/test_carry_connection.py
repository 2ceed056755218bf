"""A connection that is lost as it is made, or in silence: the carrier seeks another."""

import asyncio
import random
import socket
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
from nats.errors import ConnectionClosedError, MaxPayloadError

from wattkeeper.headend import carry, carry_link
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.carry_parcel import Parcel
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.store.api import RawBatch, RawFrame


class Connection:
    """One that the server takes away before anything is asked of it, or not."""

    is_closed, max_payload = False, 4096

    def __init__(self, *, is_lost: bool) -> None:
        self._is_lost = is_lost

    async def subscribe(self, *_: object, **__: object) -> None:
        if self._is_lost:
            raise ConnectionClosedError

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_connection_that_ended_as_it_was_made_is_sought_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = [Connection(is_lost=True), Connection(is_lost=False)]

    async def connect(*_: object, **__: object) -> Connection:
        return connections.pop(0)

    monkeypatch.setattr(carry, "connect", connect)
    carrier = carry.Carrier(parse_carrier("nats://127.0.0.1:1"), "north", HeadendMetrics(), give_up_s=0.2)
    await carrier.start()
    await asyncio.sleep(0)
    with suppress(carry.CarrierFailed):  # "the same may be asked again"
        await asyncio.to_thread(carrier.deliver, [])
    await asyncio.to_thread(carrier.deliver, [])
    assert not connections
    await carrier.close()


def batch_of(frame_bytes: int) -> RawBatch:
    numbers = np.arange(32, dtype=np.int64)
    dice = random.Random(1)
    return RawBatch(
        tenant_id=1,
        batch_id=1 << 30,
        received_at_s=1_700_000_000,
        channel_id=numbers + 1,
        measured_at_s=numbers + 1_690_000_000,
        value=numbers,
        flags=numbers * 0,
        source=numbers * 0 + 1,
        frame_index=numbers,
        frames=tuple(RawFrame(1, 1, 1_700_000_000, dice.randbytes(frame_bytes)) for _ in numbers),
    )


async def test_a_server_that_says_nothing_more_and_takes_nothing_more_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its power is gone: what waits to be sent to it will never go, and the other one is not kept waiting."""
    monkeypatch.setattr(carry_link, "_PING_S", 0.2)
    large = batch_of(500_000)  # more than what lies between two sockets
    greeted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        while not (await reader.readline()).startswith(b"PING"):
            pass
        writer.write(b"PONG\r\n")
        writer.transport.pause_reading()
        greeted.put_nowait(writer)

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = await asyncio.start_server(greet, sock=listening)
    url = f"nats://127.0.0.1:{listening.getsockname()[1]}"
    carrier = carry.Carrier(parse_carrier(url), "north", HeadendMetrics(), resend_s=0.2)
    await carrier.start()
    delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, [large]))
    taken = [await asyncio.wait_for(greeted.get(), 60) for _ in range(2)]
    for writer in taken:
        writer.transport.abort()
    server.close()
    await carrier.close()
    with pytest.raises(carry.CarrierFailed):
        await delivery


class Deaf(Connection):
    """One that swallows the first cancel that meets it while it sends, as the library does."""

    def __init__(self) -> None:
        super().__init__(is_lost=False)
        self.swallowed_count = 0

    def jetstream(self, **_: object) -> "Deaf":
        return self

    async def publish(self, *_: object) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if self.swallowed_count:
                raise
            self.swallowed_count += 1


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_hand_over_ends_in_time_though_a_cancel_is_swallowed(
    monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    connection = Deaf()

    async def connect(*_: object, **__: object) -> Deaf:
        return connection

    monkeypatch.setattr(carry, "connect", connect)
    address, give_up_s = parse_carrier("nats://127.0.0.1:1"), 3600.0 if is_closed else 0.5
    carrier = carry.Carrier(address, "north", HeadendMetrics(), give_up_s=give_up_s)
    await carrier.start()
    delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, [batch_of(10)]))
    if is_closed:
        await asyncio.sleep(0.5)
        await carrier.close()
    with pytest.raises(carry.CarrierFailed) as caught:
        await asyncio.wait_for(asyncio.shield(delivery), 30)
    assert caught.value.code == ("carry.closed" if is_closed else "carry.unconfirmed")
    assert connection.swallowed_count == 1
    await carrier.close()


class Choosy(Connection):
    """One whose server takes every parcel but the first, and confirms none."""

    def __init__(self, refused: Parcel) -> None:
        super().__init__(is_lost=False)
        self._refused = refused
        self.sent: Counter[bytes] = Counter()

    def jetstream(self, **_: object) -> "Choosy":
        return self

    async def publish(self, _subject: str, content: bytes) -> None:
        self.sent[content] += 1
        if content == self._refused.content:
            await asyncio.sleep(0.012)
            raise MaxPayloadError
        await asyncio.sleep(0.003 * content[0])


async def test_what_the_server_has_is_not_sent_again_for_what_it_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parcels = [Parcel(bytes([number]) * 64, 1) for number in range(8)]
    connection = Choosy(parcels[0])

    async def connect(*_: object, **__: object) -> Choosy:
        return connection

    monkeypatch.setattr(carry, "connect", connect)
    carrier = carry.Carrier(parse_carrier("nats://127.0.0.1:1"), "north", HeadendMetrics(), give_up_s=60.0)
    await carrier.start()
    with suppress(TimeoutError):
        await asyncio.wait_for(carrier._carry_all(parcels), 2)
    refused_count = connection.sent.pop(parcels[0].content)
    assert refused_count > 1
    assert refused_count < 16
    assert set(connection.sent.values()) == {1}
    await carrier.close()
