"""An error of the carrier is logged once while it lasts, again when it comes back, and never left behind."""

import asyncio
import gc
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from wattkeeper.headend import carry_link
from wattkeeper.headend.carry_address import CarrierAddress


class Connection:
    """A client whose first try fails and which then loses its server twice, for the same reason."""

    tries_count = 0

    async def connect(self, **options: Any) -> None:
        Connection.tries_count += 1
        if Connection.tries_count == 1:
            raise OSError("away")
        for _ in range(2):
            for _repeated in range(3):
                await options["error_cb"](OSError("away"))
            await options["reconnected_cb"]()


def test_what_lasts_is_said_once_and_what_comes_back_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_link, "_Client", Connection)
    monkeypatch.setattr(carry_link, "_RETRY_S", 0.0)
    address = CarrierAddress.__new__(CarrierAddress)
    monkeypatch.setattr(CarrierAddress, "options", lambda _self: {})
    with capture_logs() as logged:
        asyncio.run(carry_link.connect(address, name="main"))
    assert [line["reason"] for line in logged] == ["OSError: away", "OSError: away"]


class Leaving:
    """A client whose server is lost while it says goodbye, at once or after a while."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    async def close(self) -> None:
        with suppress(asyncio.CancelledError):  # as the library does
            await asyncio.sleep(self._wait_s)
        raise ConnectionResetError("Connection lost")


async def left_behind(wait_s: float, *, is_cancelled: bool) -> list[str]:
    """Close such a client, from a task that may be cancelled; return what nobody retrieved."""
    unretrieved: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: unretrieved.append(found["message"]))
    closing = asyncio.create_task(carry_link.close(Leaving(wait_s)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    if is_cancelled:
        await asyncio.sleep(0)
        closing.cancel()
    await asyncio.wait([closing])
    await asyncio.sleep(0)
    gc.collect()
    return unretrieved


@pytest.mark.parametrize(("wait_s", "is_cancelled"), [(0.0, False), (60.0, False), (60.0, True)])
def test_a_server_lost_while_one_says_goodbye_is_told_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, wait_s: float, *, is_cancelled: bool
) -> None:
    monkeypatch.setattr(carry_link, "_FLUSH_WITHIN_S", 0.01)
    with capture_logs() as logged:
        assert asyncio.run(left_behind(wait_s, is_cancelled=is_cancelled)) == []
    assert [line["reason"] for line in logged] == ["ConnectionResetError: Connection lost"]


def test_what_fails_as_it_is_ended_is_not_left_behind() -> None:
    async def ended() -> list[str]:
        unretrieved: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, found: unretrieved.append(found["message"])
        )
        task = asyncio.create_task(Leaving(60).close())
        await asyncio.sleep(0)
        await carry_link.end(task)
        del task
        gc.collect()
        return unretrieved

    assert asyncio.run(ended()) == []
