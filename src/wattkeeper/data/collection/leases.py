"""What only one process may do at a time: taken, renewed while it lives, checked in each of its writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import Lease
from wattkeeper.data.collection.watch import Watch

LEASE_S = 15.0
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE")


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease and the number under which it is held; a later holder's is higher."""

    name: str
    fence_id: int
    lease_s: float = LEASE_S


def take_lease(
    name: str, *, holder: str, watch: Watch[tuple[str, int]], lease_s: float = LEASE_S
) -> HeldLease | None:
    """Take a lease that nobody holds, or whose holder gave no sign of life for `lease_s`; else None.

    Call it every few seconds: a holder's silence is measured from look to look.
    """
    Lease.objects.get_or_create(name=name)
    with transaction.atomic():
        _end_if_silent(lease_s)
        row = Lease.objects.select_for_update().get(name=name)
        key = (name, row.fence_id)
        if row.holder and key not in watch.silent({key: row.beats_count}, lease_s):
            return None
        row.holder, row.fence_id, row.beats_count = holder, row.fence_id + 1, row.beats_count + 1
        row.save()
    return HeldLease(name, row.fence_id, lease_s)


def renew_lease(lease: HeldLease) -> None:
    """
    Give a sign of life.

    :raises WattkeeperError: ``leases.lost`` if somebody else holds it by now
    """
    if not _of(lease).update(beats_count=F("beats_count") + 1):
        raise _lost(lease)


def give_lease_back(lease: HeldLease) -> None:
    """Let the next one take it at once; nothing if it was lost already."""
    _of(lease).update(holder="")


def forget_holder(name: str, *, holder: str) -> None:
    """Free a lease at once that a process before this one holds, which is known to have ended."""
    Lease.objects.filter(name=name, holder=holder).update(holder="")


@contextmanager
def fenced(lease: HeldLease) -> Iterator[None]:
    """
    Check the lease in every write of the block, in the write's own transaction.

    The check locks the lease's row, so nobody takes it over between a check and its commit. A holder that
    stops in between would keep it for as long as it is stopped: the database ends its transaction after
    `lease_s`.

    :raises WattkeeperError: ``leases.lost`` at the first write after somebody else took it: it is not made
    """
    with connection.execute_wrapper(_Fence(lease)):
        yield


class _Fence:
    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if not sql.lstrip("( \n\t").upper().startswith(_WRITES):
            return execute(sql, params, many, context)
        if context["connection"].in_atomic_block:
            self._check()
            return execute(sql, params, many, context)
        cursor = context["cursor"]
        with transaction.atomic():
            self._check()
            result = execute(sql, params, many, context)
            if cursor.description:
                cursor.cursor = _Fetched(cursor)
        return result

    def _check(self) -> None:
        _end_if_silent(self._lease.lease_s)
        if not list(_of(self._lease).select_for_update().values_list("id")):
            raise _lost(self._lease)


class _Fetched:
    """The rows that a write returned, fetched before its commit: SQLite does not commit while some wait.

    In the place of the driver's cursor until its next statement.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._cursor = wrapper.cursor
        self._rows: Iterator[Any] = iter(self._cursor.fetchall())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def execute(self, *statement: Any) -> Any:
        self._wrapper.cursor = self._cursor
        return self._cursor.execute(*statement)

    def executemany(self, *statement: Any) -> Any:
        self._wrapper.cursor = self._cursor
        return self._cursor.executemany(*statement)


def _end_if_silent(within_s: float) -> None:
    """Have the database end this transaction once its process says nothing for `within_s`.

    PostgreSQL `idle_in_transaction_session_timeout`, MariaDB `idle_transaction_timeout` (whole seconds, for
    the rest of the session). SQLite has nothing of the kind: its processes stop with their one machine.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {ceil(within_s * 1000)}")
        elif getattr(connection, "mysql_is_mariadb", False):
            cursor.execute(f"SET SESSION idle_transaction_timeout = {ceil(within_s)}")


def _of(lease: HeldLease) -> Any:
    return Lease.objects.filter(name=lease.name, fence_id=lease.fence_id).exclude(holder="")


def _lost(lease: HeldLease) -> WattkeeperError:
    return WattkeeperError("leases.lost", is_permanent=False, name=lease.name, fence_id=lease.fence_id)
