"""The head-end's ports on the relational side: links that are dialled into, and who was not let in."""

from dataclasses import replace
from pathlib import Path

import pytest

from relational import NOW, People, Street
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.bootstrap.headend_ports import KEY_WORN_AT_COUNT, KEY_WORN_RULE, DataPlan, reserve_counters
from wattkeeper.bootstrap.headend_reports import COUNTER_RULE, INTERVAL_RULE, STRANGER_RULE, DataReports
from wattkeeper.bootstrap.spool_findings import ALARM_RULE, DEAD_LETTERS_RULE, FULL_RULE
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import InvocationCounter
from wattkeeper.headend.ports import DeviceReport, SpoolReport, Stranger, Transport

ENDPOINT = "listen://0.0.0.0:9000?token=registration-1"
STRANGER = Stranger(9000, "10.0.0.7", NOW, "headend.dial-in-unproved", (), None, b"\x68\x01", "260100000001")


def test_a_link_whose_endpoint_says_so_is_dialled_into(ours: People, street: Street, tmp_path: Path) -> None:
    assert DataPlan(tmp_path, lambda: NOW).links()[0].transport is Transport.TCP
    edit_link(actor=ours.operator, now=NOW, link_id=street.link_id, endpoint=ENDPOINT)
    plan = DataPlan(tmp_path, lambda: NOW).links()[0]
    assert (plan.transport, plan.endpoint) == (Transport.LISTEN, ENDPOINT)


def test_a_stranger_is_one_finding_a_day_until_it_is_known(ours: People, street: Street) -> None:
    reports = DataReports(lambda: NOW)
    stranger = replace(STRANGER, tenant_ids=(ours.tenant.id,))
    reports.report_stranger(stranger, 0)
    reports.report_stranger(stranger, 3)
    finding = Finding.objects.get(rule=STRANGER_RULE)
    assert finding.evidence["serial_number"] == "260100000001"
    assert (finding.evidence["said"], finding.evidence["untold_count"]) == ("6801", 3)
    reports.report_known(street.link_id, "10.0.0.8", 9000, NOW)
    assert Finding.objects.get().state == "OPEN"
    reports.report_known(street.link_id, "10.0.0.7", 9000, NOW)
    assert Finding.objects.get().state == "CLOSED"


@pytest.mark.usefixtures("street")
def test_a_stranger_is_told_to_each_tenant_of_the_port(ours: People, theirs: People) -> None:
    tenant_ids = (ours.tenant.id, theirs.tenant.id)
    DataReports(lambda: NOW).report_stranger(replace(STRANGER, tenant_ids=tenant_ids), 0)
    assert set(Finding.objects.values_list("tenant_id", flat=True)) == set(tenant_ids)


def told(street: Street, error_code: str | None, *, is_answering: bool) -> DeviceReport:
    return DeviceReport(street.meter_id, NOW, is_answering, error_code)


@pytest.mark.usefixtures("ours")
def test_a_meter_that_wants_other_counters_is_a_finding(street: Street) -> None:
    reports = DataReports(lambda: NOW)
    reports.report_devices([told(street, "drivers.counter-jump", is_answering=False)])
    assert Finding.objects.get().rule == COUNTER_RULE
    reports.report_devices([told(street, "headend.no-answer", is_answering=False)])
    assert Finding.objects.get().state == "OPEN"
    reports.report_devices([told(street, None, is_answering=True)])
    assert Finding.objects.get().state == "CLOSED"


@pytest.mark.usefixtures("ours")
def test_a_profile_at_other_intervals_than_planned_is_a_finding_until_they_agree(street: Street) -> None:
    def report(reports: DataReports, intervals_s: tuple[int, int] | None) -> str:
        reports.report_devices([DeviceReport(street.meter_id, NOW, True, intervals_s=intervals_s)])
        return " ".join(Finding.objects.order_by("id").values_list("state", flat=True))

    reports = DataReports(lambda: NOW)
    assert report(reports, None) == ""
    assert report(reports, (900, 900)) == ""
    assert report(reports, (900, 3600)) == "OPEN"
    finding = Finding.objects.get()
    assert (finding.rule, finding.meter_id) == (INTERVAL_RULE, street.meter_id)
    assert finding.evidence == {"interval_s": 900, "told_interval_s": 3600}
    assert report(reports, None) == "OPEN"
    again = DataReports(lambda: NOW)  # another process
    assert report(again, (900, 3600)) == "OPEN"
    assert report(again, (3600, 3600)) == "CLOSED"


@pytest.mark.usefixtures("ours")
def test_a_key_is_worn_long_before_its_counters_are_used_up(street: Street) -> None:
    InvocationCounter.objects.create(meter_id=street.meter_id, next_counter=KEY_WORN_AT_COUNT - 100)
    assert reserve_counters(street.meter_id, 64, NOW) == KEY_WORN_AT_COUNT - 100
    assert not Finding.objects.exists()
    assert reserve_counters(street.meter_id, 64, NOW) == KEY_WORN_AT_COUNT - 36
    assert reserve_counters(street.meter_id, 64, NOW) == KEY_WORN_AT_COUNT + 28
    assert Finding.objects.get().rule == KEY_WORN_RULE


@pytest.mark.usefixtures("street")
def test_the_state_of_the_spool_is_a_finding_of_who_has_links(ours: People, theirs: People) -> None:
    reports = DataReports(lambda: NOW)
    reports.report_spool(SpoolReport(True, True, False, 2, "store.out-of-range"), NOW)
    found = {finding.rule: finding for finding in Finding.objects.all()}
    assert set(found) == {ALARM_RULE, FULL_RULE, DEAD_LETTERS_RULE}
    assert {finding.tenant_id for finding in found.values()} == {ours.tenant.id}
    assert found[DEAD_LETTERS_RULE].evidence == {"count": 2, "reason": "store.out-of-range"}
    after_a_restart = DataReports(lambda: NOW)
    after_a_restart.report_spool(SpoolReport(True, False, False, 0), NOW)
    assert [finding.rule for finding in Finding.objects.filter(state="OPEN")] == [ALARM_RULE]
