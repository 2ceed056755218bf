"""An error of the carrier is logged once while it lasts, and again when it comes back."""

import asyncio
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
