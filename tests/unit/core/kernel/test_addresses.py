"""Which addresses only this machine reaches."""

import pytest

from wattkeeper.core.kernel.addresses import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1"])
def test_only_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.5", "localhost.example", "127.0.0.1.example", "127.1", "db", "::2"]
)
def test_where_others_reach(host: str) -> None:
    assert not is_loopback(host)
