"""A readings store behind a server's address: user, password and TLS, and the same promises."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from certificates import write_certificate
from conformance.stores import running_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import conformance
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.transport import StoreRefused, StoreUnreachable, address_of_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return write_certificate(path, "127.0.0.1", "0.0.0.0")


@pytest.fixture(scope="module")
def address(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """Port and password of a store that answers over TLS only."""
    with running_store(tmp_path_factory.mktemp("store")) as store:
        own = store._transport.address
        listener = socket.create_server(("127.0.0.1", 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        threading.Thread(target=_accept, args=(listener, context, own.port), daemon=True).start()
        yield listener.getsockname()[1], own.secret
        listener.close()


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_serve, args=(plain, context, port), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Carry one connection to the store and back."""
    with (
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as outer,
        socket.create_connection(("127.0.0.1", port)) as inner,
    ):
        threading.Thread(target=_carry, args=(inner, outer), daemon=True).start()
        _carry(outer, inner)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


def test_every_promise_over_tls(address: tuple[int, str], certificate: Path) -> None:
    port, password = address
    store = HttpReadingStore.of_server(
        f"clickhouse://keeper:{password}@127.0.0.1:{port}/?secure=true&ca={certificate}"
    )
    conformance.check_all(store)


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(address: tuple[int, str]) -> None:
    port, password = address
    with pytest.raises(StoreUnreachable) as caught:
        HttpReadingStore.of_server(f"clickhouse://u:{password}@127.0.0.1:{port}/?secure=true").counts(1)
    assert caught.value.code == "store.certificate"
    assert password not in str(caught.value)


def test_a_wrong_password_and_plain_words_are_refused(address: tuple[int, str], certificate: Path) -> None:
    port, password = address
    with pytest.raises(StoreRefused):
        HttpReadingStore.of_server(
            f"clickhouse://u:wrong@127.0.0.1:{port}/?secure=true&ca={certificate}"
        ).counts(1)
    with pytest.raises(StoreUnreachable):
        HttpReadingStore.of_server(f"clickhouse://u:{password}@127.0.0.1:{port}/").counts(1)


def test_elsewhere_tls_needs_no_word(address: tuple[int, str], certificate: Path) -> None:
    """0.0.0.0 leads to this machine and is not loopback: what is true of any other address is true of it."""
    port, password = address
    url = f"clickhouse://u:{password}@0.0.0.0:{port}/?ca={certificate}"
    assert HttpReadingStore.of_server(url).counts(1) is not None


def test_elsewhere_plain_words_are_never_said() -> None:
    """The planted fault is a server that speaks no TLS: it hears nothing of the password."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        heard.append(connection.recv(4096))

        threading.Thread(target=listen, daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(StoreUnreachable):
            HttpReadingStore.of_server(f"clickhouse://u:geheim@0.0.0.0:{port}/").counts(1)
        with pytest.raises(StoreUnreachable):
            HttpReadingStore.of_server(f"clickhouse://u:geheim@0.0.0.0:{port}/?insecure=true").counts(1)
        listener.close()
    said_plain = [b"geheim" in words for words in heard]
    assert said_plain[0] is False
    assert said_plain[-1] is True  # asked for by name; so the listener would have heard it


def test_an_address_says_everything() -> None:
    found = address_of_server(
        "clickhouse://me%40home:p%3Aw@db.example:9000/readings?secure=true&ca=/etc/ca.pem"
    )
    assert found == ("db.example", 9000, "p:w", "me@home", "readings", True, "/etc/ca.pem")
    assert address_of_server("clickhouse://localhost")[:4] == ("localhost", 8123, "", "default")
    assert address_of_server("clickhouse://localhost?secure=true").port == 8443


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse://",
        "http://db",
        "clickhouse://db?secure=yes",
        "clickhouse://db?verify=false",
        "clickhouse://db?insecure=yes",
        "clickhouse://db?insecure=true&secure=true",
        "clickhouse://db?insecure=true&ca=/etc/ca.pem",
    ],
)
def test_an_address_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        address_of_server(url)
    assert caught.value.code == "settings.readings-url"
