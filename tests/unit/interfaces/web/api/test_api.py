"""The API over Django's test client: round trips, refusals, tenants, keys, sessions, idempotency."""

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client

from api_caller import BASE, Caller
from everything import everything_of
from relational import LONG_AGO, NOW, People, Street, install_first, same_again, same_street_of
from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.data.accounts.models import IdempotencyKey, User
from wattkeeper.data.collection.status import mark_read
from wattkeeper.data.registry.models import Channel, Series, Site
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.interfaces.web.api.app import api
from wattkeeper.interfaces.web.api.meter_schemas import MeasurementsOut
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

SITE = {"code": "N", "name": "New", "kind": "INDUSTRIAL", "time_zone": "Europe/Berlin"}


def test_a_site_lives_through_the_api(call: Caller) -> None:
    site_id = call("POST", "/sites", SITE).json()["id"]
    assert call("PATCH", f"/sites/{site_id}", {"name": "Newer"}).status_code == 204
    assert call("GET", f"/sites/{site_id}").json()["name"] == "Newer"
    copy_id = call("POST", f"/sites/{site_id}/copy", {"code": "N2", "name": "Copy"}).json()["id"]
    assert call("POST", f"/sites/{copy_id}/retire").status_code == 204
    assert [site["code"] for site in call("GET", "/sites").json()] == ["N"]


def test_a_meter_lives_through_the_api(call: Caller, street: Street) -> None:
    made = call(
        "POST",
        "/meters",
        {
            "site_id": street.site_id,
            "serial_number": "X1",
            "channels": [
                {"reading_type": "energy_import_register_kwh", "step": "1/100", "register_digits": 8}
            ],
            "keys": {"password": "00112233"},
        },
    ).json()["id"]
    body = {"usage_point_id": street.point_id, "at": LONG_AGO.isoformat(), "initial_read": "12.34"}
    assert call("POST", f"/meters/{made}/install", body).status_code == 200
    detail = call("GET", f"/meters/{made}").json()
    assert detail["channels"][0]["step"] == "1/100"
    assert detail["key_names"] == ["password"]
    assert "00112233" not in json.dumps(detail)
    assert detail["row"]["usage_point_code"] == "U1"
    found = call("GET", "/meters?search=x1&state=INSTALLED&sort=-serial_number").json()
    assert [row["serial_number"] for row in found["items"]] == ["X1"]
    refused = call("DELETE", f"/meters/{made}")
    assert refused.status_code == 409
    assert refused.json()["code"] == "meters.has-reads"
    exchange = {
        "new_meter_id": street.meter_id,
        "at": (LONG_AGO + timedelta(days=1)).isoformat(),
        "final_read": "20.00",
        "initial_read": "0",
    }
    assert call("POST", f"/meters/{made}/exchange", exchange).status_code == 200
    latest = call("GET", f"/meters/{made}/latest").json()
    assert [(row["value"], row["unit"]) for row in latest] == [("20", "kWh")]
    read = {"at": exchange["at"], "read": "19.50", "reason": "misread"}
    assert call("POST", f"/meters/{made}/reads", read).status_code == 204
    latest = call("GET", f"/meters/{made}/latest").json()
    assert [row["value"] for row in latest] == ["19.5"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**SITE, "tenant_id": 1}, 422, "requests.invalid"),
        ({"code": "N"}, 422, "requests.invalid"),
        ({**SITE, "time_zone": "Mars"}, 422, "registry.time-zone-unknown"),
        ({**SITE, "kind": "CASTLE"}, 422, "registry.invalid-field"),
    ],
)
def test_a_wrong_body_is_refused_with_code_and_sentence(
    call: Caller, body: dict[str, str], status: int, code: str
) -> None:
    answer = call("POST", "/sites", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message", "params"}
    assert not Site.objects.exists()


def test_garbage_is_no_server_error(call: Caller) -> None:
    answer = Client().generic(
        "POST",
        BASE + "/sites",
        data=b"{\x00",
        content_type="application/json",
        headers={"Authorization": f"Bearer {call.token}"},
    )
    assert answer.status_code == 400


def test_without_a_key_or_with_a_wrong_or_revoked_one(ours: People, call: Caller) -> None:
    for headers in ({}, {"Authorization": "Bearer wk_wrong"}, {"Authorization": "Basic abc"}):
        answer = Client().get(BASE + "/sites", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "accounts.log-in-required"
    key = call("GET", "/api-keys").json()[0]
    assert call("DELETE", f"/api-keys/{key['api_key_id']}").status_code == 204
    assert call("GET", "/sites").status_code == 401


def test_a_viewer_reads_and_changes_nothing(ours: People, street: Street) -> None:
    viewer = Caller(ours.viewer)
    assert viewer("GET", "/meters").json()["total_count"] == 2
    for method, path, body in (
        ("POST", "/sites", SITE),
        ("PATCH", f"/meters/{street.meter_id}", {"address": "9"}),
        ("DELETE", f"/meters/{street.meter_id}", None),
        ("GET", "/users", None),
        ("POST", "/users", {"username": "u", "password": "p" * 20, "role": "ADMINISTRATOR"}),
    ):
        assert viewer(method, path, body).status_code == 403


def test_a_session_needs_its_csrf_token_to_change_anything(ours: People) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(id=ours.operator.user_id))
    assert browser.get(BASE + "/sites").status_code == 200
    answer = browser.post(BASE + "/sites", json.dumps(SITE), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "accounts.csrf")
    assert not Site.objects.exists()


def test_a_repeated_request_happens_once(call: Caller) -> None:
    first = call("POST", "/sites", SITE, **{"Idempotency-Key": "k1"})
    again = call("POST", "/sites", SITE, **{"Idempotency-Key": "k1"})
    other = call("POST", "/sites", {**SITE, "code": "M"}, **{"Idempotency-Key": "k1"})
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "requests.key-reused")
    assert Site.objects.count() == 1


def test_a_refused_request_may_be_tried_again_under_its_key(call: Caller) -> None:
    assert call("POST", "/sites", {**SITE, "kind": "X"}, **{"Idempotency-Key": "k"}).status_code == 422
    assert not IdempotencyKey.objects.exists()
    assert call("POST", "/sites", SITE, **{"Idempotency-Key": "k"}).status_code == 200


def test_measurements_carry_quality_and_missing_is_null(
    ours: People, call: Caller, street: Street, services: Services, store: MemoryReadingStore
) -> None:
    install_first(ours, street, services)
    series_id = Series.objects.get().id
    start_s = to_seconds(LONG_AGO)
    store.insert_measurements(
        ours.tenant.id,
        Measurements(
            *(
                np.array(column, dtype=np.int64)
                for column in (
                    [series_id, series_id],
                    [start_s, start_s + 900],
                    [0, 250_000],
                    [Provenance.MISSING, Provenance.MEASURED],
                    [Flag.NONE, Flag.ROLLOVER],
                    [Method.NONE, Method.NONE],
                    [7, 7],
                )
            )
        ),
    )
    span = f"starts_at={LONG_AGO:%Y-%m-%dT%H:%M:%SZ}&ends_at={NOW:%Y-%m-%dT%H:%M:%SZ}"
    answer = call("GET", f"/series/{series_id}/measurements?{span}").json()
    assert MeasurementsOut.model_validate(answer).model_dump(mode="json") == answer  # written by hand
    values = answer["values"]
    assert [(v["value_milliwh"], v["provenance"], v["flags"]) for v in values] == [
        (None, 0, 0),
        (250_000, 1, 64),
    ]
    backwards = call(
        "GET",
        f"/series/{series_id}/measurements?starts_at={NOW:%Y-%m-%dT%H:%M:%SZ}&ends_at={LONG_AGO:%Y-%m-%dT%H:%M:%SZ}",
    )
    assert backwards.json()["code"] == "requests.span"


def test_a_file_of_what_is_stored_is_the_one_of_the_shell(
    ours: People,
    theirs: People,
    call: Caller,
    street: Street,
    services: Services,
    store: MemoryReadingStore,
) -> None:
    install_first(ours, street, services)
    series, day = Series.objects.get(), LONG_AGO.date() + timedelta(days=1)
    nothing, at_s = np.zeros(96, np.int64), to_seconds(LONG_AGO) + 43_200 + 900 * np.arange(96)
    columns = nothing + series.id, at_s, nothing + 250_000, nothing + 1, nothing, nothing, nothing + 1
    store.insert_measurements(ours.tenant.id, Measurements(*columns))
    asked = f"first={day - timedelta(days=1)}&last={day}&usage_point={series.usage_point.code}"
    answer = call("GET", f"/export?form=csv&{asked}")
    (block,) = read_file(answer.content, CsvOptions()).blocks
    assert block.value_milli.tolist() == [250_000] * len(block.starts_at_s)
    assert len(block.starts_at_s)
    assert "Wattkeeper-Losses" not in answer
    stranger = Caller(theirs.administrator)("GET", f"/export?form=csv&{asked}")
    assert stranger.json()["code"] == "registry.not-found"
    told = call("GET", f"/export?form=nem12&{asked}")
    assert told["Wattkeeper-Losses"].startswith("nem12.not-a-nmi=")
    assert call("GET", f"/export?form=csv&{asked}-2").json()["code"] == "registry.not-found"
    assert (
        call("GET", f"/export?form=csv&first={day}&last=2020-01-01&usage_point=U1").json()["code"]
        == "requests.span"
    )
    many = "&".join(f"usage_point=U{number}" for number in range(101))
    refusal = call("GET", f"/export?form=csv&first={day}&last={day}&{many}").json()
    assert refusal["code"] == "requests.too-many-points"


def test_a_file_is_imported_once_with_its_row_errors(
    call: Caller, store: MemoryReadingStore, services: Services
) -> None:
    text = "usage_point,channel,starts_at,interval_s,value,unit,quality\n" + "".join(
        f"P1,import,2026-11-01T{hour:02d}:00:00Z,3600,{value},kWh,measured\n"
        for hour, value in ((0, "1.5"), (1, "many"), (2, "2.25"))
    )
    from django.core.files.uploadedfile import SimpleUploadedFile

    for _ in range(2):
        answer = Client().post(
            BASE + "/imports",
            {"file": SimpleUploadedFile("a.csv", text.encode())},
            headers={"Authorization": f"Bearer {call.token}"},
        )
        assert (answer.status_code, answer.json()["state"]) == (202, "QUEUED")
        assert run_job(services=services)
    job = call("GET", f"/jobs/{answer.json()['job_id']}").json()
    assert (job["state"], job["result"]) == ("DONE", {"rows": 2, "meters": 1, "errors": 1})
    assert job["errors"][0]["line"] == 3
    assert job["errors"][0]["message"]
    tenant_id = Series.objects.get().tenant_id
    assert store.counts(tenant_id).raw_reads == 2


def test_the_document_and_its_page_are_local(call: Caller) -> None:
    page = Client().get(BASE + "/docs")
    assert page.status_code == 200
    assert b"//cdn" not in page.content
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert Client().get(BASE + "/openapi.json").json()["info"]["title"] == "Wattkeeper"


BODIES: dict[str, dict[str, Any]] = {
    "copy": {"code": "z", "name": "z", "endpoint": "z", "serial_number": "z", "address": "z"},
    "retire": {"at": NOW.isoformat()},
    "install": {"usage_point_id": 1, "at": NOW.isoformat()},
    "remove": {"at": NOW.isoformat()},
    "exchange": {"new_meter_id": 1, "at": NOW.isoformat(), "final_read": "1", "initial_read": "1"},
    "reads": {"at": NOW.isoformat(), "read": "1"},
    "withdraw": {"at": NOW.isoformat(), "reason": "x"},
    "multipliers": {"at": NOW.isoformat(), "numerator": 2},
    "topology": {"at": NOW.isoformat(), "parent_id": None},
    "end-contract": {"at": NOW.isoformat()},
    "withdraw-contract": {"contract_id": 1},
    "reopen-contract": {"until": NOW.isoformat()},
    "contracts": {"at": NOW.isoformat(), "tariff_id": 1},
    "commands": {"kind": "DISCONNECT", "reason": "x"},
    "comments": {"text": "x"},
    "close": {"text": "x"},
    "password": {"new_password": "a long new password"},
    "formulas": {"formula": "1", "at": NOW.isoformat()},
    "members": {"series_ids": []},
    "edits": {"starts_at": LONG_AGO.isoformat(), "energy_milliwh": [1], "reason_code": 51},
    "approve": {"version": "v"},
    "reject": {"note": "x", "version": "v"},
}
QUERY = f"?starts_at={LONG_AGO:%Y-%m-%dT%H:%M:%SZ}&ends_at={NOW:%Y-%m-%dT%H:%M:%SZ}"


DATES = f"?first_date={LONG_AGO:%Y-%m-%d}&end_date={NOW:%Y-%m-%d}"
NO_LISTS = ("/users", "/api-keys", "/kill-switch", "/cut-policy", "/edits/settings", "/export", "/retention")
OF_NOBODY = {f"{BASE}/retention/{{kind}}"}  # a setting, no thing that could be another's
NOT_OF_INTERVALS = {  # the one line and the one series here rest on none
    "/bills/{bill_id}/lines/{position}/intervals",
    "/series/{series_id}/trace",
}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return each operation that names a thing: method, path, a body it accepts."""
    schema = api.get_openapi_schema()
    found = []
    for path, methods in schema["paths"].items():
        if "{" not in path or path in OF_NOBODY:
            continue
        for method, operation in methods.items():
            body = BODIES.get(path.rsplit("/", 1)[-1], {})
            if content := operation.get("requestBody"):
                reference = content["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
                known = schema["components"]["schemas"][reference]["properties"]
                body = {name: value for name, value in body.items() if name in known}
            found.append((method.upper(), path.removeprefix(BASE), body))
    return found


@pytest.fixture
def their_ids(theirs: People, services: Services) -> dict[str, int]:
    """One of everything of another tenant, by path parameter."""
    return same_again(everything_of, theirs, same_street_of(theirs, services), services=services)


@pytest.mark.parametrize(("method", "path", "body"), operations())
def test_another_tenants_thing_is_as_if_absent(
    method: str, path: str, body: dict[str, Any], call: Caller, their_ids: dict[str, int]
) -> None:
    foreign = call(method, path.format_map(their_ids) + QUERY, body)
    absent = call(method, path.format_map(dict.fromkeys(their_ids, 10**9)) + QUERY, body)
    assert foreign.status_code == absent.status_code == 404, foreign.content
    assert foreign.json()["code"] == absent.json()["code"] == "registry.not-found"


def test_the_matrix_has_teeth(theirs: People, their_ids: dict[str, int]) -> None:
    owner = Caller(theirs.administrator)
    answers = {
        (method, path): owner(method, path.format_map(their_ids) + QUERY, body).status_code
        for method, path, body in operations()
        if method == "GET"
    }
    assert len(answers) >= 10
    assert {path for (_, path), status in answers.items() if status == 404} == NOT_OF_INTERVALS


@pytest.mark.usefixtures("their_ids")
def test_lists_hold_nothing_of_another_tenant(call: Caller) -> None:
    schema = api.get_openapi_schema()
    for path, methods in schema["paths"].items():
        if "{" in path or "get" not in methods or path.endswith(NO_LISTS):
            continue
        answer = call("GET", path.removeprefix(BASE) + DATES).json()
        rows = answer if isinstance(answer, list) else answer.get("items", answer.get("parts"))
        assert rows == [], path
    people = {row["username"] for row in call("GET", "/users").json()}
    assert all(name.startswith("ours-") for name in people)


def test_a_read_meter_is_not_deleted(call: Caller, street: Street) -> None:
    mark_read(Channel.objects.filter(meter_id=street.meter_id).values_list("id", flat=True))
    answer = call("DELETE", f"/meters/{street.meter_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "meters.has-reads")


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [("mqtt://10.0.0.5:1883", "headend.broker-insecure"), ("mqtts://broker", "headend.broker-invalid")],
)
def test_a_broker_that_is_never_dialled_is_refused_when_it_is_written(
    call: Caller, street: Street, endpoint: str, code: str
) -> None:
    link = {"site_id": street.site_id, "name": "broker", "transport": "MQTT", "endpoint": endpoint}
    good = {**link, "endpoint": "mqtts://broker.example:8883?ca=/on/another/machine.pem"}
    link_id = call("POST", "/links", good).json()["id"]
    for method, path, body in (
        ("POST", "/links", {**link, "name": "other"}),
        ("PATCH", f"/links/{link_id}", {"endpoint": endpoint}),
        ("PATCH", f"/links/{street.link_id}", {"endpoint": endpoint, "transport": "MQTT"}),
        ("POST", f"/links/{link_id}/copy", {"name": "other", "endpoint": endpoint}),
    ):
        answer = call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), (method, path)
    assert {row["endpoint"] for row in call("GET", "/links").json()} == {good["endpoint"], "127.0.0.1:9"}
    insecure = {"endpoint": "mqtt://10.0.0.5:1883?insecure=true"}
    assert call("PATCH", f"/links/{link_id}", insecure).status_code == 204


def test_a_broker_checked_only_when_it_is_dialled_would_be_seen(
    call: Caller, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: nobody looks at the endpoint when it is written."""
    monkeypatch.setattr("wattkeeper.actions.registry.endpoints.check_broker", lambda _endpoint: None)
    endpoint = {"endpoint": "mqtt://10.0.0.5:1883", "transport": "MQTT"}
    assert call("PATCH", f"/links/{street.link_id}", endpoint).status_code == 204
