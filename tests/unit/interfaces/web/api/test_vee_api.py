"""Rule sets, edits, versions, as of and rebill proposals over the API: made, read, refused, tenants apart."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from api_caller import Caller
from console_street import Home, derive, move_in, same_home
from relational import NOW, People, Street
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.collection.models import DirtyWindow, Run

DAY = "starts_at=2026-10-05T00:00:00%2B08:00&ends_at=2026-10-06T00:00:00%2B08:00"
AT = "2026-10-05T10:00:00+08:00"


@pytest.fixture
def home(ours: People, street: Street, services: Services, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Our street with a home that was read and billed; the API knows what was measured."""
    store = services.store
    assert store is not None
    knowing = replace(services, measured=measured_by(store, lambda: NOW))
    monkeypatch.setattr("wattkeeper.interfaces.web.api.edits.get_services", lambda: knowing)
    return same_home(ours, street, services)


def settle(people: People, services: Services) -> None:
    assert services.store is not None
    while DirtyWindow.objects.exists():
        derive(services.store, people.tenant.id)
    propose_rebills(services=services, now=NOW)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_rule_sets_groups_and_assignments(call: Caller, ours: People, home: Home) -> None:
    document = {"code": "shops-1", "rules": {"vee.spike": {"severity": "off"}}}
    rule_set_id = call("POST", "/rule-sets", {"document": document}).json()["id"]
    assert call("GET", f"/rule-sets/{rule_set_id}").json()["document"]["rules"] == document["rules"]
    assert code_of(call("POST", "/rule-sets", {"document": document})) == (409, "registry.taken")
    wrong = {"document": {"code": "x", "rules": {"vee.spike": {"spike_percent": 1}}}}
    assert code_of(call("POST", "/rule-sets", wrong)) == (422, "vee.rule-set-parameter")
    odd = {"document": {"code": "x", "formulas": ["max < 9", "top < 9"]}}
    assert code_of(call("POST", "/rule-sets", odd)) == (422, "vee.formula-name")
    group_id = call("POST", "/series-groups", {"code": "shops"}).json()["id"]
    assert code_of(call("POST", "/series-groups", {"code": "*"})) == (422, "vee.group-everyone")
    members = {"series_ids": [home.series_id]}
    assert call("POST", f"/series-groups/{group_id}/members", members).json() == {"series_count": 0}
    body = {"starts_date": "2026-11-01", "group_code": "shops", "rule_set_id": rule_set_id}
    assignment_id = call("POST", "/rule-assignments", body).json()["id"]
    (row,) = call("GET", "/rule-assignments").json()
    assert (row["group_code"], row["rule_set_code"], row["starts_date"]) == ("shops", "shops-1", "2026-11-01")
    assert [each["members_count"] for each in call("GET", "/series-groups").json()] == [1]
    assert call("DELETE", f"/rule-assignments/{assignment_id}").json() == {"series_count": 1}
    assert code_of(call("DELETE", f"/rule-assignments/{assignment_id}")) == (422, "vee.assignment-withdrawn")
    assert call("GET", "/rule-assignments").json() == []
    assert len(call("GET", "/rule-assignments?with_withdrawn=true").json()) == 1
    operator = Caller(ours.operator)
    assert code_of(operator("POST", "/rule-sets", {"document": document})) == (403, "accounts.not-allowed")


def test_an_edit_its_versions_as_of_and_the_proposal(ours: People, home: Home, services: Services) -> None:
    operator, other = Caller(ours.operator), Caller(ours.administrator)
    Run.objects.update(recorded_at=NOW - timedelta(hours=1), stored_at=NOW - timedelta(hours=1))
    before = operator("GET", f"/series/{home.series_id}/measurements?{DAY}").json()
    values = {"starts_at": AT, "energy_milliwh": [900_000_000] * 4, "reason_code": 51}
    edit_id = operator("POST", f"/series/{home.series_id}/edits", values).json()["id"]
    assert operator("GET", f"/edits/{edit_id}").json()["state"] == "PENDING"
    assert code_of(operator("POST", f"/edits/{edit_id}/approve")) == (422, "vee.edit-own-approval")
    assert other("POST", f"/edits/{edit_id}/approve").status_code == 204
    settle(ours, services)
    after = operator("GET", f"/series/{home.series_id}/measurements?{DAY}").json()
    edited = [row for row in after["values"] if row["provenance"] == 3]
    assert [row["value_milliwh"] for row in edited] == [900_000_000] * 4
    then = quote((NOW - timedelta(minutes=1)).isoformat())
    known = operator("GET", f"/series/{home.series_id}/measurements?{DAY}&as_of={then}").json()
    assert known["values"] == before["values"]
    history = operator("GET", f"/series/{home.series_id}/versions?starts_at={quote(AT)}").json()
    assert [row["provenance"] for row in history["versions"]] == [3, 1]
    assert history["versions"][0]["rule_set"] == "default-2"
    assert [row["edit_id"] for row in history["edits"]] == [edit_id]
    (proposal,) = operator("GET", "/rebill-proposals?state=OPEN").json()["items"]
    assert proposal["bill_id"] == home.bill_id
    assert proposal["difference_minor"] > 0
    place = f"/rebill-proposals/{proposal['proposal_id']}"
    stale = operator("POST", f"{place}/approve", {"version": "older"})
    assert code_of(stale) == (409, "billing.proposal-stale")
    assert proposal["version"] == stale.json()["params"]["version"]
    assert operator("POST", f"{place}/approve", {}).status_code == 422  # of nothing that was seen
    viewer, seen = Caller(ours.viewer), {"version": proposal["version"]}
    assert code_of(viewer("POST", f"{place}/approve", seen)) == (403, "accounts.not-allowed")
    assert code_of(operator("POST", f"{place}/reject", {"note": "", **seen})) == (
        422,
        "billing.proposal-reason",
    )
    new_id = operator("POST", f"{place}/approve", seen).json()["id"]
    assert Bill.objects.get(id=new_id).corrects_id == home.bill_id
    assert operator("GET", place).json()["state"] == "APPROVED"
    assert operator("POST", f"/edits/{edit_id}/withdraw").status_code == 204


def test_a_month_of_two_contracts_is_replaced_by_its_parts(
    call: Caller, ours: People, home: Home, services: Services
) -> None:
    move_in(ours, home)
    settle(ours, services)
    (proposal,) = call("GET", "/rebill-proposals?state=OPEN").json()["items"]
    totals = [part["total_minor"] for part in proposal["parts"]]
    assert sum(totals) == proposal["total_minor"]
    place = f"/rebill-proposals/{proposal['proposal_id']}"
    made = call("POST", f"{place}/approve", {"version": proposal["version"]}).json()
    bills = [Bill.objects.get(id=own) for own in made["ids"]]
    assert made["id"] == bills[0].id
    assert [bill.total_minor for bill in bills] == totals
    assert [(part["first"], part["end"], part["bill_id"]) for part in call("GET", place).json()["parts"]] == [
        ("2026-10-01", "2026-10-13", bills[0].id),
        ("2026-10-13", "2026-11-01", bills[1].id),
    ]


def test_refusals_and_settings(call: Caller, ours: People, home: Home) -> None:
    operator = Caller(ours.operator)
    values = {"starts_at": AT, "energy_milliwh": [1], "reason_code": 4}
    assert code_of(operator("POST", f"/series/{home.series_id}/edits", values)) == (422, "vee.edit-reason")
    values = {"starts_at": AT, "energy_milliwh": [200_000_000], "reason_code": 1}
    edit_id = operator("POST", f"/series/{home.series_id}/edits", values).json()["id"]
    assert code_of(call("POST", f"/edits/{edit_id}/reject", {"note": " "})) == (422, "vee.edit-note")
    assert call("POST", f"/edits/{edit_id}/reject", {"note": "no"}).status_code == 204
    assert code_of(call("POST", f"/edits/{edit_id}/approve")) == (422, "vee.edit-state")
    assert operator("GET", f"/edits?series_id={home.series_id}").json()["total_count"] == 1
    assert call("GET", "/edits/settings").json() == {"edit_approval_milliwh": 100_000_000}
    assert call("PUT", "/edits/settings", {"edit_approval_milliwh": 5}).status_code == 204
    assert call("GET", "/edits/settings").json() == {"edit_approval_milliwh": 5}
    assert code_of(operator("PUT", "/edits/settings", {"edit_approval_milliwh": 5})) == (
        403,
        "accounts.not-allowed",
    )


def test_what_is_another_tenants_is_absent(call: Caller, ours: People, theirs: People, home: Home) -> None:
    stranger = Caller(theirs.administrator)
    values = {"starts_at": AT, "energy_milliwh": [200_000_000], "reason_code": 1}
    edit_id = call("POST", f"/series/{home.series_id}/edits", values).json()["id"]
    rule_set_id = call("POST", "/rule-sets", {"document": {"code": "own"}}).json()["id"]
    group_id = call("POST", "/series-groups", {"code": "own"}).json()["id"]
    asked = [
        ("POST", f"/series/{home.series_id}/edits", values),
        ("GET", f"/edits/{edit_id}", None),
        ("POST", f"/edits/{edit_id}/approve", None),
        ("POST", f"/edits/{edit_id}/reject", {"note": "x"}),
        ("POST", f"/edits/{edit_id}/withdraw", None),
        ("GET", f"/series/{home.series_id}/versions?starts_at={quote(AT)}", None),
        ("GET", f"/series/{home.series_id}/measurements?{DAY}&as_of={quote(AT)}", None),
        ("GET", f"/rule-sets/{rule_set_id}", None),
        ("POST", f"/series-groups/{group_id}/members", {"series_ids": []}),
        ("POST", "/series-groups/none/members", {"series_ids": [home.series_id]}),
        ("POST", "/rule-assignments", {"starts_date": "2026-11-01", "rule_set_id": rule_set_id}),
    ]
    for method, path, body in asked:
        assert code_of(stranger(method, path, body)) == (404, "registry.not-found"), path
    for path in ("/edits", "/rebill-proposals"):
        assert stranger("GET", path).json()["total_count"] == 0
    for path in ("/rule-sets", "/series-groups", "/rule-assignments"):
        assert stranger("GET", path).json() == []


def test_a_noted_read_is_withdrawn_over_the_api(ours: People, home: Home) -> None:
    operator, other = Caller(ours.operator), Caller(ours.administrator)
    reads, at = f"/meters/{home.meter_id}/reads", "2026-10-05T10:07:00+08:00"
    for wrong, right in (("999000", "reject"), ("998000", "approve")):
        assert operator("POST", reads, {"at": at, "read": wrong}).status_code == 204
        own_id = operator("POST", f"{reads}/withdraw", {"at": at, "reason": "misread"}).json()["id"]
        (row,) = operator("GET", reads).json()
        assert (row["read"], row["state"], row["is_withdrawn"]) == (wrong, "PENDING", False)
        own = f"/read-withdrawals/{own_id}"
        assert code_of(operator("POST", f"{own}/approve")) == (422, "vee.edit-own-approval")
        assert other("POST", f"{own}/{right}", {"note": "it was so"}).status_code == 204
        assert operator("GET", reads).json()[0]["is_withdrawn"] is (right == "approve")
    gone = {"at": at, "reason": "misread"}
    assert code_of(operator("POST", f"{reads}/withdraw", gone)) == (422, "readings.not-noted")
    assert code_of(Caller(ours.viewer)("POST", f"{reads}/withdraw", gone)) == (403, "accounts.not-allowed")
