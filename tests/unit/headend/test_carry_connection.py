"""A connection that is lost at the moment it is made: the carrier seeks another."""

import asyncio
from contextlib import suppress

import pytest
from nats.errors import ConnectionClosedError

from wattkeeper.headend import carry
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.metrics import HeadendMetrics


class Connection:
    """One that the server takes away before anything is asked of it, or not."""

    is_closed, max_payload = False, 4096

    def __init__(self, *, is_lost: bool) -> None:
        self._is_lost = is_lost

    async def subscribe(self, *_: object, **__: object) -> None:
        if self._is_lost:
            raise ConnectionClosedError

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_connection_that_ended_as_it_was_made_is_sought_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = [Connection(is_lost=True), Connection(is_lost=False)]

    async def connect(*_: object, **__: object) -> Connection:
        return connections.pop(0)

    monkeypatch.setattr(carry, "connect", connect)
    carrier = carry.Carrier(parse_carrier("nats://127.0.0.1:1"), "north", HeadendMetrics(), give_up_s=0.2)
    await carrier.start()
    await asyncio.sleep(0)
    with suppress(carry.CarrierFailed):  # "the same may be asked again"
        await asyncio.to_thread(carrier.deliver, [])
    await asyncio.to_thread(carrier.deliver, [])
    assert not connections
    await carrier.close()
