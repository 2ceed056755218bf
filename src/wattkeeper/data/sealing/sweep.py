"""Every sealed value looked at: plain forerunners sealed, values of an older key sealed anew.

Each batch is one transaction and what is done already is passed over, so a sweep that was interrupted goes on
where it was by being started again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.apps import apps
from django.db import transaction

from wattkeeper.data.sealing.fields import SealedRow
from wattkeeper.data.sealing.models import SealedWord, TenantKey
from wattkeeper.data.sealing.vault import Sealed, current_key_id, key_id_of, one_key

BATCH_COUNT = 200


@dataclass(slots=True)
class Swept:
    """What a sweep met: rows looked at and changed, plain texts sealed, values by the key that seals them."""

    rows_count: int = 0
    changed_count: int = 0
    sealed_count: int = 0
    by_key: Counter[int] = field(default_factory=Counter)


def sealed_models() -> list[type[SealedRow]]:
    """Return every model with sealed columns."""
    return [model for model in apps.get_models() if issubclass(model, SealedRow)]


def count_rows() -> int:
    """Return how many rows a sweep looks at."""
    return sum(model._default_manager.count() for model in sealed_models())


def sweep(on_progress: Callable[[int], None] = lambda _done_count: None) -> Swept:
    """
    Seal what is plain and what an older key sealed; `on_progress` is told how many rows are done.

    :raises WattkeeperError: ``keys.*`` for the first value that does not open
    """
    swept = Swept()
    for model in sealed_models():
        for ids in _batches(model):
            with transaction.atomic(), one_key():
                rows = model._default_manager.select_for_update().filter(pk__in=ids).order_by("pk")
                for row in rows:
                    _sweep_row(row, swept)
            on_progress(swept.rows_count)
    return swept


def find_plain() -> list[str]:
    """Return ``table.column`` of each column that still holds plain forerunners."""
    return [
        column.place
        for model in sealed_models()
        for column in model.sealed_fields()
        if column.plain and model._default_manager.exclude(**{column.plain: ""}).exists()
    ]


def prune_keys(used: Sequence[int], *, retired_before: object) -> int:
    """Destroy keys retired before an instant that seal nothing any more; return how many."""
    old = TenantKey.objects.filter(retired_at__lt=retired_before).exclude(id__in=used)
    return old.exclude(id__in=SealedWord.objects.values("key_id")).delete()[0]


def _batches(model: type[SealedRow]) -> Iterator[list[int]]:
    newest = 0
    while ids := list(
        model._default_manager.filter(pk__gt=newest).order_by("pk").values_list("pk", flat=True)[:BATCH_COUNT]
    ):
        yield ids
        newest = ids[-1]


def _sweep_row(row: SealedRow, swept: Swept) -> None:
    swept.rows_count += 1
    stale = []
    for column in row.sealed_fields():
        kept = row.__dict__.get(column.attname)
        is_plain = kept is None and bool(column.plain) and bool(getattr(row, column.plain))
        swept.sealed_count += is_plain
        if is_plain or (
            isinstance(kept, Sealed) and key_id_of(kept) != current_key_id(row.sealed_tenant_id())
        ):
            setattr(row, column.attname, getattr(row, column.attname))
            stale.append(column.name)
    if stale:
        row.save(update_fields=stale)
        swept.changed_count += 1
    for column in row.sealed_fields():
        if row.__dict__.get(column.attname):
            key_id = current_key_id(row.sealed_tenant_id())
            swept.by_key[key_id] += 1
