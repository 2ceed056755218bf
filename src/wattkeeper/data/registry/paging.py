"""One page of a list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet

R = TypeVar("R")
T = TypeVar("T")
PAGE_SIZE_MAX_COUNT = 500


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows `offset_index` to `offset_index + len(items)` of `total_count`."""

    items: Sequence[T]
    total_count: int
    offset_index: int
    limit_count: int


def read_page(
    rows: QuerySet[Any, R], make: Callable[[list[R]], Sequence[T]], *, offset_index: int, limit_count: int
) -> Page[T]:
    """Return one page of rows in their order, at most `PAGE_SIZE_MAX_COUNT` of them, as `make` shows them."""
    limit_count = min(max(limit_count, 1), PAGE_SIZE_MAX_COUNT)
    items = make(list(rows[offset_index : offset_index + limit_count]))
    return Page(items, rows.count(), offset_index, limit_count)
