"""One page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
PAGE_SIZE_MAX_COUNT = 500


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows `offset_index` to `offset_index + len(items)` of `total_count`."""

    items: Sequence[T]
    total_count: int
    offset_index: int
    limit_count: int
