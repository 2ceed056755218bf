"""Databases and brokers at an address others reach: real servers with and without TLS.

0.0.0.0 leads to this machine and is not loopback, so what is true of any other address is true of it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from django.db.utils import ConnectionHandler, OperationalError

from brokers import broker
from certificates import write_certificate
from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from wattkeeper.actions.operations.relational_dump import dump
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data import database_tls
from wattkeeper.data.environment import database_from_url
from wattkeeper.headend import mqtt_address
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.mqtt import dial_mqtt
from wattkeeper.headend.push import Outcome

ELSEWHERE = "0.0.0.0"
Server = Callable[..., AbstractContextManager[str]]
SERVERS = [postgres_server, mariadb_server]
CIPHER = {
    "postgresql": "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT variable_value FROM information_schema.session_status"
    " WHERE variable_name = 'ssl_cipher'",
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the servers show, and the only thing that vouches for it."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "server.pem", ELSEWHERE, "127.0.0.1")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that vouches for nobody here."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "stranger.pem", ELSEWHERE)


def elsewhere(url: str, query: str = "") -> dict[str, Any]:
    return database_from_url(url.replace("127.0.0.1", ELSEWHERE) + query, Path("/nowhere"))


def cipher(settings: dict[str, Any]) -> str:
    """Connect as the registry does and return how the way is encrypted, empty where it is not."""
    wrapper = ConnectionHandler({"default": settings})["default"]
    with wrapper.wrap_database_errors:
        connection = wrapper.get_new_connection(wrapper.get_connection_params())
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute(CIPHER[wrapper.vendor])
        return str(cursor.fetchone()[0] or "")


@pytest.mark.parametrize("server", SERVERS)
def test_a_database_over_tls(server: Server, certificate: Path, stranger: Path, tmp_path: Path) -> None:
    with server(certificate) as url:
        known = elsewhere(url, f"?ca={certificate}")
        assert cipher(known)
        dump(known, tmp_path / "dump")
        assert (tmp_path / "dump").stat().st_size
        unknown = elsewhere(url, f"?ca={stranger}")
        with pytest.raises(OperationalError):
            cipher(unknown)
        with pytest.raises(WattkeeperError) as caught:
            dump(unknown, tmp_path / "dump")
        assert caught.value.code == "operations.dump-failed"
        if url.startswith("postgresql"):
            assert cipher(elsewhere(url))  # encrypted; nobody vouches for the server
        else:
            with pytest.raises(OperationalError):
                cipher(elsewhere(url))  # this machine's own list does not vouch for it


@pytest.mark.parametrize("server", SERVERS)
def test_a_database_without_tls(
    server: Server, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as url:
        for query in ("", f"?ca={certificate}"):
            with pytest.raises(OperationalError):
                cipher(elsewhere(url, query))
            with pytest.raises(WattkeeperError):
                dump(elsewhere(url, query), tmp_path / "dump")
        assert cipher(elsewhere(url, "?insecure=true")) == ""
        monkeypatch.setattr(database_tls, "is_loopback", lambda _host: True)
        assert cipher(elsewhere(url)) == ""  # the planted fault: it would have been spoken to


def peer(settings: dict[str, Any]) -> str:
    """Connect as the registry does and return the address that it led to."""
    wrapper = ConnectionHandler({"default": settings})["default"]
    with closing(wrapper.get_new_connection(wrapper.get_connection_params())) as connection:
        return str(connection.info.hostaddr)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A PostgreSQL without TLS."""
    with postgres_server() as found:
        yield found


@pytest.mark.parametrize("way", ["PGHOST", "PGHOSTADDR", "PGSERVICE"])
def test_no_environment_leads_around_tls(
    way: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PostgreSQL's library reads beside our URL sends nobody to another machine without TLS."""
    services = tmp_path / "services"
    services.write_text(f"[there]\nhost={ELSEWHERE}\nhostaddr={ELSEWHERE}\nsslmode=disable\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv(way, "there" if way == "PGSERVICE" else ELSEWHERE)
    here = database_from_url(url, tmp_path)
    assert peer(here) == "127.0.0.1"
    dump(here, tmp_path / "dump")
    without_host = database_from_url(url.replace("127.0.0.1", ""), tmp_path)
    assert peer({**without_host, "OPTIONS": {}}) == ELSEWHERE, "the planted fault: it is spoken to"
    with pytest.raises(OperationalError):
        cipher(without_host)
    with pytest.raises(WattkeeperError):
        dump(without_host, tmp_path / "dump")


async def keep(_frame: bytes) -> Outcome:
    return Outcome.KEPT


async def dialled(endpoint: str) -> str:
    """Dial a broker and return the code of what went wrong, empty where nothing did."""
    try:
        wire = await dial_mqtt(endpoint, "head-end", keep)()
    except LinkDown as error:
        return error.code
    wire.close()
    return ""


async def test_a_broker_over_tls(certificate: Path, stranger: Path, tmp_path: Path) -> None:
    with broker(tmp_path, f"certfile {certificate}", f"keyfile {certificate}") as port:
        assert await dialled(f"mqtts://{ELSEWHERE}:{port}?ca={certificate}") == ""
        assert await dialled(f"mqtts://{ELSEWHERE}:{port}?ca={stranger}") == "headend.broker-certificate"
        assert await dialled(f"mqtts://{ELSEWHERE}:{port}") == "headend.broker-certificate"


async def test_a_broker_without_tls(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broker(tmp_path) as port:
        assert await dialled(f"mqtt://127.0.0.1:{port}") == ""
        assert await dialled(f"mqtts://{ELSEWHERE}:{port}?ca={certificate}") == "headend.link-refused"
        assert await dialled(f"mqtt://{ELSEWHERE}:{port}") == "headend.broker-insecure"
        assert await dialled(f"mqtt://{ELSEWHERE}:{port}?insecure=true") == ""
        monkeypatch.setattr(mqtt_address, "is_loopback", lambda _host: True)
        assert await dialled(f"mqtt://{ELSEWHERE}:{port}") == ""  # the planted fault: it would be spoken to
