"""Virtual meters, energy by node, groups and comparisons from a shell."""

import json

import pytest

from console_street import Home, same_home
from relational import People, Street
from shell_runner import refused, run
from wattkeeper.actions.services import Services
from wattkeeper.data.virtual.models import PointOfCustomer, SiteInArea

AT = "2026-10-01T00:00:00+08:00"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)


def test_a_virtual_meter_from_a_shell(home: Home) -> None:
    tried = json.loads(run("virtual", "try", "[U1] * 1/2", "--site", "S1"))
    assert (tried["formula"], len(tried["days"])) == ("[U1] / 2", 7)
    run("virtual", "add", "V1", "Half", "[U1] / 2", "--site", "S1", "--at", AT)
    run("virtual", "formula", "V1", "[U1] / 3", "--at", "2026-10-08T00:00:00+08:00")
    (row,) = json.loads(run("virtual", "list", "--json"))
    assert (row["code"], row["formula"]) == ("V1", "[U1] / 3")
    assert "[U1] / 2" in run("virtual", "show", "V1")
    assert refused("virtual", "add", "V2", "x", "[U1", "--site", "S1", "--at", AT) == "formulas.syntax"
    assert refused("virtual", "formula", "V1", "[V1]", "--at", AT) == "formulas.cycle"


def test_energy_and_groups_from_a_shell(home: Home) -> None:
    run("group", "add", "customer", "C1", "Wu")
    run("group", "edit", "customer", "C1", "--name", "Mrs Wu")
    run("group", "add", "area", "A1", "Town")
    run("group", "add", "area", "A2", "Quarter")
    run("group", "belong", "customer-point", "U1", "--at", AT, "--group", "C1")
    run("group", "belong", "site", "S1", "--at", AT, "--group", "A2")
    run("group", "belong", "area", "A2", "--at", AT, "--group", "A1")
    assert (PointOfCustomer.objects.count(), SiteInArea.objects.count()) == (1, 1)
    assert {row["name"] for row in json.loads(run("group", "list", "--json"))} == {
        "Mrs Wu",
        "Town",
        "Quarter",
    }
    asked = ("energy", "2026-10-01", "2026-10-31", "--json")
    by = {tree: json.loads(run(*asked, "--by", tree)) for tree in ("site", "area", "customer", "feeder")}
    totals = {tree: sum(row["energy_milliwh"] for row in rows) for tree, rows in by.items()}
    assert len(set(totals.values())) == 1
    assert totals["site"] > 0
    assert by["area"][0]["name"] == "Town"
    assert json.loads(run(*asked, "--as-of", "2100-01-01T00:00:00Z")) == by["site"]
    days = json.loads(run(*asked, "--periods", "--per", "day", "--as-of", "2020-01-01T00:00:00Z"))
    assert {row["energy_milliwh"] for row in days} == {0}
    assert refused(*asked, "--as-of", "2020-01-01T00:00:00") == "shell.not-an-instant"
    days = json.loads(run(*asked, "--periods", "--per", "day"))
    assert (len(days), days[0]["period"]) == (31, "2026-10-01")
    run("group", "belong", "customer-point", "U1", "--at", "2026-10-15T00:00:00+08:00")
    assert refused("energy", "x", "2026-10-31") == "shell.not-a-date"
    assert refused("energy", "2026-10-01", "2026-10-31", "--node", "site-99") == "registry.not-found"
    assert refused("group", "belong", "moon", "U1", "--at", AT) == "registry.not-found"
    assert refused("group", "edit", "area", "C1", "--name", "x") == "registry.not-found"


def test_comparisons_from_a_shell(home: Home) -> None:
    check_id = run("accuracy", "add", "U1", "--reference", "U2", "--base-power-w", "1150")
    (row,) = json.loads(run("accuracy", "list", "--json"))
    assert (row["check_id"], row["main"], row["reference"]) == (int(check_id), "U1", "U2")
    assert run("accuracy", "judge", check_id) == "0"  # the other was never read
    assert json.loads(run("accuracy", "show", check_id, "--json")) == []
    run("accuracy", "retire", check_id)
    assert json.loads(run("accuracy", "list", "--json")) == []
    assert refused("accuracy", "show", "99") == "registry.not-found"
    wrong = refused("accuracy", "add", "U1", "--base-power-w", "1150", "--main-class", "9")
    assert wrong == "vee.accuracy-class"
