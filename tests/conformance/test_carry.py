"""The carrier between head-ends and writers on a real NATS server with JetStream."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nats.aio.client import Client
from nats.errors import FlushTimeoutError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import ServerError
from structlog.testing import capture_logs

from conformance.nats_server import NatsServer
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend import carry_writer
from wattkeeper.headend.carry import Carrier, CarrierFailed, ParcelRefused
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.carry_link import connect
from wattkeeper.headend.carry_parcel import STORED, Confirmation, pack_parcels
from wattkeeper.headend.carry_writer import Writer
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.interfaces.workers.tls import own
from wattkeeper.store.api import RawBatch, RawFrame


def batch_of(batch_id: int, reads_count: int = 3, frame_bytes: int = 20) -> RawBatch:
    """Return a batch whose reads are all different from those of any other."""
    numbers = np.arange(reads_count, dtype=np.int64)
    return RawBatch(
        tenant_id=1,
        batch_id=(1_700_000_000 << 30) | batch_id,
        received_at_s=1_700_000_000,
        channel_id=numbers + 1,
        measured_at_s=numbers * 900 + 1_690_000_000,
        value=numbers + batch_id * 1_000_000,
        flags=numbers * 0,
        source=numbers * 0 + 1,
        frame_index=numbers,
        frames=tuple(
            RawFrame(1, 1, 1_700_000_000, bytes([index % 251]) * frame_bytes) for index in range(reads_count)
        ),
    )


def values_of(batches: Sequence[RawBatch]) -> set[int]:
    return {int(value) for batch in batches for value in batch.value}


class Shelf:
    """A sink that keeps what it is given, or fails as told."""

    def __init__(self, fail: Callable[[Sequence[RawBatch]], WattkeeperError | None] = lambda _: None) -> None:
        self.values: set[int] = set()
        self.frames: dict[int, bytes] = {}
        self.calls_count = 0
        self._fail = fail
        self._mutex = threading.Lock()

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        with self._mutex:
            self.calls_count += 1
            if (error := self._fail(batches)) is not None:
                raise error
            self.values |= values_of(batches)
            for batch in batches:
                for value, index in zip(batch.value.tolist(), batch.frame_index.tolist(), strict=True):
                    self.frames[value] = batch.frames[index].content


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as running:
        yield running


@asynccontextmanager
async def writing(url: str, *sinks: Shelf) -> AsyncIterator[list[Writer]]:
    stop = asyncio.Event()
    writers = [Writer(parse_carrier(url), sink, stop=stop) for sink in sinks]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    try:
        yield writers
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def carrying(url: str, name: str = "north", **settings: float) -> AsyncIterator[Carrier]:
    carrier = Carrier(parse_carrier(url), name, HeadendMetrics(), **settings)
    await carrier.start()
    try:
        yield carrier
    finally:
        await carrier.close()


async def test_what_is_confirmed_is_stored(server: NatsServer) -> None:
    shelf = Shelf()
    batches = [batch_of(index) for index in range(50)]
    async with writing(server.url, shelf), carrying(server.url) as carrier:
        await asyncio.to_thread(carrier.deliver, batches)
        assert shelf.values == values_of(batches)


async def test_several_head_ends_and_writers_share_the_work(server: NatsServer) -> None:
    shelf, other = Shelf(), Shelf()
    async with (
        writing(server.url, shelf, other),
        carrying(server.url, "north") as north,
        carrying(server.url, "south") as south,
    ):
        for index in range(0, 60, 2):
            await asyncio.gather(
                asyncio.to_thread(north.deliver, [batch_of(index)]),
                asyncio.to_thread(south.deliver, [batch_of(index + 1)]),
            )
    assert shelf.values | other.values == values_of([batch_of(index) for index in range(60)])


async def test_a_batch_larger_than_a_message_travels_in_parts(server: NatsServer) -> None:
    shelf = Shelf()
    large = batch_of(7, reads_count=3000, frame_bytes=1500)
    async with writing(server.url, shelf), carrying(server.url) as carrier:
        await asyncio.to_thread(carrier.deliver, [large, batch_of(8)])
    assert shelf.values == values_of([large, batch_of(8)])
    assert all(
        shelf.frames[value] == large.frames[index].content for index, value in enumerate(large.value.tolist())
    )


async def test_the_servers_word_alone_confirms_nothing(server: NatsServer) -> None:
    async with writing(server.url, Shelf()):  # makes the stream
        await asyncio.sleep(0.5)
    async with carrying(server.url, give_up_s=1.0) as carrier:
        with pytest.raises(CarrierFailed) as caught:
            await asyncio.to_thread(carrier.deliver, [batch_of(1)])
    assert not caught.value.is_permanent


async def test_a_store_that_is_away_is_asked_again(server: NatsServer) -> None:
    failures = [WattkeeperError("store.unreachable", is_permanent=False)] * 2
    shelf = Shelf(lambda _: failures.pop() if failures else None)
    async with writing(server.url, shelf), carrying(server.url) as carrier:
        await asyncio.to_thread(carrier.deliver, [batch_of(1)])
    assert shelf.calls_count == 3
    assert shelf.values == values_of([batch_of(1)])


class FullServer:
    """A server whose disk has no room for a stream, or has some again; with nothing to hand out."""

    is_closed = False

    def __init__(self) -> None:
        self.is_full = True
        self.asked_count = 0

    def jetstream(self) -> "FullServer":
        return self

    async def stream_info(self, _: str) -> None:
        self.asked_count += 1
        self.fail()

    def fail(self) -> None:
        if self.is_full:
            raise ServerError(
                code=500, err_code=10047, description="insufficient storage resources available"
            )

    async def pull_subscribe(self, *_: object, **__: object) -> "FullServer":
        return self

    async def fetch(self, *_: object, **__: object) -> None:
        self.asked_count += 1
        await asyncio.sleep(0.005)
        self.fail()
        raise NatsTimeout

    async def consumer_info(self) -> None:
        """It is there."""

    async def unsubscribe(self) -> None:
        """Nothing is subscribed."""

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_server_without_room_is_told_once_and_again_after_it_had_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FullServer()

    async def connected(*_: object, **__: object) -> FullServer:
        return server

    monkeypatch.setattr(carry_writer, "connect", connected)
    monkeypatch.setattr(carry_writer, "_RETRY_S", 0.005)
    with capture_logs() as told:
        async with writing("nats://127.0.0.1:1", Shelf()):
            for is_full in (True, False, True):
                server.is_full = is_full
                enough_count = server.asked_count + 10
                while server.asked_count < enough_count:  # noqa: ASYNC110 - what it looks at is the server's
                    await asyncio.sleep(0.005)
    assert [each["event"] for each in told] == ["carry.unreachable"] * 2


async def test_what_the_store_refuses_for_good_comes_back_as_that(server: NatsServer) -> None:
    def fail(batches: Sequence[RawBatch]) -> WattkeeperError | None:
        is_bad = any(batch.batch_id & 0xFF == 13 for batch in batches)
        return WattkeeperError("store.out-of-range", is_permanent=True) if is_bad else None

    shelf = Shelf(fail)
    async with (
        writing(server.url, shelf),
        carrying(server.url, "north") as north,
        carrying(server.url, "south") as south,
    ):
        good = asyncio.to_thread(south.deliver, [batch_of(14)])
        with pytest.raises(ParcelRefused) as caught:
            await asyncio.to_thread(north.deliver, [batch_of(12), batch_of(13)])
        await good
    assert caught.value.is_permanent
    assert caught.value.code == "store.out-of-range"
    assert values_of([batch_of(14)]) <= shelf.values


async def test_a_server_that_is_wiped_and_comes_back_loses_nothing(server: NatsServer) -> None:
    shelf = Shelf()
    async with writing(server.url, shelf), carrying(server.url, resend_s=1.0) as carrier:
        await asyncio.to_thread(carrier.deliver, [batch_of(1)])
        server.kill()
        server.wipe()
        delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, [batch_of(2)]))
        await asyncio.sleep(0.5)
        server.start()
        await delivery
    assert shelf.values == values_of([batch_of(1), batch_of(2)])


async def test_a_server_that_comes_back_without_what_it_had_is_sent_it_at_once(server: NatsServer) -> None:
    async with writing(server.url, Shelf()):  # makes the stream
        await asyncio.sleep(0.5)
    shelf = Shelf()
    async with carrying(server.url, resend_s=300.0, give_up_s=300.0) as carrier:
        delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, [batch_of(1)]))
        await asyncio.sleep(1.0)  # the server has it, and no writer is there
        server.kill()
        server.wipe()
        server.start()
        async with writing(server.url, shelf):
            await asyncio.wait_for(delivery, 60)
    assert shelf.values == values_of([batch_of(1)])


async def test_a_server_that_stands_still_keeps_nobody_from_ending(server: NatsServer) -> None:
    large = [batch_of(index, reads_count=2000, frame_bytes=4000) for index in range(4)]
    async with asyncio.timeout(60), writing(server.url, Shelf()), carrying(server.url) as carrier:
        await asyncio.to_thread(carrier.deliver, [batch_of(9)])
        server.pause()
        delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, large))
        await asyncio.sleep(1.0)
    with pytest.raises(CarrierFailed):
        await delivery


async def test_an_answer_that_comes_too_late_makes_nobody_deaf(server: NatsServer) -> None:
    connection = await connect(parse_carrier(server.url), name="north")
    server.pause()
    with pytest.raises(FlushTimeoutError):
        await connection.flush(1)
    server.resume()
    for _ in range(3):
        await connection.flush(10)
        assert connection._reading_task is not None
        assert not connection._reading_task.done()
    await connection.close()


async def test_a_writer_takes_from_one_subscription_however_often_its_server_went(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Client] = []

    async def note(*arguments: Any, **settings: Any) -> Client:
        made.append(await connect(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(carry_writer, "connect", note)
    shelf = Shelf()
    async with writing(server.url, shelf), carrying(server.url) as carrier:
        for index in range(4):
            await asyncio.to_thread(carrier.deliver, [batch_of(index)])
            server.kill()
            server.wipe()
            server.start()
        await asyncio.to_thread(carrier.deliver, [batch_of(9)])
        (connection,) = made
        assert len(connection._subs) == 2, "one for answers, one for parcels"


async def test_lost_confirmations_are_asked_for_again(server: NatsServer) -> None:
    shelf = Shelf()
    async with writing(server.url, shelf), carrying(server.url, resend_s=0.3) as carrier:
        take, lost = carrier._take_confirmation, [1, 2]

        async def take_some(message: object) -> None:
            if lost:
                lost.pop()
            else:
                await take(message)  # type: ignore[arg-type]

        (await carrier._connected())._subs.copy().popitem()[1]._cb = take_some
        await asyncio.to_thread(carrier.deliver, [batch_of(1)])
    assert not lost
    assert shelf.calls_count >= 3
    assert shelf.values == values_of([batch_of(1)])


PEOPLE = """
tls {{ cert_file: "{folder}/certificate.pem", key_file: "{folder}/key.pem", handshake_first: true }}
authorization {{ users: [
  {{ user: writer, password: "{secret}1", permissions: {{
      publish: ["$JS.API.>", "$JS.ACK.>", "wattkeeper.stored.*"], subscribe: ["_INBOX_writer.>"] }} }}
  {{ user: north, password: "{secret}2", permissions: {{
      publish: "wattkeeper.reads.north", subscribe: ["wattkeeper.stored.north", "_INBOX_north.>"] }} }}
  {{ user: south, password: "{secret}3", permissions: {{
      publish: "wattkeeper.reads.south", subscribe: ["wattkeeper.stored.south", "_INBOX_south.>"] }} }}
] }}
"""
SECRET = "for-this-test-only"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A server as the handbook sets it up: TLS, and permissions by name."""
    made = own(tmp_path, "127.0.0.1", now=datetime.now(UTC))
    settings = PEOPLE.format(folder=made.certificate.parent, secret=SECRET)
    with NatsServer(tmp_path / "guarded", settings=settings) as running:
        (tmp_path / "password").write_text(f"{SECRET}2")
        yield running


def known(server: NatsServer, who: str, folder: Path) -> str:
    return f"tls://{who}@127.0.0.1:{server.port}?ca={folder / 'tls' / 'certificate.pem'}"


async def test_tls_and_names_with_no_more_rights_than_needed(guarded: NatsServer, tmp_path: Path) -> None:
    shelf = Shelf()
    north = known(guarded, "north", tmp_path) + f"&password_file={tmp_path / 'password'}"
    async with (
        writing(known(guarded, f"writer:{SECRET}1", tmp_path), shelf),
        carrying(north) as carrier,
    ):
        await asyncio.to_thread(carrier.deliver, [batch_of(1)])
    assert shelf.values == values_of([batch_of(1)])


async def deliver_while_another_forges(north: str, south: str, *, give_up_s: float) -> None:
    parcel = pack_parcels([batch_of(1)], 100_000)[0]
    forged = Confirmation(parcel.digest, 1, 0, 0, STORED).encode()
    other = await connect(parse_carrier(south), name="south")
    async with carrying(north, give_up_s=give_up_s) as carrier:
        delivery = asyncio.create_task(asyncio.to_thread(carrier.deliver, [batch_of(1)]))
        while not delivery.done():
            await asyncio.sleep(0.1)
            await other.publish("wattkeeper.stored.north", forged)
        await other.close()
        await delivery


async def test_one_head_end_cannot_confirm_for_another(
    guarded: NatsServer, server: NatsServer, tmp_path: Path
) -> None:
    people = [known(guarded, who, tmp_path) for who in (f"north:{SECRET}2", f"south:{SECRET}3")]
    with pytest.raises(CarrierFailed):
        await deliver_while_another_forges(*people, give_up_s=2)
    await deliver_while_another_forges(server.url, server.url, give_up_s=60)  # without names it can


@pytest.mark.parametrize("who", ["north:wrong", "nobody:at-all"])
async def test_a_wrong_password_carries_nothing(guarded: NatsServer, tmp_path: Path, who: str) -> None:
    async with carrying(known(guarded, who, tmp_path), give_up_s=1.0) as carrier:
        with pytest.raises(CarrierFailed):
            await asyncio.to_thread(carrier.deliver, [batch_of(1)])


async def test_a_server_without_tls_never_sees_the_password(server: NatsServer, tmp_path: Path) -> None:
    """Whoever answers in its place in plain text: the client sends it nothing but a TLS greeting."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        heard.append(await reader.read(4096))
        writer.close()

    impostor = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = impostor.sockets[0].getsockname()[1]
    async with carrying(f"tls://north:{SECRET}2@127.0.0.1:{port}", give_up_s=1.0) as carrier:
        with pytest.raises(CarrierFailed):
            await asyncio.to_thread(carrier.deliver, [batch_of(1)])
    impostor.close()
    assert heard
    assert not any(SECRET.encode() in said or b"CONNECT" in said for said in heard)
