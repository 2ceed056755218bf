"""Mappings and tries over the API: guessed, kept, tried, imported by name."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from api_caller import BASE, Caller
from relational import People, Street
from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.web.api import mappings as api_mappings

GOOD = [f"SHOP-1;01.11.2026 {at // 4:02}:{at % 4 * 15:02};1,25" for at in range(12)]
ROWS = "\n".join(["Zählpunkt;Zeit;Bezug (kWh)", *GOOD[:2], "SHOP-1;01.11.2026 00:30;viel", *GOOD[3:]])


def send(call: Caller, path: str, content: str = ROWS, **fields: str) -> Any:
    """Post a file."""
    file = SimpleUploadedFile("november.csv", content.encode())
    headers = {"Authorization": f"Bearer {call.token}"}
    return Client().post(BASE + path, {"file": file, **fields}, headers=headers)


def test_a_guess_is_kept_tried_and_used(
    ours: People, street: Street, services: Services, call: Caller
) -> None:
    guess = send(call, "/imports/detect").json()
    assert "zone" in guess["questions"]
    assert guess["preview"][1] == ["SHOP-1", "01.11.2026 00:00", "1,25"]
    mapping = {**guess["mapping"], "zone": "Europe/Berlin"}
    tried = send(call, "/imports/try", mapping_json=json.dumps(mapping), site_id=str(street.site_id)).json()
    assert (tried["rows"], tried["meters"], tried["errors_count"]) == (11, 1, 1)
    assert (tried["errors"][0]["line"], tried["errors"][0]["code"]) == (4, "formats.not-a-number")
    assert (tried["blocks"][0]["sum"], tried["blocks"][0]["unit"]) == ("13.75", "kWh")
    assert not UsagePoint.objects.filter(code="SHOP-1").exists()
    assert call("PUT", "/mappings", {"name": "till", "mapping": mapping}).status_code == 204
    (kept,) = call("GET", "/mappings").json()
    assert kept["name"] == "till"
    one = f"/mappings/{kept['mapping_id']}"
    assert call("GET", one).json()["zone"] == "Europe/Berlin"
    query = f"?mapping=till&all_or_nothing=true&site_id={street.site_id}"
    job_id = send(call, f"/imports{query}").json()["job_id"]
    assert run_job(services=services)
    job = call("GET", f"/jobs/{job_id}").json()
    assert (job["result"]["rows"], len(job["errors"])) == (0, 1)
    job_id = send(call, f"/imports?mapping=till&site_id={street.site_id}").json()["job_id"]
    assert run_job(services=services)
    assert call("GET", f"/jobs/{job_id}").json()["result"]["rows"] == 11
    assert call("DELETE", one).status_code == 204
    assert call("GET", "/mappings").json() == []


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/imports/try", {"mapping": "none"}, "mapping.unknown"),
        ("/imports/try", {"mapping_json": "{"}, "mapping.not-json"),
        ("/imports?mapping=none", {}, "mapping.unknown"),
        ("/imports?encoding=utf-7", {}, "formats.encoding-unknown"),
    ],
)
def test_a_mapping_that_is_none_is_told(
    ours: People, call: Caller, path: str, fields: dict[str, str], code: str
) -> None:
    assert send(call, path, **fields).json()["code"] == code


def test_what_can_not_be_made_out_or_is_too_large_is_told(
    ours: People, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(call, "/imports/detect", "a,b\nc,d\n").json()["code"] == "mapping.not-found"
    assert (
        call("PUT", "/mappings", {"name": "x", "mapping": {"time": ["t"]}}).json()["code"] == "mapping.wrong"
    )
    monkeypatch.setattr(api_mappings, "FILE_MAX_BYTES", 5)
    assert send(call, "/imports/detect").json()["code"] == "imports.file-too-large"


def test_viewers_do_nothing(ours: People, call: Caller) -> None:
    viewer = Caller(ours.viewer)
    body = {"name": "own", "mapping": {"time": ["t"], "values": [{"column": "v", "channel": "c"}]}}
    assert call("PUT", "/mappings", body).status_code == 204
    (kept,) = viewer("GET", "/mappings").json()
    assert viewer("PUT", "/mappings", body).json()["code"] == "accounts.not-allowed"
    assert viewer("DELETE", f"/mappings/{kept['mapping_id']}").json()["code"] == "accounts.not-allowed"
    assert send(viewer, "/imports/detect").json()["code"] == "accounts.not-allowed"
    assert send(viewer, "/imports/try").json()["code"] == "accounts.not-allowed"
