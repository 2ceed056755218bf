"""A customer who is erased is found nowhere any more; what was read and billed stays as it was."""

from collections.abc import Iterator

import pytest
from django.apps import apps

from console_street import Home, same_home
from relational import NOW, People, Street
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.findings.comment_finding import comment_finding
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.registry.erase_customer import erase_customer
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding, FindingComment
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.data.registry.queries import list_usage_points

CANARY = "Zebedee Quillfeather"


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """A home that was read and billed, with a named customer of whom somebody wrote."""
    home = same_home(ours, street, services)
    edit_usage_point(
        actor=ours.operator,
        now=NOW,
        usage_point_id=home.point_id,
        name=f"Flat of {CANARY}",
        customer_name=f"{CANARY}, +49 30 98y76",
    )
    tenant_id = ours.tenant.id
    drafts = [
        FindingDraft(tenant_id, "vee.spike", "link:1", NOW, usage_point_id=home.point_id),
        FindingDraft(tenant_id, "collection.silent", f"meter:{home.meter_id}", NOW, meter_id=home.meter_id),
        FindingDraft(tenant_id, "collection.late-for-archive", f"series:{home.series_id}", NOW),
    ]
    keep_findings(drafts, now=NOW)
    for finding_id in Finding.objects.filter(starts_at=NOW).values_list("id", flat=True):
        comment_finding(actor=ours.operator, now=NOW, finding_id=finding_id, text=f"{CANARY} was told")
    return home


def erase(actor: Actor, home: Home) -> int:
    return erase_customer(actor=actor, now=NOW, usage_point_id=home.point_id)


def places_of(word: str) -> Iterator[str]:
    """Yield each column of any table in which a word stands, sealed or not."""
    for model in apps.get_models():
        for row in model._default_manager.all():
            for field in model._meta.concrete_fields:
                if word in str(getattr(row, field.attname)):
                    yield f"{model._meta.label_lower}.{field.name}"


def test_nothing_that_can_be_opened_names_them(ours: People, home: Home) -> None:
    bills = list(Bill.objects.order_by("id").values_list("document", "document_key", "total_minor"))
    before = set(places_of(CANARY.split()[1]))
    assert before == {
        "registry.usagepoint.name",
        "registry.usagepoint.customer_name",
        "alarms.findingcomment.text",
    }
    assert erase(ours.administrator, home) == 3
    assert set(places_of(CANARY.split()[1])) == set()
    assert set(places_of("98y76")) == set()
    assert list(Bill.objects.order_by("id").values_list("document", "document_key", "total_minor")) == bills
    point = UsagePoint.objects.get(id=home.point_id)
    assert (point.name, point.customer_name) == (point.code, "")
    assert FindingComment.objects.count() == 3, "that somebody said something stays"
    found = list_usage_points(tenant_id=ours.tenant.id, search=CANARY, now=NOW)
    assert found.total_count == 0


def test_that_it_was_done_stands_in_the_audit(ours: People, home: Home) -> None:
    erase(ours.administrator, home)
    said = AuditRecord.objects.get(verb="registry.erase-customer")
    assert (said.actor, said.subject, said.detail) == (
        "web:ours-administrator",
        f"usage-point:{home.point_id}",
        {"comments": 3},
    )
    assert erase(ours.administrator, home) == 3, "again changes nothing"


def test_others_are_refused(ours: People, theirs: People, home: Home) -> None:
    for actor, code in (
        (ours.operator, "accounts.not-allowed"),
        (ours.viewer, "accounts.not-allowed"),
        (theirs.administrator, "registry.not-found"),
    ):
        with pytest.raises(WattkeeperError) as refusal:
            erase(actor, home)
        assert refusal.value.code == code
    assert set(places_of(CANARY)) != set()
