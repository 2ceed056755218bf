"""A broker's password and a registration packet are on no page, and are not lost by a form."""

import pytest
from django.test import Client
from django.urls import reverse

from console_street import LogIn
from relational import NOW, People, Street
from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.data.collection.models import Link

SECRET = "GeHeim-1"
BROKER = f"mqtts://me:{SECRET}@broker.example:8883"
SHOWN = "mqtts://me:***@broker.example:8883"
FIELDS = {"name": "broker", "transport": "MQTT", "timeout_ms": 2000, "retries_count": 2, "poll_s": 900}


@pytest.fixture
def broker_id(ours: People, street: Street) -> int:
    """A link to a broker; devices dial into the other one."""
    edit_link(
        actor=ours.operator,
        now=NOW,
        link_id=street.link_id,
        endpoint=f"listen://0.0.0.0:9000?token={SECRET}",
    )
    return add_link(
        actor=ours.operator,
        now=NOW,
        site_id=street.site_id,
        name="broker",
        transport="MQTT",
        endpoint=BROKER,
    )


@pytest.fixture
def client(ours: People, log_in: LogIn) -> Client:
    """Our administrator at the pages."""
    return log_in(ours.administrator)


def stored(link_id: int) -> str:
    return Link.objects.get(id=link_id).endpoint


def pages_of(street: Street, broker_id: int) -> list[str]:
    """Addresses of all pages that endpoints could be on."""
    return [
        reverse("console:links"),
        reverse("console:links") + "?format=csv",
        reverse("console:site", args=[street.site_id]),
        *(
            reverse(f"console:{page}", args=[link_id])
            for page in ("link", "link_edit", "link_copy", "link_retire")
            for link_id in (broker_id, street.link_id)
        ),
        reverse("console:audit"),
    ]


def test_no_page_shows_a_secret(client: Client, street: Street, broker_id: int) -> None:
    pages = pages_of(street, broker_id)
    answers = {page: client.get(page) for page in pages}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert not [page for page, answer in answers.items() if SECRET.encode() in answer.content]
    for page in (pages[0], pages[2], reverse("console:link", args=[broker_id])):
        assert SHOWN in answers[page].content.decode()


def test_a_page_that_asks_for_whole_endpoints_would_be_caught(
    client: Client, street: Street, broker_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: rows of links hold what is stored."""
    monkeypatch.setattr("wattkeeper.data.collection.queries.shown_endpoint", lambda endpoint: endpoint)
    pages = pages_of(street, broker_id)
    shown = [page for page in pages if SECRET.encode() in client.get(page).content]
    links = [reverse("console:link", args=[link_id]) for link_id in (broker_id, street.link_id)]
    assert sorted(shown) == sorted([*pages[:3], *links])


def test_a_search_by_the_password_finds_nothing(client: Client, broker_id: int) -> None:
    def found(text: str) -> int:
        return len(client.get(reverse("console:links"), {"q": text}).context["table"].rows)

    assert (found(SECRET), found("geheim"), found("me:***@broker")) == (0, 0, 1)


def test_a_form_that_was_only_saved_keeps_the_password(client: Client, broker_id: int) -> None:
    page = reverse("console:link_edit", args=[broker_id])
    form = client.get(page).context["form"]
    assert form["endpoint"].value() == SHOWN
    assert client.post(page, {**FIELDS, "endpoint": SHOWN, "poll_s": 60}).status_code == 302
    assert (stored(broker_id), Link.objects.get(id=broker_id).poll_s) == (BROKER, 60)


def test_a_password_for_another_host_is_asked_for(client: Client, broker_id: int) -> None:
    page = reverse("console:link_edit", args=[broker_id])
    answer = client.post(page, {**FIELDS, "endpoint": SHOWN.replace("broker.", "evil.")})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["endpoint"])
    assert SECRET.encode() not in answer.content
    assert stored(broker_id) == BROKER
    other = "mqtts://me:other@evil.example:8883"
    assert client.post(page, {**FIELDS, "endpoint": other}).status_code == 302
    assert stored(broker_id) == other


def test_a_copy_takes_the_password_along(client: Client, broker_id: int) -> None:
    page = reverse("console:link_copy", args=[broker_id])
    assert client.post(page, {"name": "two", "endpoint": SHOWN}).status_code == 302
    assert Link.objects.get(name="two").endpoint == BROKER
