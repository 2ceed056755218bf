"""Virtual meters, sums over nodes and comparisons over the API: made, read, refused, tenants apart."""

import pytest
from django.test import Client

from api_caller import Caller
from console_street import Home, derive, same_home
from relational import People, Street
from wattkeeper.actions.services import Services
from wattkeeper.data.collection.models import DirtyWindow

AT = "2026-10-01T00:00:00+08:00"
MONTH = "first_date=2026-10-01&end_date=2026-11-01"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)


@pytest.fixture
def settle(ours: People, services: Services):  # type: ignore[no-untyped-def]
    """Derive until nothing is dirty."""

    def run() -> None:
        assert services.store is not None
        while DirtyWindow.objects.exists():
            derive(services.store, ours.tenant.id)

    return run


def test_a_virtual_meter_over_the_api(call: Caller, home: Home, street: Street, settle) -> None:  # type: ignore[no-untyped-def]
    tried = call("POST", "/virtual-meters/preview", {"formula": "2*[U1]", "site_id": street.site_id}).json()
    assert (tried["formula"], tried["interval_s"], tried["members_count"], len(tried["days"])) == (
        "2 * [U1]",
        900,
        1,
        7,
    )
    body = {"site_id": street.site_id, "code": "V1", "name": "Twice", "formula": "2*[U1]", "at": AT}
    point_id = call("POST", "/virtual-meters", body).json()["id"]
    settle()
    (row,) = call("GET", "/virtual-meters").json()
    assert (row["usage_point_id"], row["formula"]) == (point_id, "2 * [U1]")
    span = "starts_at=2026-10-05T00:00:00%2B08:00&ends_at=2026-10-06T00:00:00%2B08:00"
    twice, once = (
        call("GET", f"/series/{series}/measurements?{span}").json()["values"]
        for series in (row["series_id"], home.series_id)
    )
    assert [each["value_milliwh"] for each in twice] == [2 * each["value_milliwh"] for each in once]
    changed = call("POST", f"/virtual-meters/{point_id}/formulas", {"formula": "[U1]", "at": AT})
    assert changed.status_code == 204
    assert [f["formula"] for f in call("GET", f"/virtual-meters/{point_id}/formulas").json()] == ["[U1]"]


def test_refusals_say_where(call: Caller, home: Home, street: Street) -> None:
    body = {"site_id": street.site_id, "code": "V1", "name": "x", "formula": "[U1] +", "at": AT}
    answer = call("POST", "/virtual-meters", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "formulas.syntax")
    assert "character 7" in answer.json()["message"]
    assert call("GET", "/virtual-meters/99").status_code == 404
    assert call("GET", f"/energy?{MONTH}&node=moon-3").status_code == 404
    assert call("GET", f"/energy?{MONTH}&grain=hour").json()["code"] == "aggregation.span"


def test_energy_by_node_and_group(call: Caller, home: Home, street: Street) -> None:
    group_id = call("POST", "/groups", {"kind": "CUSTOMER", "code": "C1", "name": "Mrs Wu"}).json()["id"]
    assert call("PATCH", f"/groups/{group_id}", {"name": "Mr Wu"}).status_code == 204
    body = {"belonging": "customer-point", "part_id": home.point_id, "whole_id": group_id, "at": AT}
    assert call("POST", "/groups/belongings", body).status_code == 204
    (group,) = call("GET", "/groups").json()
    assert (group["name"], group["key"]) == ("Mr Wu", f"group-{group_id}")
    by_customer = call("GET", f"/energy?{MONTH}&tree=customer&grain=month").json()
    by_site = call("GET", f"/energy?{MONTH}").json()
    assert by_site["total"]["energy_milliwh"] > 0
    assert by_customer["total"]["energy_milliwh"] == by_site["total"]["energy_milliwh"]
    assert len(by_site["periods"]) == 31
    assert sum(each["energy_milliwh"] for each in by_site["periods"]) == by_site["total"]["energy_milliwh"]
    assert by_site["total"]["complete_permille"] == 1000
    assert {part["name"] for part in by_customer["parts"]} >= {"Mr Wu"}
    before, later = (
        call("GET", f"/energy?{MONTH}&as_of={at}").json()
        for at in ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    )
    assert later == by_site
    assert {before["total"][name] for name in ("energy_milliwh", "due_count", "known_count")} == {0}
    assert (
        call("GET", f"/energy?{MONTH}&as_of=2020-01-01T00:00:00").json()["code"] == "registry.instant-naive"
    )


def test_comparisons_over_the_api(call: Caller, home: Home, street: Street) -> None:
    body = {"main_id": home.point_id, "reference_id": street.other_point_id, "base_power_w": 1150}
    check_id = call("POST", "/accuracy-checks", body).json()["id"]
    (row,) = call("GET", "/accuracy-checks").json()
    assert (row["check_id"], row["main_code"], row["reference_code"], row["result"]) == (
        check_id,
        "U1",
        "U2",
        None,
    )
    assert call("POST", f"/accuracy-checks/{check_id}/judge", {}).json() == {"judged_count": 0}
    assert call("GET", f"/accuracy-checks/{check_id}/reports").json() == []
    assert call("GET", "/accuracy-checks?verdict=outside").json() == []
    assert call("POST", f"/accuracy-checks/{check_id}/retire", {}).status_code == 204
    wrong = call("POST", "/accuracy-checks", {**body, "main_class": "9"}).json()
    assert wrong["code"] == "vee.accuracy-class"


def test_roles_and_tenants(ours: People, theirs: People, home: Home, street: Street) -> None:
    body = {"site_id": street.site_id, "code": "V1", "name": "x", "formula": "[U1]", "at": AT}
    assert Caller(ours.viewer)("POST", "/virtual-meters", body).status_code == 403
    foreign = Caller(theirs.administrator)
    assert foreign("POST", "/virtual-meters", body).status_code == 404
    tried = {"formula": "[U1]", "site_id": street.site_id}
    assert foreign("POST", "/virtual-meters/preview", tried).status_code == 404
    assert foreign("GET", f"/energy?{MONTH}&node=site-{street.site_id}").status_code == 404
    assert foreign("GET", f"/energy?{MONTH}").json()["total"]["energy_milliwh"] == 0
    assert Client().get("/api/v1/energy").status_code == 401
    viewer = Caller(ours.viewer)
    check = {"main_id": home.point_id, "base_power_w": 1150}
    check_id = Caller(ours.operator)("POST", "/accuracy-checks", check).json()["id"]
    assert viewer("POST", f"/accuracy-checks/{check_id}/judge", {}).status_code == 403
    assert viewer("GET", f"/accuracy-checks/{check_id}").status_code == 200
    assert foreign("GET", f"/accuracy-checks/{check_id}").status_code == 404
