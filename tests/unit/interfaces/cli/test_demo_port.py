"""The port that the check's pages will have: nobody takes it before they are up, minutes later."""

import socket
from types import SimpleNamespace

import pytest

from wattkeeper.interfaces.cli.demo import street

KERNEL_BEGINS_AT = 32_768  # to give ports away to who connects from one, or asks for any


def test_it_is_none_that_the_kernel_gives_away() -> None:
    assert max(street.free_port() for _ in range(50)) < KERNEL_BEGINS_AT


def test_it_is_none_that_somebody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    free = street.free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        drawn = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(street, "_DICE", SimpleNamespace(randrange=lambda *_: next(drawn)))
        assert street.free_port() == free
