"""Work over the API: commands followed to their end, billing, bills to their frames, findings in groups."""

from datetime import datetime, time, timedelta

import pytest

from api_caller import Caller
from console_street import FRAME, Home, same_home
from relational import NOW, People, Street
from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
from wattkeeper.actions.commands.steps import go_to
from wattkeeper.actions.jobs.run_job import run_job
from wattkeeper.actions.services import Services
from wattkeeper.core.commands.states import State
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import UsagePoint

KEY = {"Idempotency-Key": "one"}
ASKED = {"kind": "DISCONNECT", "reason": "unpaid"}


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home that was read and billed."""
    return same_home(ours, street, services)


@pytest.fixture
def any_time(ours: People) -> None:
    """Let disconnects leave at any time."""
    set_cut_policy(actor=ours.administrator, now=NOW, opens=time(0), closes=time(23, 59), is_any_day=True)


def test_a_disconnect_is_followed_to_its_read_back(ours: People, home: Home, any_time: None) -> None:
    call = Caller(ours.operator)
    made = call("POST", f"/meters/{home.meter_id}/commands", ASKED, **KEY)
    assert (made.status_code, made.json()["state"], made.json()["is_final"]) == (202, "APPROVED", False)
    command = Command.objects.get()
    address = f"/commands/{made.json()['command_id']}"
    for state in (State.QUEUED, State.SENT, State.ACKED):
        go_to(command, state, now=NOW)
    assert call("GET", address).json()["relay_state"] is None
    command.relay_state_code, command.read_back_at = 0, NOW
    go_to(command, State.VERIFIED, now=NOW)
    seen = call("GET", address).json()
    assert (seen["state"], seen["is_final"], seen["relay_state"]) == ("VERIFIED", True, "DISCONNECTED")
    assert [step["to_state"] for step in seen["steps"]] == ["APPROVED", "QUEUED", "SENT", "ACKED", "VERIFIED"]
    assert AuditRecord.objects.filter(verb="commands.request", actor__startswith="api:").count() == 1


def test_a_command_needs_a_key_and_the_same_key_is_one_command(
    ours: People, home: Home, any_time: None
) -> None:
    call, other = Caller(ours.operator), Caller(ours.administrator)
    path = f"/meters/{home.meter_id}/commands"
    assert call("POST", path, ASKED).json()["code"] == "requests.key-missing"
    first, again = call("POST", path, ASKED, **KEY), call("POST", path, ASKED, **KEY)
    assert first.json()["command_id"] == again.json()["command_id"]
    changed = call("POST", path, {**ASKED, "reason": "moved"}, **KEY)
    assert (changed.status_code, changed.json()["code"]) == (409, "commands.key-reused")
    assert Command.objects.count() == 1
    assert other("POST", path, ASKED, **KEY).json()["command_id"] != first.json()["command_id"]
    assert call("POST", path, ASKED, **{"Idempotency-Key": "k" * 256}).status_code == 422


def test_a_refused_command_says_why_in_the_callers_language(ours: People, home: Home, any_time: None) -> None:
    UsagePoint.objects.filter(id=home.point_id).update(is_protected=True)
    headers = {**KEY, "Accept-Language": "zh-hans"}
    seen = Caller(ours.operator)("POST", f"/meters/{home.meter_id}/commands", ASKED, **headers).json()
    assert (seen["state"], seen["is_final"]) == ("REFUSED", True)
    assert seen["refusal_code"] == "commands.protected-customer"
    assert any("\u4e00" <= letter <= "\u9fff" for letter in seen["refusal_message"])


def test_who_may_not_switch_is_refused(ours: People, home: Home, any_time: None) -> None:
    viewer = Caller(ours.viewer)
    answer = viewer("POST", f"/meters/{home.meter_id}/commands", ASKED, **KEY)
    assert (answer.status_code, answer.json()["code"]) == (403, "accounts.not-allowed")
    assert viewer("PUT", "/kill-switch", {"is_on": True}).status_code == 403
    assert (
        viewer("POST", "/billing-runs", {"first_date": "2026-10-01", "end_date": "2026-11-01"}).status_code
        == 403
    )
    assert (
        viewer("POST", "/findings/close", {"keys": ["a|||"], "up_to_id": 9, "text": "x"}).status_code == 403
    )
    assert not Command.objects.exists()


def test_the_kill_switch_stops_at_once_and_takes_an_administrator_to_lift(
    ours: People, home: Home, any_time: None
) -> None:
    operator, administrator = Caller(ours.operator), Caller(ours.administrator)
    assert operator("GET", "/kill-switch").json() == {"is_on": False}
    assert operator("PUT", "/kill-switch", {"is_on": True}).status_code == 204
    seen = operator("POST", f"/meters/{home.meter_id}/commands", ASKED, **KEY).json()
    assert (seen["state"], seen["refusal_code"]) == ("REFUSED", "commands.kill-switch")
    assert operator("PUT", "/kill-switch", {"is_on": False}).status_code == 403
    assert administrator("PUT", "/kill-switch", {"is_on": False}).status_code == 204
    assert administrator("GET", "/kill-switch").json() == {"is_on": False}


def test_the_hours_of_disconnects_are_set_by_administrators(ours: People) -> None:
    hours = {"opens": "08:00:00", "closes": "16:30:00", "is_any_day": False}
    assert Caller(ours.operator)("PUT", "/cut-policy", hours).status_code == 403
    call = Caller(ours.administrator)
    assert call("PUT", "/cut-policy", hours).status_code == 204
    assert call("GET", "/cut-policy").json() == hours
    assert call("PUT", "/cut-policy", {**hours, "closes": "07:00"}).json()["code"] == "commands.policy-empty"


def test_commands_are_listed_and_narrowed(ours: People, home: Home, any_time: None) -> None:
    call = Caller(ours.operator)
    call("POST", f"/meters/{home.meter_id}/commands", ASKED, **KEY)
    call(
        "POST",
        f"/meters/{home.meter_id}/commands",
        {**ASKED, "kind": "RECONNECT"},
        **{"Idempotency-Key": "2"},
    )
    assert call("GET", "/commands").json()["total_count"] == 2
    assert [row["kind"] for row in call("GET", "/commands?limit=1").json()["items"]] == ["RECONNECT"]
    assert call("GET", "/commands?state=VERIFIED").json()["items"] == []
    assert call("GET", f"/commands?meter_id={home.meter_id}&search=unpaid").json()["total_count"] == 2


def test_billing_runs_in_the_background_and_once(ours: People, home: Home, services: Services) -> None:
    call = Caller(ours.operator)
    asked = {"first_date": "2026-10-01", "end_date": "2026-11-01", "usage_point_ids": [home.point_id]}
    first, again = call("POST", "/billing-runs", asked, **KEY), call("POST", "/billing-runs", asked, **KEY)
    assert (first.status_code, first.json()["state"]) == (202, "QUEUED")
    assert first.json()["job_id"] == again.json()["job_id"]
    assert run_job(services=services)
    assert not run_job(services=services)
    job = call("GET", f"/jobs/{first.json()['job_id']}").json()
    assert (job["state"], job["result"]) == ("DONE", {"issued": 0, "unchanged": 1, "proposed": 0, "held": 0})
    assert Bill.objects.count() == 1
    backwards = call("POST", "/billing-runs", {"first_date": "2026-11-01", "end_date": "2026-10-01"})
    assert (backwards.status_code, backwards.json()["code"]) == (422, "billing.period")


def test_from_a_bill_to_the_frames_it_rests_on(ours: People, home: Home) -> None:
    call = Caller(ours.viewer)
    bill = call("GET", f"/bills/{home.bill_id}").json()
    line = next(row for row in bill["lines"] if row["unit"] == "kWh")
    found = call("GET", f"/bills/{home.bill_id}/lines/{line['position']}/intervals").json()
    assert found["interval_count"] == len(found["intervals"]) > 0
    parts = [
        row["part_milliwh"] if row["part_milliwh"] is not None else row["value_milliwh"]
        for row in found["intervals"]
    ]
    assert sum(parts) == found["held_milliwh"]
    assert found["is_shared"] or found["held_milliwh"] == round(float(line["quantity"]) * 10**6)
    starts_at = found["intervals"][0]["starts_at"].replace("+", "%2B")
    way = call(
        "GET", f"/series/{found['series_id']}/trace?starts_at={starts_at}&run_id={found['run_id']}"
    ).json()
    assert {read["frame_hex"] for read in way["reads"]} == {FRAME.hex(" ").upper()}
    assert way["advance"]["energy_kwh"] == f"{way['interval']['value_milliwh'] / 10**6:g}"
    assert bill["document"]["register_reads"]


def test_a_customer_is_erased(ours: People, home: Home) -> None:
    place = f"/usage-points/{home.point_id}"
    assert Caller(ours.operator)("PATCH", place, {"customer_name": "Quillfeather"}).status_code == 204
    assert Caller(ours.operator)("POST", f"{place}/erase-customer").status_code == 403
    assert Caller(ours.administrator)("POST", f"{place}/erase-customer").status_code == 204
    assert Caller(ours.viewer)("GET", place).json()["row"]["customer_name"] == ""


def test_contracts_of_a_usage_point(ours: People, home: Home) -> None:
    rows = Caller(ours.viewer)("GET", f"/usage-points/{home.point_id}/contracts").json()
    assert [(row["tariff_id"], row["ends_at"]) for row in rows] == [(home.tariff_id, None)]
    place, at = f"/usage-points/{home.point_id}", {"at": "2026-10-13T00:00:00+08:00"}
    assert Caller(ours.operator)("POST", f"{place}/end-contract", at).status_code == 403
    administrator = Caller(ours.administrator)
    assert administrator("POST", f"{place}/end-contract", at).status_code == 204
    (row,) = administrator("GET", f"{place}/contracts").json()
    assert row["ends_at"] == "2026-10-12T16:00:00Z"
    again = administrator("POST", f"{place}/end-contract", at)
    assert (again.status_code, again.json()["code"]) == (409, "contracts.none-in-force")
    assert Caller(ours.operator)("POST", f"{place}/reopen-contract", {}).status_code == 403
    assert administrator("POST", f"{place}/reopen-contract", {}).status_code == 204
    (row,) = administrator("GET", f"{place}/contracts").json()
    assert (row["ends_at"], row["is_same_customer"]) == (None, False)
    none = administrator("POST", f"{place}/reopen-contract", {})
    assert (none.status_code, none.json()["code"]) == (409, "contracts.none-ended")
    goes_on = {**at, "tariff_id": home.tariff_id, "is_same_customer": True}
    assert administrator("POST", f"{place}/contracts", goes_on).status_code == 200
    rows = administrator("GET", f"{place}/contracts").json()
    assert [row["is_same_customer"] for row in rows] == [False, True]
    assert [row["tiers_count_on"] for row in rows] == [False, True]
    body = {"contract_id": rows[1]["contract_id"], "before_goes_on": True}
    assert Caller(ours.operator)("POST", f"{place}/withdraw-contract", body).status_code == 403
    assert administrator("POST", f"{place}/withdraw-contract", body).status_code == 204
    (row,) = administrator("GET", f"{place}/contracts").json()
    assert row["ends_at"] is None
    gone = administrator("POST", f"{place}/withdraw-contract", body)
    assert (gone.status_code, gone.json()["code"]) == (404, "registry.not-found")
    billed = administrator("POST", f"{place}/withdraw-contract", {"contract_id": row["contract_id"]})
    assert (billed.status_code, billed.json()["code"]) == (409, "contracts.billed")


def tell(ours: People, street: Street, count: int) -> None:
    """Leave so many findings of one rule at one meter, and one at a link."""
    drafts = [
        FindingDraft(
            ours.tenant.id,
            "vee.constant",
            "series:7",
            NOW - timedelta(days=day),
            NOW - timedelta(days=day) + timedelta(hours=1),
            usage_point_id=street.point_id,
            meter_id=street.meter_id,
        )
        for day in range(count)
    ]
    drafts.append(FindingDraft(ours.tenant.id, "collection.link-down", "link:1", NOW))
    drafts.append(FindingDraft(ours.tenant.id, "collection.link-down", "link:2", NOW))
    keep_findings(drafts, now=NOW)


def test_findings_come_in_groups_and_are_closed_together(ours: People, street: Street) -> None:
    tell(ours, street, 5)
    call = Caller(ours.operator)
    page = call("GET", "/findings/groups").json()
    assert page["total_count"] == 3
    group = next(row for row in page["items"] if row["rule"] == "vee.constant")
    assert (group["findings_count"], group["meter_serial_number"]) == (5, "260100000001")
    assert (group["first_at"], group["last_at"]) == ("2026-11-18T12:00:00Z", "2026-11-22T13:00:00Z")
    newest = max(row["newest_id"] for row in page["items"])
    late = FindingDraft(
        ours.tenant.id,
        "vee.constant",
        "series:8",
        NOW,
        usage_point_id=street.point_id,
        meter_id=street.meter_id,
    )
    keep_findings([late], now=NOW)
    body = {"keys": [group["key"]], "up_to_id": newest, "text": "night"}
    assert call("POST", "/findings/close", body).json() == {"closed_count": 5}
    assert Finding.objects.filter(rule="vee.constant", state="OPEN").get().subject_key == "series:8"
    assert call("POST", "/findings/close", body).json() == {"closed_count": 0}
    record = AuditRecord.objects.get(verb="findings.close-many", detail__closed_count=5)
    assert record.detail["comment"] == "sealed"
    assert call("POST", "/findings/close", {**body, "text": " "}).json()["code"] == "findings.comment-missing"
    assert call("POST", "/findings/close", {**body, "keys": ["x"]}).json()["code"] == "findings.group-unknown"
    assert call("GET", "/findings/groups?state=ALL&search=0001").json()["total_count"] == 1


def test_findings_as_they_stood(ours: People, street: Street) -> None:
    tell(ours, street, 5)
    own = {"tenant_id": ours.tenant.id, "rule": "vee.constant", "subject_key": "series:7"}
    close_gone(**own, now=NOW + timedelta(hours=2))
    call = Caller(ours.viewer)
    finding_id = Finding.objects.filter(rule="vee.constant").latest("id").id

    def stood(at: datetime) -> tuple[int, int, str]:
        as_of = f"as_of={at:%Y-%m-%dT%H:%M:%SZ}"
        counts = [call("GET", f"/findings{more}?{as_of}").json()["total_count"] for more in ("", "/groups")]
        return counts[0], counts[1], call("GET", f"/findings/{finding_id}?{as_of}").json().get("state", "")

    assert stood(NOW - timedelta(hours=1)) == (0, 0, "")
    assert stood(NOW + timedelta(hours=1)) == (7, 3, "OPEN")
    assert stood(NOW + timedelta(hours=2)) == (2, 2, "CLOSED")
    assert call("GET", "/findings").json()["total_count"] == 2
    naive = call("GET", "/findings?as_of=2026-11-22T12:00:00")
    assert naive.json()["code"] == "registry.instant-naive"


def test_another_tenants_findings_stay_open(ours: People, theirs: People, street: Street) -> None:
    tell(ours, street, 2)
    key = f"vee.constant|{street.meter_id}|{street.point_id}|"
    body = {"keys": [key, "collection.link-down|||link:1"], "up_to_id": 10**9, "text": "mine now"}
    assert Caller(theirs.operator)("POST", "/findings/close", body).json() == {"closed_count": 0}
    assert not Finding.objects.filter(state="CLOSED").exists()
    assert Caller(ours.operator)("POST", "/findings/close", body).json() == {"closed_count": 3}
