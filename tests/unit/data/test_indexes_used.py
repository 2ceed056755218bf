"""What is told as of a moment is looked up, not looked through, on whatever engine the registry lies."""

from datetime import timedelta
from functools import partial

import pytest

from plans import is_found_by, learn, rows_fetched, uses_of
from relational import NOW, People
from wattkeeper.data.alarms.groups import list_finding_groups
from wattkeeper.data.alarms.models import Finding, FindingPast
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.installed import told_otherwise
from wattkeeper.data.registry.models import (
    Installation,
    InstallationPast,
    Meter,
    Site,
    ToldMultiplier,
    UsagePoint,
)
from wattkeeper.data.registry.told import list_told_otherwise
from wattkeeper.data.virtual.nodes import ROOT
from wattkeeper.interfaces.reads.aggregation import Question, add_up
from wattkeeper.store.memory import MemoryReadingStore

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
COUNT = 3000
AS_OF = NOW - 5 * MINUTE


@pytest.fixture
def audit(ours: People) -> People:
    """An audit chain of many verbs, of which few were recorded since."""
    verbs = ("registry.set-topology", "billing.issue", "commands.claim")
    AuditRecord.objects.bulk_create(
        AuditRecord(
            tenant_id=ours.tenant.id,
            sequence=10**6 - i,
            recorded_at=NOW - i * MINUTE,
            actor="a",
            verb=verbs[i % 3],
            subject=f"usage-point:{10**6 + i}",
            detail={"parent_id": None, "at": (NOW - i * MINUTE).isoformat()},
            previous_hash="",
            hash="",
        )
        for i in range(COUNT)
    )
    learn()
    return ours


def test_what_belonged_where_is_looked_up(audit: People, theirs: People) -> None:
    """Of the records of a verb those since the instant are read, and those of what they are about."""
    asked = Question("feeder", ROOT, "day", NOW.date(), NOW.date() + DAY)

    def ask(tenant_id: int) -> None:
        add_up(MemoryReadingStore(), question=asked, tenant_id=tenant_id, now=NOW, as_of=AS_OF)

    since, before = uses_of(lambda: ask(audit.tenant.id), "registry.set-topology")
    assert is_found_by(since, "audit_verb_at", "verb", "recorded_at")
    assert is_found_by(before, "audit_verb_subject", "verb", "subject")
    assert rows_fetched(lambda: ask(audit.tenant.id), "registry.set-topology") == 2 * 2  # subjects, records
    assert rows_fetched(lambda: ask(theirs.tenant.id), "registry.set-topology") == 0


def test_how_findings_stood_is_looked_up(ours: People) -> None:
    findings = Finding.objects.bulk_create(
        Finding(tenant=ours.tenant, rule="vee.spike", subject_key=f"series:{i}", starts_at=NOW, opened_at=NOW)
        for i in range(COUNT)
    )
    FindingPast.objects.bulk_create(
        FindingPast(finding=finding, until_at=NOW - i * MINUTE)
        for i, finding in enumerate(Finding.objects.filter(subject_key__in=[f.subject_key for f in findings]))
    )
    learn()
    (uses,) = uses_of(
        lambda: list(list_finding_groups(tenant_id=ours.tenant.id, as_of=AS_OF).items), "LIMIT 50"
    )
    assert is_found_by(uses, "finding_past_until", "finding_id")


def test_when_meters_were_said_to_be_installed_is_looked_up(ours: People) -> None:
    own = {"tenant": ours.tenant}
    site = Site.objects.create(code="S", name="S", kind="COMMERCIAL", time_zone="UTC", **own)
    point = UsagePoint.objects.create(site=site, code="P", plain_name="", power_max_w=1, **own)
    meter = Meter.objects.create(site=site, serial_number="M", **own)
    span = {"starts_at": NOW - 9 * DAY, "recorded_at": NOW - 9 * DAY}
    installed = Installation.objects.create(meter=meter, usage_point=point, **span, **own)
    InstallationPast.objects.bulk_create(
        InstallationPast(installation=installed, until_at=NOW - i * MINUTE, starts_at=NOW - 9 * DAY)
        for i in range(COUNT)
    )
    learn()
    (uses,) = uses_of(lambda: told_otherwise(ours.tenant.id, AS_OF), "registry_installationpast")
    assert is_found_by(uses, "installation_past_until", "until_at")
    assert set(told_otherwise(ours.tenant.id, AS_OF)) == {installed.id}
    for tenant_id, as_of in ((ours.tenant.id + 1, AS_OF), (ours.tenant.id, NOW - 10 * DAY)):
        assert told_otherwise(tenant_id, as_of) == {}
        assert rows_fetched(partial(told_otherwise, tenant_id, as_of), "registry_installationpast") == 0


def test_what_meters_of_others_told_is_not_fetched(ours: People) -> None:
    own = {"tenant": ours.tenant}
    site = Site.objects.create(code="S", name="S", kind="COMMERCIAL", time_zone="UTC", **own)
    meter = Meter.objects.create(site=site, serial_number="M", **own)
    ToldMultiplier.objects.create(meter=meter, told_at=NOW, numerator=40, denominator=1)
    for tenant_id, rows_count in ((ours.tenant.id, 1), (ours.tenant.id + 1, 0)):
        assert rows_fetched(partial(list_told_otherwise, tenant_id), "registry_toldmultiplier") == rows_count


def test_a_search_that_no_index_is_for_is_seen(audit: People) -> None:
    """The planted fault: records of an instant, whatever the verb."""
    records = AuditRecord.objects.filter(tenant_id=audit.tenant.id, recorded_at__gt=AS_OF)
    (uses,) = uses_of(lambda: list(records), "audit_auditrecord")
    assert not is_found_by(uses, "audit_verb_at", "verb", "recorded_at")
    assert not is_found_by(uses, "audit_verb_subject", "verb")
