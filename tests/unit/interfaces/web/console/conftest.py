"""Pages over Django's test client: the test's clock and store, a person of each role logged in."""

import pytest
from django.test import Client

from console_street import Home, LogIn, same_home
from relational import People, Street
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import User


@pytest.fixture(autouse=True)
def plain_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No form's token spells what a test looks for by chance."""
    monkeypatch.setattr("django.middleware.csrf._get_new_csrf_string", lambda: "0" * 32)


@pytest.fixture(autouse=True)
def these_services(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pages use the test's clock and store."""
    for name in ("visit", "views_session"):
        monkeypatch.setattr(f"wattkeeper.interfaces.web.console.{name}.get_services", lambda: services)


@pytest.fixture
def log_in() -> LogIn:
    """Return a client in which a person is logged in."""

    def make(actor: Actor) -> Client:
        client = Client()
        assert actor.user_id is not None
        client.force_login(User.objects.get(id=actor.user_id))
        return client

    return make


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)
