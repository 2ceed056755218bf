"""The head-end's ports on the relational side: links that are dialled into, and who was not let in."""

from dataclasses import replace
from pathlib import Path

import pytest

from relational import NOW, People, Street
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.bootstrap.headend_ports import STRANGER_RULE, DataPlan, DataReports
from wattkeeper.data.alarms.models import Finding
from wattkeeper.headend.ports import Stranger, Transport

ENDPOINT = "listen://0.0.0.0:9000?token=registration-1"
STRANGER = Stranger(9000, "10.0.0.7", NOW, "headend.dial-in-unproved", (), None, b"\x68\x01", "260100000001")


def test_a_link_whose_endpoint_says_so_is_dialled_into(ours: People, street: Street, tmp_path: Path) -> None:
    assert DataPlan(tmp_path).links()[0].transport is Transport.TCP
    edit_link(actor=ours.operator, now=NOW, link_id=street.link_id, endpoint=ENDPOINT)
    plan = DataPlan(tmp_path).links()[0]
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
