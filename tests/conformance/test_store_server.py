"""A readings store behind a server's address: user, password and TLS, and the same promises."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conformance.stores import running_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import conformance
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.transport import StoreRefused, StoreUnreachable, address_of_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(plain + made.public_bytes(serialization.Encoding.PEM))
    return path


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


def test_an_address_says_everything() -> None:
    found = address_of_server(
        "clickhouse://me%40home:p%3Aw@db.example:9000/readings?secure=true&ca=/etc/ca.pem"
    )
    assert found == ("db.example", 9000, "p:w", "me@home", "readings", True, "/etc/ca.pem")
    assert address_of_server("clickhouse://db")[:4] == ("db", 8123, "", "default")
    assert address_of_server("clickhouse://db?secure=true").port == 8443


@pytest.mark.parametrize(
    "url", ["clickhouse://", "http://db", "clickhouse://db?secure=yes", "clickhouse://db?verify=false"]
)
def test_an_address_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        address_of_server(url)
    assert caught.value.code == "settings.readings-url"
