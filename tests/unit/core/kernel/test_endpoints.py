"""What of an endpoint people see, and what stands where they give it back."""

from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattkeeper.core.kernel import endpoints
from wattkeeper.core.kernel.endpoints import MARK, kept_endpoint, shown_endpoint
from wattkeeper.core.kernel.errors import WattkeeperError

SECRET = "GeHeim"
BROKER = f"mqtts://me:{SECRET}@broker.example:8883?ca=/etc/ca.pem"
DOOR = f"listen://0.0.0.0:9000?from=10.1.2.3&token={SECRET}-1"
around = st.text(st.sampled_from("ab1:@/?#&=%[]*. \té证"), max_size=8)
hosts = st.sampled_from(["broker.example", "10.0.0.5", "[::1]", "HOST"])
options = st.sampled_from(
    ["", "?ca=/a:b@c", "?cert=/a&key=/b", "?insecure=true", "?from=10.1.2.3,10.2.0.0/16"]
)


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        (BROKER, "mqtts://me:***@broker.example:8883?ca=/etc/ca.pem"),
        (DOOR, "listen://0.0.0.0:9000?from=10.1.2.3&token=***"),
        (
            "listen://0.0.0.0:9000?%74oken=hex:4765&from=10.1.2.3",
            "listen://0.0.0.0:9000?%74oken=***&from=10.1.2.3",
        ),
        ("me:p@w@127.0.0.1:1883", "me:***@127.0.0.1:1883"),
        ("mqtt://:p%3Aw@[::1]:1883/", "mqtt://:***@[::1]:1883/"),
        ("mqtts://broker.example:8883?ca=/a:b@c", "mqtts://broker.example:8883?ca=/a:b@c"),
        ("mqtts://me@broker.example:8883", "mqtts://me@broker.example:8883"),
        ("mqtts://me:@broker.example:8883", "mqtts://me:@broker.example:8883"),
        ("127.0.0.1:9", "127.0.0.1:9"),
        ("host:x", "host:x"),
        ("", ""),
        ("mqtts://me:p/w@broker.example:8883", "mqtts://***"),
        ("mqtts://me:12?ca=w@broker.example&x=y", "mqtts://***"),
        ("listen://0.0.0.0:9000&token=packet-1", "listen://***"),
        ("listen://0.0.0.0:9000/token=packet-1", "listen://***"),
        ("listen://0.0.0.0:9000?tokn=packet-1", "listen://***"),
        ("me:a://b@host:1", "***"),
    ],
)
def test_what_is_shown(endpoint: str, shown: str) -> None:
    assert shown_endpoint(endpoint) == shown


def hides(before: str, after: str, host: str, option: str) -> bool:
    """Whether a password, however it is written, is nowhere in what is shown, nor in what that shows."""
    shown = shown_endpoint(f"mqtts://me:{before}{SECRET}{after}@{host}:8883{option}")
    return SECRET not in shown and shown_endpoint(shown) == shown


@given(around, around, hosts, options)
@example("a/", "", "broker.example", "?ca=/a@b")
@example("1?x=", "", "broker.example", "")
@example("", "&token=x", "broker.example", "?token=y")
def test_no_password_is_shown(before: str, after: str, host: str, option: str) -> None:
    assert hides(before, after, host, option)


@given(around, around, st.sampled_from(["?token=", "?from=10.1.2.3&token=", "?%74oken="]))
def test_no_packet_is_shown(before: str, after: str, option: str) -> None:
    assert SECRET not in shown_endpoint(
        f"listen://0.0.0.0:9000{option}{before.replace('&', '')}{SECRET}{after}"
    )


@given(st.text(min_size=1, max_size=20), hosts, options)
def test_all_else_is_as_it_was(password: str, host: str, option: str) -> None:
    endpoint = f"mqtts://me:{quote(password, safe='')}@{host}:8883{option}"
    shown, whole = urlsplit(shown_endpoint(endpoint)), urlsplit(endpoint)
    assert shown.password == MARK
    for name in ("scheme", "username", "hostname", "port", "path", "query", "fragment"):
        assert getattr(shown, name) == getattr(whole, name)
    assert kept_endpoint(shown.geturl(), endpoint) == endpoint


@given(st.text(min_size=1, max_size=20))
def test_a_door_is_as_it_was_but_for_its_packet(packet: str) -> None:
    endpoint = f"listen://0.0.0.0:9000?from=10.1.2.3&token={quote(packet, safe='')}"
    shown = shown_endpoint(endpoint)
    assert parse_qsl(urlsplit(shown).query) == [("from", "10.1.2.3"), ("token", MARK)]
    assert kept_endpoint(shown, endpoint) == endpoint


@given(around, around)
def test_what_is_shown_stands_for_what_is_stored(before: str, after: str) -> None:
    stored = f"mqtts://me:{before}{SECRET}{after}@broker.example:8883"
    assert kept_endpoint(shown_endpoint(stored), stored) == stored


@pytest.mark.parametrize(
    ("endpoint", "stored", "kept"),
    [
        (
            "mqtts://me:***@broker.example:8884?ca=/new",
            BROKER,
            f"mqtts://me:{SECRET}@broker.example:8884?ca=/new",
        ),
        ("mqtts://me:***@BROKER.example:1", "mqtt://me:a@broker.example:1", "mqtts://me:a@BROKER.example:1"),
        ("mqtt://me:***@127.0.0.1:2", "me:a@127.0.0.1:1", "mqtt://me:a@127.0.0.1:2"),
        ("listen://0.0.0.0:9001?token=***", DOOR, f"listen://0.0.0.0:9001?token={SECRET}-1"),
        ("mqtts://you:new@other.example:8883", BROKER, "mqtts://you:new@other.example:8883"),
        ("mqtts://me:a***b@other.example:8883", BROKER, "mqtts://me:a***b@other.example:8883"),
        ("mqtts://me@other.example:8883", BROKER, "mqtts://me@other.example:8883"),
        ("127.0.0.1:9", BROKER, "127.0.0.1:9"),
        ("", "", ""),
    ],
)
def test_what_is_kept(endpoint: str, stored: str, kept: str) -> None:
    assert kept_endpoint(endpoint, stored) == kept


@pytest.mark.parametrize(
    ("endpoint", "stored"),
    [
        ("mqtts://me:***@evil.example:8883", BROKER),
        ("mqtts://me:***@evil.example:8883#@broker.example", BROKER),
        ("mqtts://you:***@broker.example:8883", BROKER),
        ("mqtts://:***@broker.example:8883", BROKER),
        ("mqtt://me:***@broker.example:8883?insecure=true", BROKER),
        ("tcp://me:***@broker.example:8883", BROKER),
        ("mqtts://me:***@broker.example:8883", "mqtts://me@broker.example:8883"),
        ("mqtts://me:***@broker.example:8883", ""),
        ("mqtts://me:***@broker.example:8883", "mqtts://me:p/w@broker.example:8883"),
        ("mqtts://***:1", "mqtts://me:p/w@broker.example:8883"),
        ("listen://0.0.0.0:9000?token=***", BROKER),
        ("listen://10.0.0.1:9000?token=***", DOOR),
        ("mqtts://me:***@broker.example:8883?token=***", BROKER),
    ],
)
def test_a_secret_goes_nowhere_else(endpoint: str, stored: str) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        kept_endpoint(endpoint, stored)
    assert (refusal.value.code, refusal.value.params) == ("links.secret-elsewhere", {"field": "endpoint"})


def test_a_look_only_where_secrets_belong_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what is not written like an endpoint is shown as it is."""
    monkeypatch.setattr(endpoints, "_MAY_HIDE", endpoints.re.compile("(?!)"))
    assert not hides("a/", "", "broker.example", "")
    assert hides("", "", "broker.example", "")


def test_a_secret_that_follows_any_mark_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: nobody compares where the endpoint leads."""
    monkeypatch.setattr(endpoints, "_leads_alike", lambda _endpoint, _stored: True)
    assert SECRET in kept_endpoint("mqtts://me:***@evil.example:8883", BROKER)
