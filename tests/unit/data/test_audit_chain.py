"""The audit chain: whatever is changed, dropped or slipped in is found."""

import pytest
from django.db import IntegrityError, transaction

from audit_tampering import unguard
from relational import NOW, People, Street
from wattkeeper.actions.registry.edit_site import edit_site
from wattkeeper.data.audit.chain import append_record, find_break, newest_hash
from wattkeeper.data.audit.models import AuditRecord


@pytest.fixture
def unguarded(db: None) -> None:
    """Take the triggers away, as somebody with the database's password could."""
    unguard("audit_record_immutable")


def test_a_whole_chain_holds(ours: People, street: Street) -> None:
    assert find_break(ours.tenant.id) is None
    assert newest_hash(ours.tenant.id)[0] == 6
    assert newest_hash(10**9) == (0, "")


@pytest.mark.parametrize(
    "field", ["actor", "verb", "subject", "detail", "recorded_at", "previous_hash", "hash"]
)
def test_a_changed_record_is_found(unguarded: None, ours: People, street: Street, field: str) -> None:
    record = AuditRecord.objects.get(tenant_id=ours.tenant.id, sequence=3)
    value = {"detail": {"x": 1}, "recorded_at": NOW.replace(year=2025)}.get(field, "tampered")
    AuditRecord.objects.filter(id=record.id).update(**{field: value})
    assert find_break(ours.tenant.id) == 3


def test_a_dropped_or_swapped_record_is_found(unguarded: None, ours: People, street: Street) -> None:
    chain = AuditRecord.objects.filter(tenant_id=ours.tenant.id)
    chain.filter(sequence=2).delete()
    assert find_break(ours.tenant.id) == 2
    chain.filter(sequence__gt=2).delete()
    assert find_break(ours.tenant.id) is None  # cut off at the end: only a hash kept elsewhere shows it
    assert newest_hash(ours.tenant.id)[0] == 1


def test_a_record_rewritten_with_a_fresh_hash_breaks_the_next(
    unguarded: None, ours: People, street: Street
) -> None:
    from wattkeeper.data.audit.chain import hash_of

    record = AuditRecord.objects.get(tenant_id=ours.tenant.id, sequence=3)
    record.actor = "somebody else"
    AuditRecord.objects.filter(id=record.id).update(actor=record.actor, hash=hash_of(record))
    assert find_break(ours.tenant.id) == 4


def test_each_tenant_has_a_chain_of_its_own(ours: People, theirs: People, street: Street) -> None:
    append_record(
        tenant_id=theirs.tenant.id, recorded_at=NOW, actor="a", verb="v", subject="s", detail={"at": NOW}
    )
    assert AuditRecord.objects.get(tenant_id=theirs.tenant.id).sequence == 1
    edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, name="x")
    assert find_break(ours.tenant.id) is None
    assert find_break(theirs.tenant.id) is None


def test_the_database_refuses_to_forget(ours: People, street: Street) -> None:
    for change in (
        lambda: AuditRecord.objects.all().delete(),
        lambda: AuditRecord.objects.update(actor="x"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    assert find_break(ours.tenant.id) is None
