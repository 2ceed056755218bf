"""Whatever somebody with the database's password does to the audit chain is found, and where it was done."""

import random
import time
from hashlib import sha256
from pathlib import Path

import pytest
from django.db import transaction

from audit_tampering import TAMPERINGS, TENANT_ID, make_chain, unguard, write_back
from relational import NOW, People, Street
from wattkeeper.actions.operations.audit_heads import (
    Sealer,
    accept_restored,
    copy_of,
    new_key,
    prove_chain,
    seal_heads,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.chain import append_record, find_break, newest_hash
from wattkeeper.data.audit.models import AuditRecord, SealedHead
from wattkeeper.data.audit.walk import check_chain

BARE_CHAINS_MOST, BARE_COUNT = 20, 300_000
FIELDS = (
    "tenant_id",
    "sequence",
    "recorded_at",
    "actor",
    "verb",
    "subject",
    "detail",
    "previous_hash",
    "hash",
)


def tampered(folder: Path, count: int, *, seed: int, with_heads: bool = True) -> tuple[int, list[str]]:
    """Tamper `count` times, each on the whole chain; (found and located, what was not)."""
    chance = random.Random(seed)
    whole = list(AuditRecord.objects.filter(tenant_id=TENANT_ID).order_by("sequence").values(*FIELDS))
    found, missed = 0, []
    for number in range(count):
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        rows = [dict(row) for row in whole]
        first, last = tamper(rows, chance)
        with transaction.atomic():
            write_back(rows, without_heads_from=first if chance.random() < 0.5 else None)
            fault = prove_chain(folder, TENANT_ID).faults if with_heads else (check_chain(TENANT_ID, {})[1],)
            transaction.set_rollback(True)
        told = [each for each in fault if each is not None]
        if any(each.first_sequence <= last and each.last_sequence >= first for each in told):
            found += 1
        else:
            missed.append(f"{number} {tamper.__name__} {first}-{last}: {told}")
    return found, missed


def test_every_tampering_is_found_and_located(db: None, tmp_path: Path) -> None:
    make_chain(120, tmp_path)
    unguard()
    assert not prove_chain(tmp_path, TENANT_ID).faults
    assert tampered(tmp_path, 64, seed=1) == (64, [])
    found, missed = tampered(tmp_path, 64, seed=1, with_heads=False)
    assert found < 64, "without signed heads a chain that was cut off or made anew is not seen"
    assert {text.split()[1] for text in missed} >= {"cut_off", "altered_and_all_rehashed"}


@pytest.mark.slow
def test_a_thousand_tamperings(db: None, tmp_path: Path) -> None:
    make_chain(120, tmp_path)
    unguard()
    assert tampered(tmp_path, 1000, seed=2) == (1000, [])


def _cost_of_verifying(count: int, folder: Path) -> float:
    """Return what it costs to verify records: in bare SHA-256 chains of as many, made in the same run."""
    make_chain(count, folder, sealed_every=count // 10)
    began_s = time.process_time()  # of one process on one core: what others do beside it counts for both
    proof = prove_chain(folder, TENANT_ID)
    spent_s = time.process_time() - began_s
    assert (proof.records_count, proof.faults) == (count, ())
    assert proof.heads_count >= 10
    record, digest, began_s = bytes(200), bytes(32), time.process_time()
    for _ in range(BARE_COUNT):
        digest = sha256(digest + record).digest()
    return spent_s / count / ((time.process_time() - began_s) / BARE_COUNT)


def test_ten_thousand_records_are_verified_at_a_steady_rate(db: None, tmp_path: Path) -> None:
    assert _cost_of_verifying(10_000, tmp_path) < 5 * BARE_CHAINS_MOST, "a driver in Python takes its part"


@pytest.mark.soak
def test_a_million_records_are_verified_at_a_steady_rate(db: None, tmp_path: Path) -> None:
    """Ten seconds where a bare chain of a million takes half a second."""
    assert _cost_of_verifying(1_000_000, tmp_path) < BARE_CHAINS_MOST


def test_a_head_that_somebody_else_signed_is_told(ours: People, street: Street, tmp_path: Path) -> None:
    seal_heads(tmp_path, NOW)
    unguard()
    other = tmp_path / "other"
    AuditRecord.objects.filter(tenant_id=ours.tenant.id, sequence=2).update(actor="nobody")
    rows = AuditRecord.objects.filter(tenant_id=ours.tenant.id).order_by("sequence")
    from wattkeeper.data.audit.chain import hash_of

    previous = ""
    for record in rows:
        record.previous_hash = previous
        record.hash = previous = hash_of(record)
        record.save()
    SealedHead.objects.all().delete()
    seal_heads(other, NOW)
    assert find_break(ours.tenant.id) is None
    kinds = {fault.kind for fault in prove_chain(tmp_path, ours.tenant.id).faults}
    assert kinds == {"head-forged", "rewritten"}


@pytest.mark.parametrize("kept_count", [0, 100, -1], ids=["none of its line", "a part", "all but its end"])
def test_sealing_goes_on_after_a_kill_or_a_full_disk_between_its_two_places(
    ours: People, street: Street, tmp_path: Path, kept_count: int
) -> None:
    sealer = Sealer(tmp_path)
    assert sealer.seal(NOW) == 1
    assert sealer.seal(NOW) == 0
    AuditRecord.objects.filter(id=0).exists()
    from wattkeeper.actions.registry.edit_site import edit_site

    edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, name="x")
    copy = copy_of(tmp_path)
    before = copy.read_text()
    assert sealer.seal(NOW) == 1
    line = copy.read_text().removeprefix(before)
    copy.write_text(before + line[:kept_count])  # cut off after the database, before the file had its line
    if kept_count >= 0:
        assert {fault.kind for fault in prove_chain(tmp_path, ours.tenant.id).faults} == {"copy-cut"}
    edit_site(actor=ours.operator, now=NOW, site_id=street.site_id, name="y")
    assert sealer.seal(NOW) == 1
    proof = prove_chain(tmp_path, ours.tenant.id)
    assert (proof.faults, proof.heads_count) == ((), 3)


def test_nothing_is_sealed_over_a_cut(ours: People, street: Street, tmp_path: Path) -> None:
    seal_heads(tmp_path, NOW)
    unguard()
    newest, _ = newest_hash(ours.tenant.id)
    AuditRecord.objects.filter(tenant_id=ours.tenant.id, sequence=newest).delete()
    SealedHead.objects.all().delete()
    with pytest.raises(WattkeeperError) as refusal:
        seal_heads(tmp_path, NOW)
    assert refusal.value.code == "audit.heads-cut"
    kinds = {fault.kind for fault in prove_chain(tmp_path, ours.tenant.id).faults}
    assert kinds == {"heads-cut", "cut"}


def test_a_cut_chain_leaves_the_others_sealed(
    ours: People, theirs: People, street: Street, tmp_path: Path
) -> None:
    from wattkeeper.actions.registry.add_site import add_site

    seal_heads(tmp_path, NOW)
    unguard()
    newest, _ = newest_hash(ours.tenant.id)
    AuditRecord.objects.filter(tenant_id=ours.tenant.id, sequence=newest).delete()
    SealedHead.objects.filter(tenant_id=ours.tenant.id).delete()
    add_site(actor=theirs.operator, now=NOW, code="x", name="x", kind="COMMERCIAL", time_zone="UTC")
    with pytest.raises(WattkeeperError) as refusal:
        seal_heads(tmp_path, NOW)
    assert refusal.value.params["tenant_id"] == ours.tenant.id
    assert SealedHead.objects.filter(tenant_id=theirs.tenant.id).exists()


def test_a_lost_key_is_not_replaced_in_silence(ours: People, street: Street, tmp_path: Path) -> None:
    seal_heads(tmp_path, NOW)
    (tmp_path / "audit.key").unlink()
    with pytest.raises(WattkeeperError) as refusal:
        seal_heads(tmp_path, NOW)
    assert refusal.value.code == "audit.key-missing"
    new_key(tmp_path)
    seal_heads(tmp_path, NOW)
    assert not prove_chain(tmp_path, ours.tenant.id).faults
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0


def test_only_the_folder_that_has_the_key_signs(ours: People, street: Street, tmp_path: Path) -> None:
    seal_heads(tmp_path / "one", NOW)
    _append_one(ours)
    assert seal_heads(tmp_path / "other", NOW) == 0
    assert not (tmp_path / "other").exists()
    assert seal_heads(tmp_path / "one", NOW) == 1


def test_a_restored_database_may_be_older_than_the_copied_heads(
    ours: People, street: Street, tmp_path: Path
) -> None:
    seal_heads(tmp_path, NOW)
    newest, _ = newest_hash(ours.tenant.id)
    _append_one(ours)
    seal_heads(tmp_path, NOW)
    unguard()
    AuditRecord.objects.filter(tenant_id=ours.tenant.id, sequence__gt=newest).delete()
    SealedHead.objects.filter(tenant_id=ours.tenant.id, sequence__gt=newest).delete()
    assert prove_chain(tmp_path, ours.tenant.id).faults
    accept_restored(tmp_path)
    assert not prove_chain(tmp_path, ours.tenant.id).faults
    _append_one(ours)
    assert seal_heads(tmp_path, NOW) == 1
    assert not prove_chain(tmp_path, ours.tenant.id).faults


def _append_one(people: People) -> None:
    append_record(
        tenant_id=people.tenant.id, recorded_at=NOW, actor="a", verb="v", subject="s", detail={"n": 1}
    )
