"""Which clock, which store, which database: chosen from the environment once, loaded when it is chosen."""

import asyncio
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import django

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.installation import check_installation

if TYPE_CHECKING:
    from wattkeeper.headend.carry_address import CarrierAddress
    from wattkeeper.headend.ports import Clock
    from wattkeeper.store.api import ReadingStore


def data_folder() -> Path:
    """Return the folder that holds everything of this installation."""
    return Path(os.environ.get("WATTKEEPER_DATA", "var")).resolve()


@cache
def setup_django() -> None:
    """Make the relational side usable in this process, with a log that shows no secret.

    :raises WattkeeperError: if the settings are wrong or the data folder can't be written; ``installation.*``
        if something is missing that was there at an earlier start
    """
    check_installation(data_folder())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wattkeeper.data.settings")
    django.setup()
    import structlog

    from wattkeeper.bootstrap.logs import set_up_logs

    if not structlog.is_configured():  # in the shell: by default every local variable would be printed
        set_up_logs("shell", has_traces=os.environ.get("WATTKEEPER_DEBUG") == "true")


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        """Return once `instant` is reached."""
        while (left_s := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, 60))

    def report_settled(self, instant: datetime) -> None:
        """Nobody waits for this clock."""


def make_clock(*, follower: str | None = None) -> "Clock":
    """Return the clock that ``WATTKEEPER_CLOCK`` names: ``file:PATH`` is shared and moved by another process.

    :raises WattkeeperError: ``settings.clock`` for anything else but nothing
    """
    name = os.environ.get("WATTKEEPER_CLOCK", "")
    if not name:
        return SystemClock()
    if not name.startswith("file:"):
        raise WattkeeperError("settings.clock", value=name)
    from wattkeeper.simulators.clock import SharedClock

    return SharedClock(Path(name.removeprefix("file:")), follower=follower)


def carrier_address() -> "CarrierAddress | None":
    """Return what carries readings to writers, which ``WATTKEEPER_CARRIER`` names; None: each stores its own.

    :raises WattkeeperError: ``carry.*`` if the setting is wrong
    """
    from wattkeeper.headend.carry_address import parse_carrier

    url = os.environ.get("WATTKEEPER_CARRIER", "")
    return parse_carrier(url) if url else None


def open_store(folder: Path | None = None) -> "ReadingStore":
    """Return the readings store: what ``WATTKEEPER_READINGS`` names, else this folder's process.

    :raises WattkeeperError: ``store.not-running`` where no store process serves the folder,
        ``settings.readings-url``, ``settings.readings-insecure``
    """
    from wattkeeper.store.client import HttpReadingStore
    from wattkeeper.store.keeping import KeepingReadingStore

    url = os.environ.get("WATTKEEPER_READINGS", "")
    if url.startswith("clickhouse://"):
        return HttpReadingStore.of_server(url)
    run_folder = (folder or data_folder()) / "run"
    own = HttpReadingStore.of_file(run_folder / "store.json")
    return KeepingReadingStore.keeping(own, run_folder / "latest.table")


def open_bulk_store(folder: Path | None = None) -> "ReadingStore":
    """Return the readings store for long work that lets the questions of others pass.

    :raises WattkeeperError: as `open_store` does
    """
    from wattkeeper.store.client import HttpReadingStore

    url = os.environ.get("WATTKEEPER_READINGS", "")
    if url.startswith("clickhouse://"):
        return HttpReadingStore.of_server(url, is_bulk=True)
    return HttpReadingStore.of_file((folder or data_folder()) / "run" / "store.json", is_bulk=True)
