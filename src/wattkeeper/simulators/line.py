"""One TCP port of the simulated world: connections, their conversations, faults and outages."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from wattkeeper.simulators.faults import LineFaults

LISTEN_ADDRESS = "127.0.0.1"
CONNECTIONS_MAX = 64
REDIAL_S = 0.2
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Conversation(Protocol):
    """One connection's side of a protocol; never raises for anything a peer can send."""

    def feed(self, received: bytes, now_s: int) -> list[bytes]:
        """Return the answers, one frame each, that `received` completes."""
        ...


class Line:
    """Listens on a port, or dials one; during an outage connections are reset and none is taken."""

    def __init__(
        self,
        *,
        make_conversation: Callable[[], Conversation],
        faults: LineFaults,
        outages: tuple[tuple[int, int], ...],
        now_s: Callable[[], int],
        faults_after_s: int = 0,
    ) -> None:
        self.faults = faults
        self.faults_after_s = faults_after_s
        self.now_s = now_s
        self.make_conversation = make_conversation
        self.connections: set[asyncio.Transport] = set()
        self._outages = outages
        self._server: asyncio.Server | None = None
        self._dialling: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), LISTEN_ADDRESS, 0)
        return int(self._server.sockets[0].getsockname()[1])

    def dial(self, host: str, port: int, greeting: bytes = b"") -> None:
        """Connect to a head-end instead, say who we are, and connect again whenever that ends."""
        self._dialling = asyncio.create_task(self._keep_dialling(host, port, greeting))

    async def stop(self) -> None:
        """Close everything."""
        if self._dialling is not None:
            self._dialling.cancel()
        self.drop_connections()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _keep_dialling(self, host: str, port: int, greeting: bytes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self.connections and not self.is_down(self.now_s()):
                with contextlib.suppress(OSError):
                    transport, _ = await loop.create_connection(lambda: _Connection(self), host, port)
                    transport.write(greeting)
            await asyncio.sleep(REDIAL_S)

    def is_down(self, now_s: int) -> bool:
        """Whether the link is cut off."""
        return any(start <= now_s < end for start, end in self._outages)

    def tick(self, now_s: int) -> None:
        """Notice that time has moved."""
        if self.connections and self.is_down(now_s):
            self.faults.counts["dropped"] += len(self.connections)
            self.drop_connections()

    def drop_connections(self) -> None:
        """Reset every connection."""
        for transport in tuple(self.connections):
            _reset(transport)
        self.faults.forget()

    def push(self, frame: bytes) -> None:
        """Send a frame that nobody asked for to every connection."""
        for transport in tuple(self.connections):
            for octets in self.faults.pass_on(frame):
                transport.write(octets)


def _reset(transport: asyncio.Transport) -> None:
    """End a connection as a cut line does, not in good order."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    transport.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, line: Line) -> None:
        self._line = line
        self._conversation = line.make_conversation()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # the event loop's own class
        self._transport = transport
        line = self._line
        if line.is_down(line.now_s()) or len(line.connections) >= CONNECTIONS_MAX:
            line.faults.counts["refused"] += 1
            _reset(transport)
            return
        line.connections.add(transport)
        self._answer(b"")

    def data_received(self, data: bytes) -> None:
        self._answer(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        if self._transport is not None:
            self._line.connections.discard(self._transport)

    def _answer(self, received: bytes) -> None:
        line, transport = self._line, self._transport
        now_s = line.now_s()
        if transport is None or transport.is_closing():
            return
        if line.is_down(now_s):
            _reset(transport)
            return
        for answer in self._conversation.feed(received, now_s):
            is_clean = now_s <= line.faults_after_s
            for octets in [answer] if is_clean else line.faults.pass_on(answer):
                transport.write(octets)
