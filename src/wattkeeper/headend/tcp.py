"""The bytes of one line: a TCP connection we dial, with a bounded receive buffer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, cast
from urllib.parse import urlsplit

from wattkeeper.core.kernel.endpoints import shown_endpoint
from wattkeeper.headend.errors import LinkDown

BUFFER_MAX_BYTES = 128 * 1024  # twice the largest frame of any protocol here
_CONNECT_TIMEOUT_S = 5.0


class Wire(Protocol):
    """A connection as a line sees it: bytes out, a buffer that fills, a way to wait for more."""

    buffer: bytearray
    overflow_bytes: int

    @property
    def is_open(self) -> bool:
        """Whether bytes can still come and go."""
        ...

    def send(self, frame: bytes) -> None:
        """Send the bytes. Raises LinkDown if the connection is gone."""
        ...

    async def wait(self) -> None:
        """Return once more bytes have come. Raises LinkDown if the connection is gone."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


Connect = Callable[[], Awaitable[Wire]]


class TcpWire(asyncio.Protocol):
    """One TCP connection. What exceeds its buffer without becoming a frame is dropped and counted."""

    __slots__ = ("_arrival", "_transport", "buffer", "overflow_bytes")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.overflow_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._arrival: asyncio.Future[None] | None = None  # made when somebody waits: most never do

    @property
    def is_open(self) -> bool:
        """Whether bytes can still come and go."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        transport = cast("asyncio.Transport", transport)  # the event loop's own class
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep the bytes, within bounds."""
        self.buffer += data
        if len(self.buffer) > BUFFER_MAX_BYTES:
            self.overflow_bytes += len(self.buffer)
            self.buffer.clear()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Wake who waits."""
        self._transport = None
        self._wake()

    def send(self, frame: bytes) -> None:
        """Send the bytes. Raises LinkDown if the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise LinkDown("headend.link-lost", is_permanent=False)
        self._transport.write(frame)

    async def wait(self) -> None:
        """Return once more bytes have come. Raises LinkDown if the connection is gone."""
        if self.is_open:
            if self._arrival is None:
                self._arrival = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._arrival)
        if not self.is_open:
            raise LinkDown("headend.link-lost", is_permanent=False)

    def close(self) -> None:
        """Let go of the connection."""
        if self._transport is not None:
            self._transport.close()

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.set_result(None)
            self._arrival = None


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``scheme://host:port``.

    :raises LinkDown: if there is no port
    """
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"tcp://{endpoint}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None:
        raise LinkDown("headend.endpoint-invalid", endpoint=shown_endpoint(endpoint))
    return host, port


def dial(endpoint: str) -> Connect:
    """Return what connects to `endpoint`; it raises LinkDown where nobody answers."""

    async def connect() -> Wire:
        host, port = split_endpoint(endpoint)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, wire = await loop.create_connection(TcpWire, host, port)
        except (OSError, TimeoutError) as error:
            shown = shown_endpoint(endpoint)
            raise LinkDown("headend.link-refused", is_permanent=False, endpoint=shown) from error
        return wire

    return connect
