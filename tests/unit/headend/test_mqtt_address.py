"""A broker's address: TLS wherever others can listen, unless it is done without by name."""

from pathlib import Path

import pytest

from wattkeeper.headend import mqtt_address
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.mqtt import dial_mqtt
from wattkeeper.headend.mqtt_address import parse_broker
from wattkeeper.headend.push import Outcome


@pytest.mark.parametrize(
    "endpoint",
    [
        "mqtt://127.0.0.1:1883",
        "localhost:1883",
        "mqtt://[::1]:1883/",
        "mqtt://10.0.0.5:1883?insecure=true",
        "10.0.0.5:1883?insecure=true",
    ],
)
def test_plain_on_this_machine_or_by_name(endpoint: str) -> None:
    address = parse_broker(endpoint)
    assert (address.port, address.tls, address.user) == (1883, None, None)


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("", "headend.broker-invalid"),
        ("broker", "headend.broker-invalid"),
        ("mqtt://[::1:1883", "headend.broker-invalid"),
        ("mqtt://:1883", "headend.broker-invalid"),
        ("mqtts://broker", "headend.broker-invalid"),
        ("mqtts://broker:x", "headend.broker-invalid"),
        ("http://127.0.0.1:1883", "headend.broker-invalid"),
        ("mqtt://127.0.0.1:1883/topic", "headend.broker-invalid"),
        ("mqtt://127.0.0.1:1883?colour=red", "headend.broker-invalid"),
        ("mqtt://127.0.0.1:1883?ca=/etc/ca.pem", "headend.broker-invalid"),
        ("mqtt://10.0.0.5:1883?insecure=yes", "headend.broker-invalid"),
        ("mqtt://10.0.0.5:1883?insecure", "headend.broker-invalid"),
        ("mqtts://10.0.0.5:8883?insecure=true", "headend.broker-invalid"),
        ("mqtts://10.0.0.5:8883?key=/etc/key.pem", "headend.broker-invalid"),
        ("mqtts://10.0.0.5:8883?ca=", "headend.broker-invalid"),
        ("mqtts://10.0.0.5:8883?ca=/etc/a.pem&ca=/etc/b.pem", "headend.broker-invalid"),
        ("mqtts://10.0.0.5:8883?ca=/nowhere", "headend.broker-file-unreadable"),
        ("mqtts://10.0.0.5:8883?cert=/nowhere", "headend.broker-file-unreadable"),
        ("mqtt://10.0.0.5:1883", "headend.broker-insecure"),
        ("mqtt://me:geheim@broker.example:1883", "headend.broker-insecure"),
        ("mqtt://localhost.example:1883", "headend.broker-insecure"),
        ("10.0.0.5:1883", "headend.broker-insecure"),
    ],
)
def test_what_is_refused(endpoint: str, code: str) -> None:
    with pytest.raises(LinkDown) as caught:
        parse_broker(endpoint)
    assert caught.value.code == code
    assert not caught.value.params


def test_tls_checks_the_name_and_shows_no_password() -> None:
    address = parse_broker("mqtts://me%40home:p%3Aw@broker.example:8883")
    assert (address.host, address.port, address.user, address.password) == (
        "broker.example",
        8883,
        "me@home",
        "p:w",
    )
    assert address.tls is not None
    assert address.tls.check_hostname
    assert "p:w" not in repr(address)


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(LinkDown) as caught:
        parse_broker(f"mqtts://broker:8883?ca={file}")
    assert caught.value.code == "headend.broker-file-unreadable"


async def refuses_plain() -> bool:
    async def keep(_frame: bytes) -> Outcome:
        return Outcome.KEPT

    try:
        await dial_mqtt("mqtt://0.0.0.0:1", "me", keep)()
    except LinkDown as error:
        return error.code == "headend.broker-insecure"
    return False


async def test_a_link_does_not_dial_a_plain_broker_elsewhere() -> None:
    assert await refuses_plain()


async def test_a_parser_that_takes_plain_anywhere_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: every address is taken for this machine's."""
    monkeypatch.setattr(mqtt_address, "is_loopback", lambda _host: True)
    assert not await refuses_plain()
