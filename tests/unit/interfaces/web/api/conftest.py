"""The API at the test's clock and store, and our administrator's program."""

import pytest

from api_caller import Caller
from relational import People
from wattkeeper.actions.services import Services


@pytest.fixture(autouse=True)
def these_services(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the API use the test's clock and store."""
    names = [
        "sites",
        "usage_points",
        "links",
        "meters",
        "measurements",
        "tariffs",
        "findings",
        "jobs",
        "commands",
        "traces",
        "users",
        "idempotency",
        "virtual",
        "nodes",
        "accuracy",
        "rules",
        "edits",
        "rebills",
        "retention",
    ]
    for name in names:
        monkeypatch.setattr(f"wattkeeper.interfaces.web.api.{name}.get_services", lambda: services)


@pytest.fixture
def call(ours: People) -> Caller:
    """Our administrator's program."""
    return Caller(ours.administrator)
