"""The shell's work: commands with a person behind them, bills and their traces, findings, jobs."""

import json
from datetime import time, timedelta

import pytest
from typer.testing import CliRunner

from console_street import FRAME, Home, same_home
from relational import NOW, PASSWORD, People, Street
from shell_runner import refused, run
from wattkeeper.actions.accounts.create_api_key import create_api_key
from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
from wattkeeper.actions.commands.steps import go_to
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.core.commands.states import State
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.data.billing.models import Bill, Contract, TariffVersion
from wattkeeper.data.collection.models import Job
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.cli import commands
from wattkeeper.interfaces.cli.demo.tariffs import COMMERCIAL
from wattkeeper.interfaces.cli.main import app
from wattkeeper.interfaces.cli.shell import print_rows

SERIAL = "260100000001"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)


@pytest.fixture
def any_time(ours: People) -> None:
    """Let disconnects leave at any time."""
    set_cut_policy(actor=ours.administrator, now=NOW, opens=time(0), closes=time(23, 59), is_any_day=True)


def test_a_supply_is_switched_by_a_person_with_a_password(ours: People, home: Home, any_time: None) -> None:
    asked = ("command", "disconnect", SERIAL, "--reason", "unpaid", "--user", "ours-operator", "--key", "k")
    seen = [json.loads(run(*asked, typed=f"{PASSWORD}\n")) for _ in range(2)]
    command = Command.objects.get()
    assert [row["command_id"] for row in seen] == [command.id, command.id]
    assert (command.state, command.requested_by_id) == ("APPROVED", ours.operator.user_id)
    assert json.loads(run("command", "list", "--json"))[0]["serial_number"] == SERIAL
    assert refused(*asked, typed="wrong\n") == "accounts.log-in-refused"


def test_nobody_switches_without_being_a_person(
    ours: People, theirs: People, home: Home, any_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("command", "reconnect", SERIAL, "--reason", "paid", "--tenant", "ours")
    assert refused(*asked) == "shell.person-needed"
    monkeypatch.setenv("WATTKEEPER_API_KEY", "wk_wrong")
    assert refused(*asked) == "accounts.log-in-refused"
    for people, code in ((theirs, "accounts.log-in-refused"), (ours, None)):
        actor = people.operator
        assert actor.user_id is not None
        key = create_api_key(actor=people.administrator, now=NOW, user_id=actor.user_id, name="k")
        monkeypatch.setenv("WATTKEEPER_API_KEY", key)
        if code:
            assert refused(*asked) == code
    assert json.loads(run(*asked))["requested_by"] == "ours-operator"
    viewer_id = ours.viewer.user_id
    assert viewer_id is not None
    key = create_api_key(actor=ours.administrator, now=NOW, user_id=viewer_id, name="k")
    monkeypatch.setenv("WATTKEEPER_API_KEY", key)
    assert refused(*asked) == "accounts.not-allowed"


def test_a_refused_command_ends_with_its_code(ours: People, home: Home, any_time: None) -> None:
    UsagePoint.objects.filter(id=home.point_id).update(is_protected=True)
    asked = ("command", "disconnect", SERIAL, "--reason", "unpaid", "--user", "ours-operator")
    seen = json.loads(run(*asked, typed=f"{PASSWORD}\n", exit_code=1))
    assert (seen["state"], seen["refusal_code"]) == ("REFUSED", "commands.protected-customer")


def test_a_command_is_followed_until_it_is_read_back(
    ours: People, home: Home, any_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(
        *("command", "reconnect", SERIAL, "--reason", "paid", "--user", "ours-operator"),
        typed=f"{PASSWORD}\n",
    )
    ahead = iter((State.QUEUED, State.SENT, State.ACKED, State.ARMED, State.VERIFIED))
    command = Command.objects.get()

    def pass_time(_period_s: float) -> None:
        go_to(command, next(ahead), now=NOW)

    monkeypatch.setattr(commands.clock, "sleep", pass_time)
    seen = json.loads(run("command", "show", str(command.id), "--wait-s", "60"))
    assert (seen["state"], len(seen["steps"])) == ("VERIFIED", 6)
    assert refused("command", "show", "999") == "registry.not-found"


def test_disconnects_are_stopped_and_let_go_and_their_hours_set(ours: People) -> None:
    run("command", "stop")
    assert json.loads(run("command", "policy"))["is_stopped"] is True
    run("command", "let-go")
    seen = json.loads(run("command", "policy", "--opens", "08:00", "--closes", "16:00", "--any-day"))
    assert seen == {"opens": "08:00:00", "closes": "16:00:00", "is_any_day": True, "is_stopped": False}
    assert refused("command", "policy", "--opens", "8h") == "shell.not-an-hour"


@pytest.mark.parametrize(
    ("language", "word"), [("en", "midnight in Europe/Berlin"), ("zh", "Europe/Berlin 的零点")]
)
def test_a_tariff_of_another_zone_is_named(ours: People, home: Home, language: str, word: str) -> None:
    document = {**COMMERCIAL, "code": "far", "zone": "Europe/Berlin"}
    version_id = add_tariff_version(actor=ours.administrator, now=NOW, name="", document=document)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    Contract.objects.update(tariff_id=tariff_id)
    Bill.objects.update(state=Bill.State.REVERSED)
    result = CliRunner().invoke(app, ["--lang", language, "bill", "run", "2026-10"])
    assert result.exit_code == 1
    assert word in result.stderr
    assert "?" not in result.stderr


def test_a_month_is_billed_and_its_bill_leads_to_frames(ours: People, home: Home) -> None:
    assert run("bill", "run", "2026-10") == "issued 0, unchanged 1, proposed 0, held 0"
    assert run("bill", "run", "2026-11", "--usage-point", "U1", exit_code=1).endswith("held 1")
    assert set(Job.objects.values_list("state", flat=True)) == {"DONE"}
    assert refused("bill", "run", "october") == "shell.not-a-month"
    bill_id = str(json.loads(run("bill", "list", "--json"))[0]["bill_id"])
    bill = json.loads(run("bill", "show", bill_id))
    position = str(next(row["position"] for row in bill["lines"] if row["unit"] == "kWh"))
    intervals = json.loads(run("bill", "intervals", bill_id, position, "--json"))
    assert intervals[0]["quality"] == "MEASURED"
    traced = json.loads(run("bill", "trace", bill_id, position, intervals[0]["starts_at"]))
    assert {read["frame_hex"] for read in traced["reads"]} == {FRAME.hex(" ").upper()}
    assert refused("bill", "show", "999") == "registry.not-found"
    assert refused("bill", "intervals", bill_id, "99") == "registry.not-found"
    assert json.loads(run("job", "list", "--kind", "billing", "--json"))[0]["state"] == "DONE"


def test_tariffs_and_contracts_are_shown(ours: People, home: Home) -> None:
    code = json.loads(run("tariff", "list", "--json"))[0]["code"]
    assert len(json.loads(run("tariff", "show", code))["versions"]) == 1
    assert json.loads(run("tariff", "contracts", "--usage-point", "U1", "--json"))[0]["tariff_code"] == code


def test_findings_are_read_and_closed(ours: People, home: Home) -> None:
    row = next(
        row for row in json.loads(run("finding", "groups", "--json")) if row["rule"] == "collection.silent"
    )
    finding_id = str(json.loads(run("finding", "list", "--group", row["key"], "--json"))[0]["finding_id"])
    run("finding", "comment", finding_id, "looked at it")
    assert run("finding", "close-group", row["key"], "battery replaced") == "1"
    assert Finding.objects.get(id=finding_id).comments.count() == 2
    assert refused("finding", "close", finding_id, " ") == "findings.comment-missing"
    assert refused("finding", "list", "--group", "x") == "findings.group-unknown"


def test_findings_as_they_stood(ours: People) -> None:
    keep_findings([FindingDraft(ours.tenant.id, "vee.max-demand", "series:1", NOW)], now=NOW)
    before, after = ((NOW + timedelta(hours=hours)).isoformat() for hours in (-1, 1))
    for verb in ("list", "groups"):
        assert json.loads(run("finding", verb, "--json", "--as-of", before)) == []
        assert len(json.loads(run("finding", verb, "--json", "--as-of", after))) == 1
        assert refused("finding", verb, "--as-of", "2026-11-22") == "shell.not-an-instant"


@pytest.mark.parametrize(("language", "said"), [("en", "Limit: 2 kWh"), ("zh-hans", "限值: 2 kWh")])
def test_what_was_seen_is_told_in_words(
    ours: People, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    seen = {"limit_milliwh": 2_000_000}
    keep_findings([FindingDraft(ours.tenant.id, "vee.max-demand", "series:1", NOW, evidence=seen)], now=NOW)
    assert said in run("--lang", language, "finding", "list")
    assert json.loads(run("finding", "list", "--json"))[0]["evidence"] == seen


def test_a_narrow_terminal_shows_every_cell_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_rows([{"label": "x" * 90, "unit": "kWh"}], ("label", "unit"), as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("x") == 90
    assert "…" not in shown
