"""A broker's password and a registration packet never leave by the API, and come back by their mark."""

import pytest

from api_caller import Caller
from relational import Street
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.models import Link

SECRET = "GeHeim-1"
BROKER = f"mqtts://me:{SECRET}@broker.example:8883"
SHOWN = "mqtts://me:***@broker.example:8883"
DOOR = f"listen://0.0.0.0:9000?token={SECRET}"


@pytest.fixture
def broker_id(call: Caller, street: Street) -> int:
    """A link to a broker, and another that devices dial into."""
    link = {"site_id": street.site_id, "transport": "MQTT", "endpoint": BROKER}
    call("POST", "/links", {**link, "name": "door", "transport": "TCP", "endpoint": DOOR})
    link_id: int = call("POST", "/links", {**link, "name": "broker"}).json()["id"]
    return link_id


def stored(link_id: int) -> str:
    return Link.objects.get(id=link_id).endpoint


def test_links_are_told_without_their_secrets(call: Caller, street: Street, broker_id: int) -> None:
    one, several = call("GET", f"/links/{broker_id}"), call("GET", "/links")
    of_site = call("GET", f"/links?site_id={street.site_id}")
    assert one.json()["endpoint"] == SHOWN
    assert {row["endpoint"] for row in several.json()} >= {SHOWN, "listen://0.0.0.0:9000?token=***"}
    assert not [answer for answer in (one, several, of_site) if SECRET.encode() in answer.content]


def test_what_was_told_may_be_written_back(call: Caller, broker_id: int) -> None:
    told = call("GET", f"/links/{broker_id}").json()["endpoint"]
    assert call("PATCH", f"/links/{broker_id}", {"endpoint": told, "name": "b"}).status_code == 204
    assert stored(broker_id) == BROKER
    assert call("PATCH", f"/links/{broker_id}", {"endpoint": f"{told}?ca=/ca.pem"}).status_code == 204
    assert stored(broker_id) == f"{BROKER}?ca=/ca.pem"
    copy = call("POST", f"/links/{broker_id}/copy", {"name": "c", "endpoint": told}).json()["id"]
    assert stored(copy) == BROKER


def test_a_stored_password_goes_to_no_other_host(call: Caller, street: Street, broker_id: int) -> None:
    elsewhere = {"endpoint": SHOWN.replace("broker.example", "evil.example")}
    link = {"site_id": street.site_id, "transport": "MQTT", "name": "new"}
    for method, path, body in (
        ("PATCH", f"/links/{broker_id}", elsewhere),
        ("PATCH", f"/links/{street.link_id}", {"endpoint": SHOWN, "transport": "MQTT"}),
        ("POST", f"/links/{broker_id}/copy", {"name": "c", **elsewhere}),
        ("POST", "/links", {**link, "endpoint": SHOWN}),
    ):
        answer = call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "links.secret-elsewhere"), (method, path)
        assert SECRET.encode() not in answer.content
    assert stored(broker_id) == BROKER
    moved = {"endpoint": "mqtts://me:other@evil.example:8883"}
    assert call("PATCH", f"/links/{broker_id}", moved).status_code == 204
    assert stored(broker_id) == moved["endpoint"]


def test_a_refusal_repeats_no_secret(call: Caller, street: Street, broker_id: int) -> None:
    """A stored password makes the endpoint too long that was written with its mark."""
    long = f"{SHOWN}?ca=/"
    long += "x" * (200 - len(long))
    for body in ({"endpoint": long}, {"endpoint": f"{BROKER}?ca=/{'x' * 200}"}):
        answer = call("PATCH", f"/links/{broker_id}", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "registry.invalid-field")
        assert answer.json()["params"]["field"] == "endpoint"
        assert SECRET.encode() not in answer.content


def test_the_audit_holds_no_secret(call: Caller, broker_id: int) -> None:
    call("PATCH", f"/links/{broker_id}", {"endpoint": f"{SHOWN}?ca=/ca.pem"})
    call("POST", f"/links/{broker_id}/copy", {"name": "c", "endpoint": BROKER})
    records = AuditRecord.objects.filter(verb__endswith="-link")
    assert {record.verb for record in records} == {
        "registry.add-link",
        "registry.edit-link",
        "registry.copy-link",
    }
    assert not [record for record in records if SECRET in f"{record.subject} {record.detail}"]
