"""One statement that inserts rows or updates the ones known by a unique key, on every engine."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from django.db import connection
from django.db.models import Model

_CHUNK_COUNT = 500
Row = TypeVar("Row", bound=Model)


def upsert(model: type[Row], rows: Iterable[Row], *, key: Sequence[str], update: Sequence[str]) -> None:
    """Insert the rows, which have no ids, or update the fields `update` where the unique `key` is known."""
    has_target = connection.features.supports_update_conflicts_with_target  # MariaDB: whichever key is unique
    model._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        update_fields=update,
        unique_fields=key if has_target else None,
        batch_size=_CHUNK_COUNT,
    )
