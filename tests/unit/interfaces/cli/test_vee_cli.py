"""The shell's verbs about rule sets, edits, versions and rebill proposals."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console_street import Home, derive, move_in, same_home
from relational import NOW, PASSWORD, People, Street
from shell_runner import refused, run
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.services import Services
from wattkeeper.data.billing.models import Bill, Contract
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Meter, UsagePoint

AT = "2026-10-05T10:00:00+08:00"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)


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
    seen = json.loads(run("rebill", "show", proposal_id))["version"]
    assert seen == proposal["version"]
    assert refused("rebill", "show", "99") == "registry.not-found"
    assert refused("rebill", "reject", proposal_id, seen, " ") == "billing.proposal-reason"
    assert refused("rebill", "approve", proposal_id, "older") == "billing.proposal-stale"
    new_id = int(run("rebill", "approve", proposal_id, seen))
    assert Bill.objects.get(id=new_id).corrects_id == home.bill_id
    assert refused("rebill", "reject", proposal_id, seen, "late") == "billing.proposal-decided"
    run("edit", "withdraw", edit_id, "--user", "ours-operator", typed=typed)
    assert json.loads(run("edit", "list", "--json"))[0]["state"] == "WITHDRAWN"


def test_a_month_of_two_contracts_by_shell(home: Home, ours: People, services: Services) -> None:
    move_in(ours, home)
    propose_rebills(services=services, now=NOW)
    (proposal,) = json.loads(run("rebill", "list", "--json"))
    new_ids = run("rebill", "approve", str(proposal["proposal_id"]), proposal["version"]).split()
    assert [str(bill.id) for bill in Bill.objects.filter(state="ISSUED").order_by("starts_at")] == new_ids
    assert len(new_ids) == 2


def test_a_customer_is_erased_by_shell(home: Home) -> None:
    run("usage-point", "edit", "U1", "--customer-name", "Quillfeather")
    assert refused("usage-point", "erase-customer", "U1") == "shell.not-sure"
    run("usage-point", "erase-customer", "U1", "--yes")
    point = UsagePoint.objects.get(id=home.point_id)
    assert (point.name, point.customer_name) == ("U1", "")


def test_a_contract_ends_by_shell(home: Home) -> None:
    run("usage-point", "end-contract", "U1", "--at", "2026-10-13T00:00:00+08:00")
    assert refused("usage-point", "end-contract", "U1", "--at", "2026-10-14T00:00:00+08:00") == (
        "contracts.none-in-force"
    )
    run("usage-point", "reopen-contract", "U1", "--until", "2026-10-14T00:00:00+08:00")
    assert Contract.objects.get().ends_at == datetime(2026, 10, 13, 16, tzinfo=UTC)
    run("usage-point", "reopen-contract", "U1")
    assert Contract.objects.get().ends_at is None
    assert refused("usage-point", "reopen-contract", "U1") == "contracts.none-ended"
    code = Contract.objects.get().tariff.code
    run("usage-point", "contract", "U1", code, "--at", "2026-10-13T00:00:00+08:00", "--same-customer")
    latest = Contract.objects.latest("starts_at")
    assert latest.is_same_customer
    cells = [line.split("│")[-2].strip() for line in run("tariff", "contracts").splitlines() if "│" in line]
    assert [cell for cell in cells if cell] == ["no", "yes"]  # whether tiers count on
    run("usage-point", "withdraw-contract", "U1", str(latest.id), "--before-goes-on")
    (left,) = Contract.objects.all()
    assert left.ends_at is None
    assert refused("usage-point", "withdraw-contract", "U1", str(left.id)) == "contracts.billed"


def test_the_threshold_by_shell(home: Home) -> None:
    assert run("edit", "threshold").strip() == "100 kWh"
    assert run("edit", "threshold", "2.5").strip() == "2.5 kWh"
    assert refused("edit", "threshold", "much") == "shell.not-energy"
    assert refused("edit", "threshold", "0.0000001") == "shell.not-energy"
    assert refused("edit", "show", "99") == "registry.not-found"


def test_a_noted_read_is_withdrawn_by_shell(ours: People, home: Home) -> None:
    serial = Meter.objects.get(id=home.meter_id).serial_number
    at, typed = "2026-10-05T10:07:00+08:00", f"{PASSWORD}\n"
    asked = ("meter", "withdraw-read", serial, "--at", at, "--reason", "misread")
    assert refused(*asked) == "shell.person-needed"
    asked = (*asked, "--user", "ours-operator")
    assert refused(*asked, typed=typed) == "readings.not-noted"
    for wrong in ("999000", "998000"):
        run("meter", "note-read", serial, wrong, "--at", at)
        own_id = run(*asked, typed=typed).split()[-1]
        other = (own_id, "--user", "ours-administrator")
        if wrong == "999000":
            run("meter", "reject-withdrawal", own_id, "it was so", *other[1:], typed=typed)
        else:
            run("meter", "approve-withdrawal", *other, typed=typed)
    (row,) = json.loads(run("meter", "noted-reads", serial, "--json"))
    assert (row["read"], row["state"], row["is_withdrawn"]) == ("998000", "IN_FORCE", True)
