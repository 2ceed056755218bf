"""The relational fixtures, and the shell at the test's clock, folder and store, for every test here."""

import pytest

from relational import fast_passwords, make_street, ours, services, store, street, theirs
from wattkeeper.actions.services import Services
from wattkeeper.interfaces.cli import shell

__all__ = ["fast_passwords", "make_street", "ours", "services", "store", "street", "theirs"]


@pytest.fixture(autouse=True)
def this_world(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shell use the test's clock, folder and store."""
    monkeypatch.setattr(shell, "make_clock", lambda: services)
    monkeypatch.setattr(shell, "data_folder", lambda: services.data_folder)
    monkeypatch.setattr(shell, "open_store", lambda: services.store)
    monkeypatch.delenv("WATTKEEPER_API_KEY", raising=False)
