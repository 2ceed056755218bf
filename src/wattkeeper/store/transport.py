"""Requests in ClickHouse's HTTP dialect: one kept connection a thread, errors by code."""

import json
import threading
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLCertVerificationError, create_default_context
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from wattkeeper.core.kernel.addresses import is_loopback, split_url
from wattkeeper.core.kernel.errors import WattkeeperError

PATIENCE_S = 120.0  # with a question, an insert
PATIENCE_WITH_TABLES_S = 3600.0  # with what the engine does to whole tables: check, attach, rewrite
FORM_HEADER = "X-ClickHouse-Format"
_PORT, _TLS_PORT = 8123, 8443
_DISK_FULL = ("NOT_ENOUGH_SPACE", "No space left on device")


class StoreRefused(WattkeeperError):
    """Raised when the engine answers with an error: ``store.refused``, ``store.disk-full``.

    Never permanent: what is sent was checked before, so the fault is the engine's and can be mended there.
    """


class StoreUnreachable(WattkeeperError):
    """Raised when no engine answers: ``store.unreachable``, ``store.not-running``; later can help."""


class Address(NamedTuple):
    """Where an engine listens and what it wants to hear."""

    host: str
    port: int
    secret: str
    user: str = "default"
    database: str = ""  # the user's own
    is_tls: bool = False
    ca_file: str = ""  # certificates that are trusted; the machine's where empty

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port})"


Locate = Callable[[], Address]
Body = bytes | Sequence[bytes | memoryview]


def address_of(url: str, secret: str) -> Address:
    """Return the address of an engine at an ``http://host:port`` URL."""
    parts = urlsplit(url)
    return Address(parts.hostname or "127.0.0.1", parts.port or 8123, secret)


def address_of_server(url: str) -> Address:
    """Return the address in ``clickhouse://user:password@host:port/database?ca=FILE``.

    TLS on any address but loopback, ``secure=true`` asks for it there too; ``insecure=true`` does without it
    where others can listen.

    :raises WattkeeperError: ``settings.readings-url`` for a part that is not understood, without any of it
        where it may hold the password;
        ``settings.readings-insecure`` for ``secure=false`` alone on an address that others reach
    """
    parts = split_url(url)
    if parts is None:
        raise WattkeeperError("settings.readings-url", place="")
    host = parts.hostname or ""
    options = parse_qs(parts.query, keep_blank_values=True)
    is_exposed = not is_loopback(host)
    is_insecure = "insecure" in options
    is_told = options.pop("insecure", ["true"])[-1] == "true"
    secure = options.pop("secure", ["true" if is_exposed and not is_insecure else "false"])[-1].lower()
    ca_file = options.pop("ca", [""])[-1]
    is_tls = secure == "true"
    is_contrary = is_insecure and (is_tls or bool(ca_file))
    is_known = parts.scheme == "clickhouse" and not options and secure in ("true", "false") and is_told
    if not is_known or not host or is_contrary:
        raise WattkeeperError("settings.readings-url", place=f"{parts.scheme}://{host}")
    if is_exposed and not is_tls and not is_insecure:
        raise WattkeeperError("settings.readings-insecure", place=f"{parts.scheme}://{host}")
    return Address(
        host,
        parts.port or (_TLS_PORT if is_tls else _PORT),
        unquote(parts.password or ""),
        unquote(parts.username or "default"),
        unquote(parts.path.strip("/")),
        is_tls,
        ca_file,
    )


def address_in(path: Path) -> Address:
    """Return the address that a store process wrote to `path`.

    :raises StoreUnreachable: ``store.not-running`` if there is none
    """
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise StoreUnreachable("store.not-running", is_permanent=False, folder=str(path.parent)) from error
    return address_of(told["url"], told["secret"])


class Transport:
    """Asks one engine; safe to use from several threads.

    A store process that was started again has another port and secret, so the address is looked up anew when
    the connection is lost or the secret is refused, and the request is sent once more. An insert may come
    twice: reads are a set, and a run's values are the same.
    """

    def __init__(self, locate: Locate, *, is_bulk: bool) -> None:
        self._locate = locate
        self._lane = "bulk" if is_bulk else "interactive"
        self._local = threading.local()
        self.address = locate()

    def ask(self, body: Body, path: str, *, patience_s: float = PATIENCE_S, form: str = "") -> bytes:
        """Return the answer to a body, whole or in pieces.

        :param form: the format that an answer has to be said to have; one that is not empty may say nothing
            of it, as from the store process of an earlier release
        :raises StoreRefused: if the engine answers with an error or in another format
        :raises StoreUnreachable: if it does not answer, or not in time
        """
        try:
            status, said, content = self._exchange(body, path, patience_s)
        except SSLCertVerificationError as error:
            self._close()
            raise StoreUnreachable(
                "store.certificate", is_permanent=False, host=self.address.host, reason=error.verify_message
            ) from error
        except TimeoutError as error:
            raise self._unreachable() from error
        except (HTTPException, OSError):
            status, said, content = self._ask_anew(body, path, patience_s)
        if status in (401, 403):
            status, said, content = self._ask_anew(body, path, patience_s)
        if status == 200 and (form in ("", said) or (content and not said)):
            return content
        text = content.decode("utf-8", "replace")
        if any(sign in text for sign in _DISK_FULL):
            raise StoreRefused("store.disk-full", is_permanent=False)
        raise StoreRefused("store.refused", is_permanent=False, status=status, reason=text[:500])

    def _ask_anew(self, body: Body, path: str, patience_s: float) -> tuple[int, str, bytes]:
        self._close()
        self.address = self._locate()
        try:
            return self._exchange(body, path, patience_s)
        except (HTTPException, OSError) as error:
            raise self._unreachable() from error

    def _exchange(self, body: Body, path: str, patience_s: float) -> tuple[int, str, bytes]:
        address, connection = self._connected()
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(patience_s)
        size_bytes = len(body) if isinstance(body, bytes) else sum(map(len, body))
        headers = {
            "X-ClickHouse-User": address.user.encode(),
            "X-ClickHouse-Key": address.secret.encode(),
            "X-Wattkeeper-Lane": self._lane.encode(),
            "Content-Length": str(size_bytes).encode(),
        }
        if address.database:
            headers["X-ClickHouse-Database"] = address.database.encode()
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader(FORM_HEADER, ""), answer.read()

    def _connected(self) -> tuple[Address, HTTPConnection]:
        """The thread's connection; another one where the address changed since."""
        kept: tuple[Address, HTTPConnection] | None = getattr(self._local, "kept", None)
        if kept is None or kept[0] != self.address:
            self._close()
            address = self.address
            kept = (address, _connection_to(address))
            self._local.kept = kept
        return kept

    def _unreachable(self) -> StoreUnreachable:
        self._close()
        place = f"{self.address.host}:{self.address.port}"
        return StoreUnreachable("store.unreachable", is_permanent=False, address=place)

    def _close(self) -> None:
        kept: tuple[Address, HTTPConnection] | None = getattr(self._local, "kept", None)
        if kept is not None:
            kept[1].close()
            self._local.kept = None


def _connection_to(address: Address) -> HTTPConnection:
    """A connection not yet made; over TLS the server has to prove its name."""
    if not address.is_tls:
        return HTTPConnection(address.host, address.port, timeout=PATIENCE_S)
    context = create_default_context(cafile=address.ca_file or None)
    return HTTPSConnection(address.host, address.port, timeout=PATIENCE_S, context=context)
