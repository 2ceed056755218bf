"""The shell's verbs about rule sets, edits, versions and rebill proposals."""

import json
from pathlib import Path

import pytest

from console_street import Home, derive, make_home
from relational import NOW, PASSWORD, People, Street
from shell_runner import refused, run
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.services import Services
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.collection.models import DirtyWindow

AT = "2026-10-05T10:00:00+08:00"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return make_home(ours, street, services)


def test_rule_sets_by_shell(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "shops.json"
    file.write_text('{"code": "shops-1", "rules": {"vee.spike": {"severity": "off"}}}')
    run("rule-set", "add", str(file))
    assert json.loads(run("rule-set", "show", "shops-1"))["document"]["rules"]
    assert refused("rule-set", "add", str(file)) == "registry.taken"
    odd = tmp_path / "odd.json"
    odd.write_text('{"code": "shops-2", "formulas": ["max <"]}')
    assert refused("rule-set", "add", str(odd)) == "vee.formula-syntax"
    run("rule-set", "add-group", "shops")
    assert run("rule-set", "put", "shops", "U1").strip() == "0"
    assignment_id = run("rule-set", "assign", "shops-1", "2026-11-01", "--group", "shops").strip()
    (row,) = json.loads(run("rule-set", "assignments", "--json"))
    assert (row["group_code"], row["rule_set_code"]) == ("shops", "shops-1")
    assert [row["members_count"] for row in json.loads(run("rule-set", "groups", "--json"))] == [1]
    assert int(run("rule-set", "put", "none", "U1")) > 0
    assert run("rule-set", "withdraw", assignment_id).strip() == "0"
    run("rule-set", "assign", "none", "2026-11-01")
    assert [row["code"] for row in json.loads(run("rule-set", "list", "--json"))] == ["shops-1"]
    assert refused("rule-set", "assign", "shops-1", "soon") == "shell.not-a-date"
    assert refused("rule-set", "assign", "nothing", "2026-11-01") == "registry.not-found"


def test_edits_and_proposals_by_shell(ours: People, home: Home, services: Services) -> None:
    asked = ("edit", "add", "U1", AT, "150.5", "0.25", "--reason-code", "51")
    assert refused(*asked) == "shell.person-needed"
    edit = json.loads(run(*asked, "--user", "ours-operator", typed=f"{PASSWORD}\n"))
    assert (edit["state"], edit["energy_milliwh"]) == ("PENDING", [150_500_000, 250_000])
    edit_id = str(edit["edit_id"])
    typed = f"{PASSWORD}\n"
    assert (
        refused("edit", "approve", edit_id, "--user", "ours-operator", typed=typed) == "vee.edit-own-approval"
    )
    run("edit", "approve", edit_id, "--user", "ours-administrator", typed=typed)
    assert json.loads(run("edit", "show", edit_id))["approver"] == "ours-administrator"
    assert services.store is not None
    while DirtyWindow.objects.exists():
        derive(services.store, ours.tenant.id)
    propose_rebills(services=services, now=NOW)
    rows = json.loads(run("edit", "versions", "U1", AT, "--json"))
    assert [row["quality"] for row in rows] == ["EDITED", "MEASURED"]
    (proposal,) = json.loads(run("rebill", "list", "--json"))
    proposal_id = str(proposal["proposal_id"])
    assert refused("rebill", "reject", proposal_id, " ") == "billing.proposal-reason"
    new_id = int(run("rebill", "approve", proposal_id))
    assert Bill.objects.get(id=new_id).corrects_id == home.bill_id
    assert refused("rebill", "reject", proposal_id, "late") == "billing.proposal-decided"
    run("edit", "withdraw", edit_id, "--user", "ours-operator", typed=typed)
    assert json.loads(run("edit", "list", "--json"))[0]["state"] == "WITHDRAWN"


def test_the_threshold_by_shell(home: Home) -> None:
    assert run("edit", "threshold").strip() == "100 kWh"
    assert run("edit", "threshold", "2.5").strip() == "2.5 kWh"
    assert refused("edit", "threshold", "much") == "shell.not-energy"
    assert refused("edit", "threshold", "0.0000001") == "shell.not-energy"
    assert refused("edit", "show", "99") == "registry.not-found"
