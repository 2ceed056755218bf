"""Which addresses only this machine reaches, and of which a secret is where it belongs."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.addresses import is_loopback, split_url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1"])
def test_only_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.5", "localhost.example", "127.0.0.1.example", "127.1", "db", "::2"]
)
def test_where_others_reach(host: str) -> None:
    assert not is_loopback(host)


SECRETS = st.text(st.sampled_from("aZ0/?#@:[]%&=+\\ \u2100\u5bc6\n"), min_size=1, max_size=12)
REST = st.sampled_from(["@h", "@h/db", "@h:1/db?ca=/a@b", "@[::1]:1/db", "@h:x", "", "@"])


@given(SECRETS, REST)
def test_a_secret_written_as_it_is_stays_in_its_place_or_all_is_refused(secret: str, rest: str) -> None:
    parts = split_url(f"scheme://me:{secret}{rest}")
    if parts is not None and rest.startswith("@h"):
        assert (parts.password, parts.hostname) == (secret, "h")


@given(st.text(min_size=1).filter(str.isprintable))
def test_a_secret_of_which_all_is_written_as_numbers_is_taken(secret: str) -> None:
    parts = split_url(f"scheme://me:{quote(secret, safe='')}@h:1/db?ca=/a@b")
    assert parts is not None
    assert (unquote(parts.password or ""), parts.hostname, parts.port) == (secret, "h", 1)
