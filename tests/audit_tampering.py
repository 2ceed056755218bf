"""A chain of audit records, and everything that somebody with the database's password can do to it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from relational import NOW
from wattkeeper.actions.operations.audit_heads import seal_heads
from wattkeeper.data.audit.chain import hash_of
from wattkeeper.data.audit.models import AuditRecord, SealedHead

TENANT_ID = 4711
SEALED_EVERY = 25


def make_chain(count: int, folder: Path | None, *, sealed_every: int = SEALED_EVERY) -> None:
    """Make a chain by bulk inserts, as `append_record` would, sealed now and then and at its end."""
    previous, rows = "", []
    for sequence in range(1, count + 1):
        record = AuditRecord(
            tenant_id=TENANT_ID,
            sequence=sequence,
            recorded_at=NOW.replace(microsecond=sequence % 3 * 1000),
            actor='操作员 "a"' if sequence % 7 == 0 else f"user:{sequence % 5}",
            verb="registry.site-edited",
            subject=f"site:{sequence}",
            detail={"after": {"name": f"n{sequence}"}, "z": [1, None, 2.5]} if sequence % 2 else {},
            previous_hash=previous,
        )
        record.hash = previous = hash_of(record)
        rows.append(record)
        is_sealed = folder is not None and (sequence % sealed_every == 0 or sequence == count)
        if is_sealed or len(rows) == 5000 or sequence == count:
            AuditRecord.objects.bulk_create(rows)
            rows = []
        if is_sealed and folder is not None:
            seal_heads(folder, NOW, tenant_ids=[TENANT_ID])


def unguard(*names: str) -> None:
    """Take the triggers away, as somebody with the database's password could."""
    if connection.vendor == "mysql":
        pytest.skip("MariaDB ends the test's transaction when a trigger is taken away")
    sql = (
        "DROP FUNCTION IF EXISTS {} CASCADE"
        if connection.vendor == "postgresql"
        else "DROP TRIGGER IF EXISTS {}"
    )
    with connection.cursor() as cursor:
        for name in names or ("audit_record_immutable", "audit_head_immutable"):
            for event in ("update", "delete"):
                cursor.execute(sql.format(f"{name}_{event}"))


Rows = list[dict[str, Any]]
Found = tuple[int, int]  # where the first record that is not as it was may be told to be


def altered(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    field = chance.choice(["actor", "verb", "subject", "detail", "recorded_at", "hash", "previous_hash"])
    other = {"detail": {"x": chance.random()}, "recorded_at": NOW.replace(year=2020)}
    rows[place][field] = other.get(field, f"tampered {chance.random()}"[:60])
    return place + 1, place + 2


def altered_and_rehashed(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    rows[place]["actor"] = "nobody"
    rows[place]["hash"] = hash_of(AuditRecord(**rows[place]))
    return place + 1, place + 2


def altered_and_all_rehashed(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    rows[place]["actor"] = "nobody"
    _rehash(rows, place)
    return place + 1, place + SEALED_EVERY + 1


def deleted(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    del rows[place]
    return place + 1, place + 1


def deleted_and_closed_up(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    del rows[place]
    if chance.random() < 0.5:
        _renumber(rows)
        return place + 1, place + 2
    _rehash(rows, place)
    return place + 1, place + SEALED_EVERY + 1


def inserted(rows: Rows, chance: random.Random) -> Found:
    place = chance.randrange(len(rows))
    rows.insert(place, dict(rows[place]) | {"actor": "nobody"})
    if chance.random() < 0.5:
        _renumber(rows)
        return place, place + 3
    _rehash(rows, place)
    return place + 1, place + SEALED_EVERY + 1


def reordered(rows: Rows, chance: random.Random) -> Found:
    one, other = sorted(chance.sample(range(len(rows)), 2))
    rows[one], rows[other] = rows[other], rows[one]
    if chance.random() < 0.5:
        _renumber(rows)
        return one, one + 2
    _rehash(rows, one)
    return one + 1, one + SEALED_EVERY + 1


def cut_off(rows: Rows, chance: random.Random) -> Found:
    left = chance.randrange(len(rows))
    del rows[left:]
    return left + 1, left + 1 + SEALED_EVERY * 1000


TAMPERINGS: tuple[Callable[[Rows, random.Random], Found], ...] = (
    *(altered, altered_and_rehashed, altered_and_all_rehashed, deleted),
    *(deleted_and_closed_up, inserted, reordered, cut_off),
)


def write_back(rows: Rows, *, without_heads_from: int | None) -> None:
    """Put tampered rows in place of the chain; with its own heads cut off from a sequence on, if told."""
    AuditRecord.objects.filter(tenant_id=TENANT_ID).delete()
    AuditRecord.objects.bulk_create(AuditRecord(**row) for row in rows)
    if without_heads_from is not None:
        SealedHead.objects.filter(tenant_id=TENANT_ID, sequence__gte=without_heads_from).delete()


def _renumber(rows: Rows) -> None:
    for place, row in enumerate(rows):
        row["sequence"] = place + 1


def _rehash(rows: Rows, first: int) -> None:
    """Make the chain hold again from `first` on, as somebody who can write everything would."""
    _renumber(rows)
    for place in range(first, len(rows)):
        rows[place]["previous_hash"] = rows[place - 1]["hash"] if place else ""
        rows[place]["hash"] = hash_of(AuditRecord(**rows[place]))
