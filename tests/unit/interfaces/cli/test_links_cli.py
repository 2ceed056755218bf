"""A link's secrets reach it by a file or standard input, never by the command itself."""

import json
from pathlib import Path

import pytest

from relational import People, Street
from shell_runner import refused, run
from wattkeeper.data.collection.models import Link

ENDPOINT = "mqtts://me:geheim@broker.example:8883"
SHOWN = "mqtts://me:***@broker.example:8883"


def endpoint_of(name: str) -> str:
    return Link.objects.get(name=name).endpoint


def test_an_endpoint_with_a_password_comes_from_a_file_or_is_typed(
    ours: People, street: Street, tmp_path: Path
) -> None:
    file = tmp_path / "broker"
    file.write_text(ENDPOINT + "\n")
    run("link", "add", "a", f"@{file}", "--site", "S1", "--transport", "MQTT")
    run("link", "add", "b", "-", "--site", "S1", "--transport", "MQTT", typed=ENDPOINT + "\n")
    assert endpoint_of("a") == endpoint_of("b") == ENDPOINT
    run("link", "edit", "a", "--endpoint", "-", typed=ENDPOINT.replace("geheim", "neu"))
    run("link", "copy", "a", "c", f"@{file}")
    assert (endpoint_of("a"), endpoint_of("c")) == (ENDPOINT.replace("geheim", "neu"), ENDPOINT)


@pytest.mark.parametrize(
    "endpoint",
    [
        ENDPOINT,
        "me:geheim@broker.example:8883",
        "mqtt://:geheim@127.0.0.1:1883",
        "mqtts://me:ge?heim@h:8883",
        "listen://0.0.0.0:9000?token=geheim-1",
        "listen://0.0.0.0:9000?from=10.1.2.3&%74oken=geheim-1",
        "listen://0.0.0.0:9000?token=***&token=geheim-1",
    ],
)
@pytest.mark.parametrize(
    "verb",
    [
        ("add", "a", "{}", "--site", "S1", "--transport", "MQTT"),
        ("edit", "line", "--endpoint", "{}"),
        ("copy", "line", "b", "{}"),
    ],
    ids=lambda verb: verb[0],
)
def test_a_password_in_the_command_is_refused(
    ours: People, street: Street, verb: tuple[str, ...], endpoint: str
) -> None:
    before = list(Link.objects.values_list("name", "endpoint"))
    assert refused("link", *(part.format(endpoint) for part in verb)) == "shell.password-in-command"
    assert list(Link.objects.values_list("name", "endpoint")) == before


@pytest.mark.parametrize(
    "endpoint",
    ["mqtts://me@broker.example:8883", "mqtts://broker.example:8883?ca=/a:b@c", "mqtts://[::1]:8883"],
)
def test_an_endpoint_without_one_is_taken(ours: People, street: Street, endpoint: str) -> None:
    run("link", "add", "a", endpoint, "--site", "S1", "--transport", "MQTT")
    assert endpoint_of("a") == endpoint


def test_the_mark_of_a_packet_in_the_command_is_what_is_stored(ours: People, street: Street) -> None:
    run("link", "add", "a", "-", "--site", "S1", typed="listen://0.0.0.0:9000?token=geheim-1")
    run("link", "edit", "a", "--endpoint", "listen://0.0.0.0:9001?token=***")
    assert endpoint_of("a") == "listen://0.0.0.0:9001?token=geheim-1"


def test_a_list_shows_no_secret(ours: People, street: Street) -> None:
    run("link", "add", "a", "-", "--site", "S1", "--transport", "MQTT", typed=ENDPOINT)
    run("link", "add", "b", "-", "--site", "S1", typed="listen://0.0.0.0:9000?token=geheim-1")
    for arguments in (("list",), ("list", "--json")):
        assert "geheim" not in run("link", *arguments)
    shown = {row["name"]: row["endpoint"] for row in json.loads(run("link", "list", "--json"))}
    assert shown["a"] == SHOWN
    assert shown["b"] == "listen://0.0.0.0:9000?token=***"


def test_a_mark_in_the_command_stands_for_the_password(ours: People, street: Street) -> None:
    run("link", "add", "a", "-", "--site", "S1", "--transport", "MQTT", typed=ENDPOINT)
    run("link", "edit", "a", "--endpoint", f"{SHOWN}?ca=/ca.pem")
    run("link", "copy", "a", "b", SHOWN)
    assert (endpoint_of("a"), endpoint_of("b")) == (f"{ENDPOINT}?ca=/ca.pem", ENDPOINT)
    elsewhere = SHOWN.replace("broker.", "evil.")
    assert refused("link", "edit", "a", "--endpoint", elsewhere) == "links.secret-elsewhere"
    assert refused("link", "copy", "a", "c", elsewhere) == "links.secret-elsewhere"
    assert endpoint_of("a") == f"{ENDPOINT}?ca=/ca.pem"


def test_a_file_that_says_nothing_is_told(ours: People, street: Street, tmp_path: Path) -> None:
    (other := tmp_path / "other").write_bytes(b"\xff\xfe")
    for file in (tmp_path / "none", other):
        assert refused("link", "add", "a", f"@{file}", "--site", "S1") == "shell.file-unreadable"
        key = ("--key", f"password=@{file}")
        assert refused("meter", "add", "M9", "--site", "S1", *key) == "shell.file-unreadable"
