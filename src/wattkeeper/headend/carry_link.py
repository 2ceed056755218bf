"""The names that head-ends and writers share on the carrier, and a connection that comes back by itself."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_address import CarrierAddress

STREAM = "WATTKEEPER_READS"
DURABLE = "writers"
READS_SUBJECTS = "wattkeeper.reads.*"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_PENDING_BYTES = 16 * 1024 * 1024
_RETRY_S = 0.5
_PING_S = 10
_FLUSH_WITHIN_S = 5.0
_CANCEL_AGAIN_S = 0.2
_log = structlog.get_logger(__name__)


def check_name(name: str) -> str:
    """
    Return the head-end's name.

    :raises WattkeeperError: ``carry.name`` if it can be no part of a subject
    """
    if not _NAME.fullmatch(name):
        raise WattkeeperError("carry.name", name=name)
    return name


def reads_subject(headend: str) -> str:
    """Return where a head-end's parcels go."""
    return f"wattkeeper.reads.{headend}"


def stored_subject(headend: str) -> str:
    """Return where a writer confirms to a head-end."""
    return f"wattkeeper.stored.{headend}"


def headend_of(subject: str) -> str:
    """Return the head-end that a parcel came from."""
    return subject.rpartition(".")[2]


async def connect(
    address: CarrierAddress, *, name: str, on_back: Callable[[], None] = lambda: None
) -> Client:
    """
    Return a connection once there is one; it is sought again, without end, whenever it is lost.

    `on_back` is called each time it is there again. Answers come to subjects of its own,
    ``_INBOX_<name>.…``, so that a server can keep others from them.
    """
    noted = Noted()

    async def come_back() -> None:
        await noted.forget()
        on_back()

    while True:
        connection = _Client()
        try:
            await connection.connect(
                **address.options(),
                name=f"wattkeeper {name}",
                inbox_prefix=f"_INBOX_{name}",
                error_cb=noted.note,
                reconnected_cb=come_back,
                max_reconnect_attempts=-1,
                ping_interval=_PING_S,  # a server that lost its power says nothing
                reconnect_time_wait=_RETRY_S,  # type: ignore[arg-type]
                pending_size=_PENDING_BYTES,
                flush_timeout=_FLUSH_WITHIN_S,  # without one it waits for what a lost connection never does
                allow_reconnect=True,
            )
        except (NatsError, OSError, TimeoutError) as error:
            await noted.note(error)
            await asyncio.sleep(_RETRY_S)
            continue
        await noted.forget()
        return connection


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it ends: the library swallows a cancel that meets it while it sends.

    Who ends it waits for nothing that comes of it, so an error that it fails with meanwhile is no news.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)
    if not task.cancelled():
        task.exception()


async def close(connection: Client) -> None:
    """Say goodbye; a server that takes nothing more, or is lost meanwhile, is left without."""
    closing = asyncio.create_task(connection.close())
    closing.add_done_callback(_tell_failure)
    try:
        await asyncio.wait([closing], timeout=_FLUSH_WITHIN_S)
    finally:
        await end(closing)


def _tell_failure(closing: asyncio.Task[None]) -> None:
    if not closing.cancelled() and (error := closing.exception()) is not None:
        _log.warning("carry.unreachable", reason=reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return an error as a log says it."""
    return f"{type(error).__name__}: {error}"[:200]


class _Client(Client):
    """One that leaves a lost server at once, though that may never take what is on its way to it.

    The library waits for it: a quarter of an hour where the power is gone, for ever where only the program
    stands still. And it hears nothing more after an answer that came too late for who waited for it.
    """

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.Future()
        await super()._process_pong()

    async def _attempt_reconnect(self) -> None:
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:
            self._transport._io_writer.transport.abort()
        await super()._attempt_reconnect()


class Noted:
    """Logs errors, one that comes again and again only once until the carrier was reached."""

    def __init__(self) -> None:
        self._latest = ""

    async def note(self, error: Exception) -> None:
        """Log an error that is not the latest."""
        reason = reason_of(error)
        if reason != self._latest:
            _log.warning("carry.unreachable", reason=reason)
        self._latest = reason

    async def forget(self) -> None:
        """Begin anew: what comes next is news, even if it has happened before."""
        self._latest = ""
