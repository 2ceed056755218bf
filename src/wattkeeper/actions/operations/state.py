"""The state of an installation as one number: equal states have equal hashes, whatever machine holds them."""

from hashlib import sha256

from django.db import connection

from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.state_queries import state

_PASSING = ("django_session",)


def state_hash(store: HttpReadingStore) -> str:
    """Return SHA-256 over every table of both sides: rows in order there, sets of rows here."""
    digest = sha256()
    for table in sorted(connection.introspection.django_table_names(only_existing=True)):
        if table not in _PASSING:
            digest.update(f"{table}:{_relational(table)};".encode())
    for table, text in state(store).items():
        digest.update(f"{table}:{text};".encode())
    return digest.hexdigest()


def _relational(table: str) -> str:
    digest = sha256()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own tables
        rows = sorted(repr([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in cursor)
    for row in rows:
        digest.update(row.encode())
    return f"{len(rows)} {digest.hexdigest()}"
