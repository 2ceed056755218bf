"""The carrier's address: no TLS and no name only where nobody else is."""

from pathlib import Path

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.carry_link import check_name


@pytest.mark.parametrize(
    "url",
    ["nats://127.0.0.1", "nats://localhost:4223", "nats://[::1]:4222", "nats://127.0.0.1,127.0.0.2:5222"],
)
def test_this_machine_needs_no_name(url: str) -> None:
    address = parse_carrier(url)
    assert address.user == ""
    assert "tls" not in address.options()


def test_every_server_gets_a_port() -> None:
    assert parse_carrier("nats://127.0.0.1,[::1]:5222").servers == (
        "nats://127.0.0.1:4222",
        "nats://[::1]:5222",
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1", "carry.url"),
        ("nats://", "carry.url"),
        ("nats://127.0.0.1/stream", "carry.url"),
        ("nats://127.0.0.1?colour=red", "carry.url"),
        ("nats://10.0.0.5?insecure=yes", "carry.url"),
        ("nats://[::1", "carry.url"),
        ("tls://name:secret@10.0.0.5?ca=", "carry.url"),
        ("tls://name:secret@10.0.0.5?ca=/nowhere&ca=/elsewhere", "carry.url"),
        ("tls://name:secret@10.0.0.5?key=/nowhere", "carry.url"),
        ("nats://10.0.0.5", "carry.insecure"),
        ("nats://name:secret@127.0.0.1,10.0.0.5", "carry.insecure"),
        ("nats://10.0.0.5?insecure=true", "carry.no-credentials"),
        ("tls://10.0.0.5", "carry.no-credentials"),
        ("tls://name@10.0.0.5", "carry.no-credentials"),
        ("tls://name@10.0.0.5?password_file=/nowhere", "carry.file-unreadable"),
        ("tls://name:secret@10.0.0.5?ca=/nowhere", "carry.file-unreadable"),
    ],
)
def test_what_is_refused(url: str, code: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        parse_carrier(url)
    assert caught.value.code == code


def test_tls_begins_before_the_greeting_and_checks_the_name() -> None:
    address = parse_carrier("tls://north:p%40ss@nats.example:4222")
    options = address.options()
    assert (options["user"], options["password"]) == ("north", "p@ss")
    assert options["tls_handshake_first"]
    assert options["tls"].check_hostname


def test_a_password_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-the-file\n")
    address = parse_carrier(f"tls://north@10.0.0.5?password_file={tmp_path / 'password'}")
    assert address.password == "from-the-file"
    assert "from-the-file" not in repr(address)


@pytest.mark.parametrize("name", ["", "North", "a.b", "a b", "*", "a>", "-a", "x" * 32])
def test_a_name_that_is_no_part_of_a_subject(name: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        check_name(name)
    assert caught.value.code == "carry.name"
