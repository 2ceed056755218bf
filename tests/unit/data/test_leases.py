"""Leases: one holder at a time, every write of a holder checked, whatever clocks say."""

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError

from relational import NOW, People
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection import leases
from wattkeeper.data.collection.leases import (
    HeldLease,
    fenced,
    give_lease_back,
    renew_lease,
    take_lease,
)
from wattkeeper.data.collection.models import Counter, Lease
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Tenant


class Waiting:
    """A process that waits for a lease, with a steady clock of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at_s = 0.0
        self.watch: Watch[tuple[str, int]] = Watch(lambda: self.at_s)

    def look(self, after_s: float = 0.0) -> HeldLease | None:
        self.at_s += after_s
        return take_lease("scheduler", holder=self.name, watch=self.watch, lease_s=15)


def test_one_holds_it_until_it_gives_it_back(db: None) -> None:
    one, other = Waiting("one"), Waiting("other")
    held = one.look()
    assert held is not None
    assert other.look() is None
    for _ in range(30):
        renew_lease(held)
        assert other.look(after_s=5) is None
    give_lease_back(held)
    after = other.look(after_s=5)
    assert after is not None
    assert after.fence_id > held.fence_id


def test_a_silent_holder_is_followed_and_learns_of_it(db: None) -> None:
    one, other = Waiting("one"), Waiting("other")
    held = one.look()
    assert held is not None
    assert [other.look(after_s=5) for _ in range(3)] == [None, None, None]
    assert other.look(after_s=5) is not None
    with pytest.raises(WattkeeperError) as refusal:
        renew_lease(held)
    assert refusal.value.code == "leases.lost"
    give_lease_back(held)
    assert Lease.objects.get().holder == "other"


def test_each_write_of_a_stale_holder_is_refused(ours: People) -> None:
    held = Waiting("one").look()
    assert held is not None
    with fenced(held):
        Counter.objects.create(name="a", value=1)
        Lease.objects.filter(name=held.name).update(fence_id=held.fence_id + 1, holder="other")
        writes = (
            lambda: Counter.objects.create(name="b", value=1),
            lambda: Counter.objects.update(value=2),
            lambda: Counter.objects.all().delete(),
            lambda: Counter.objects.bulk_create([Counter(name="c")]),
            lambda: Tenant.objects.create(name="x", created_at=NOW),
        )
        for write in writes:
            with pytest.raises(WattkeeperError) as refusal, transaction.atomic():
                write()
            assert refusal.value.code == "leases.lost"
        assert list(Counter.objects.values_list("name", "value")) == [("a", 1)], "reading goes on"
    Counter.objects.update(value=3)  # outside the block it is nobody's business
    assert not Counter.objects.filter(value=1).exists()


def write_outside_a_transaction() -> None:
    """Write in every way that returns rows, one transaction each."""
    held = Waiting("one").look()
    assert held is not None
    table = Counter._meta.db_table
    with fenced(held):
        Counter.objects.create(name="a", value=1)
        assert [made.name for made in Counter.objects.bulk_create([Counter(name="b"), Counter(name="c")])]
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} (name, value) VALUES ('d', 1), ('e', 1) RETURNING name")
            assert [cursor.fetchone(), *cursor.fetchmany(1), *cursor] == [("d",), ("e",)]
            cursor.execute(f"DELETE FROM {table} WHERE name = 'a' RETURNING name")
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            assert list(cursor.fetchall()) == [(4,)], "rows nobody fetched are no answer to the next question"
            cursor.execute(f"DELETE FROM {table} RETURNING name")
            assert sorted(cursor.fetchall()) == [("b",), ("c",), ("d",), ("e",)]
            cursor.executemany(f"INSERT INTO {table} (name, value) VALUES (%s, 1)", [("f",), ("g",)])
        Lease.objects.filter(name=held.name).update(fence_id=held.fence_id + 1, holder="other")
        with pytest.raises(WattkeeperError) as refusal:
            Counter.objects.create(name="h", value=1)
        assert refusal.value.code == "leases.lost"
    assert sorted(Counter.objects.values_list("name", flat=True)) == ["f", "g"]


def test_a_write_that_returns_rows_is_committed_by_itself(transactional_db: None) -> None:
    write_outside_a_transaction()


def test_rows_left_to_the_driver_would_be_caught(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: the rows wait in the driver's cursor while the write is committed."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases commit while rows wait")
    monkeypatch.setattr(leases, "_Fetched", lambda wrapper: wrapper.cursor)
    with pytest.raises(OperationalError, match="SQL statements in progress"):
        write_outside_a_transaction()
