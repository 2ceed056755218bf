"""Health, metrics, and the answers' own rules."""

from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.test import Client, RequestFactory

from relational import People, Street
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.web import health
from wattkeeper.interfaces.web.middleware import ConsoleMiddleware
from wattkeeper.store.memory import MemoryReadingStore


class BrokenStore:
    """A store nobody reaches."""

    def counts(self, _tenant_id: int) -> None:
        raise WattkeeperError("store.unreachable", is_permanent=False)


def test_healthy_means_database_and_store(
    db: None, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "find_store", lambda: store)
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"database": "up", "store": "up"})
    for found in (None, BrokenStore()):
        monkeypatch.setattr(health, "find_store", lambda found=found: found)
        answer = Client().get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"database": "up", "store": "down"})


def test_a_database_that_is_down_is_said(
    db: None, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(health, "find_store", lambda: store)
    monkeypatch.setattr(health, "connection", SimpleNamespace(cursor=burst))
    assert Client().get("/healthz").json() == {"database": "down", "store": "up"}
    assert b"wattkeeper_database_up 0.0" in Client().get("/metrics").content


def test_metrics_count_and_name_nobody(
    ours: People, street: Street, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "find_store", lambda: store)
    text = Client().get("/metrics").content.decode()
    assert "wattkeeper_store_up 1.0" in text
    assert "wattkeeper_meters_installed 0.0" in text
    assert "260100000001" not in text
    assert Client().post("/metrics").status_code == 405


def test_an_error_with_a_code_is_a_page_and_any_other_goes_on(db: None) -> None:
    middleware = ConsoleMiddleware(lambda _request: None)  # type: ignore[arg-type, return-value]
    request = RequestFactory().get("/")
    page = middleware.process_exception(request, WattkeeperError("registry.not-found", kind="meter", id=3))
    assert page is not None
    assert page.status_code == 404
    assert b"registry.not-found" in page.content
    assert (
        b"<script"
        not in (
            middleware.process_exception(
                request, WattkeeperError("registry.not-found", kind="<script>", id=3)
            )
            or page
        ).content
    )
    assert middleware.process_exception(request, ValueError("x")) is None


def test_no_page_runs_foreign_or_inline_script(db: None) -> None:
    rules = Client().get("/healthz")["Content-Security-Policy"]
    assert "script-src 'self';" in rules
    assert "unsafe" not in rules


@pytest.mark.parametrize(
    ("language", "word"), [("en", "none that Wattkeeper answers to"), ("zh-hans", "不应答")]
)
def test_an_address_that_is_not_ours_is_told_what_to_set(language: str, word: str) -> None:
    answer = Client().get("/login/", HTTP_HOST="evil.example", HTTP_ACCEPT_LANGUAGE=language)
    told = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert word in told
    assert "WATTKEEPER_HOSTS" in told
    assert told.endswith("[requests.host-unknown]\n")


def test_another_request_that_cannot_be_served_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DATA_UPLOAD_MAX_NUMBER_FIELDS", 1)
    answer = Client().post("/login/", {"one": "1", "two": "2"})
    assert answer.status_code == 400
    assert answer.content.decode().endswith("[requests.refused]\n")
