"""A readings server's address: TLS wherever others can listen, unless it is done without by name."""

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import transport
from wattkeeper.store.transport import address_of_server


@pytest.mark.parametrize(
    ("url", "port", "is_tls"),
    [
        ("clickhouse://db.example", 8443, True),
        ("clickhouse://10.0.0.5:8123", 8123, True),
        ("clickhouse://10.0.0.5?secure=true", 8443, True),
        ("clickhouse://10.0.0.5?ca=/etc/ca.pem", 8443, True),
        ("clickhouse://10.0.0.5?insecure=true", 8123, False),
        ("clickhouse://10.0.0.5?secure=false&insecure=true", 8123, False),
        ("clickhouse://localhost.example", 8443, True),
        ("clickhouse://127.0.0.1.example", 8443, True),
        ("clickhouse://127.0.0.1", 8123, False),
        ("clickhouse://localhost", 8123, False),
        ("clickhouse://[::1]:9000", 9000, False),
        ("clickhouse://localhost?secure=false", 8123, False),
        ("clickhouse://localhost?secure=true", 8443, True),
    ],
)
def test_where_it_is_tls(url: str, port: int, *, is_tls: bool) -> None:
    address = address_of_server(url)
    assert (address.port, address.is_tls) == (port, is_tls)


def refuses_plain() -> bool:
    try:
        address_of_server("clickhouse://u:geheim@10.0.0.5?secure=false")
    except WattkeeperError as error:
        return error.code == "settings.readings-insecure" and "geheim" not in str(error.params)
    return False


def test_plain_elsewhere_needs_its_name() -> None:
    assert refuses_plain()


def test_a_parser_that_takes_plain_anywhere_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: every address is taken for this machine's."""
    monkeypatch.setattr(transport, "is_loopback", lambda _host: True)
    assert not refuses_plain()
    assert not address_of_server("clickhouse://10.0.0.5").is_tls
