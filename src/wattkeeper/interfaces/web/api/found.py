"""What is another tenant's is as if absent."""

from typing import TypeVar

from wattkeeper.core.kernel.errors import WattkeeperError

T = TypeVar("T")


def found(row: T | None, kind: str, record_id: int) -> T:
    """Return the row.

    :raises WattkeeperError: ``registry.not-found`` for None
    """
    if row is None:
        raise WattkeeperError("registry.not-found", kind=kind, id=record_id)
    return row
