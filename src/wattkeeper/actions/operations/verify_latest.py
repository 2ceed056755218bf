"""The table of newest reads against the store, where one is kept."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from wattkeeper.store.verify import Check


class Difference(Protocol):
    """A channel whose newest read is kept wrongly."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def channel_id(self) -> int: ...
    @property
    def kept(self) -> Any: ...
    @property
    def stored(self) -> Any: ...


class Recount(Protocol):
    """What a comparison of the whole table found."""

    @property
    def is_whole(self) -> bool: ...
    @property
    def channels_count(self) -> int: ...
    @property
    def told_count(self) -> int: ...
    @property
    def records_count(self) -> int: ...
    @property
    def differences(self) -> Sequence[Difference]: ...


@runtime_checkable
class Recounts(Protocol):
    """A store that keeps such a table."""

    def recount(self) -> Recount:
        """Compare every record with the store."""
        ...


def check_latest(check: Check, store: object, away: Sequence[tuple[int, int]]) -> None:
    """Every record is the newest read of its channel, every channel has one, and the header counts them.

    A channel whose newest read is only in the archive is still told it.
    """
    if not isinstance(store, Recounts):
        return
    found = store.recount()
    check.examined_count = found.channels_count
    if not found.is_whole:
        check.cannot("verify.latest-not-whole")
        return
    if found.told_count != found.records_count:
        check.fault("verify.latest-miscounted", told=found.told_count, held=found.records_count)
    for difference in found.differences:
        kept_s = None if difference.kept is None else difference.kept.measured_at_s
        if kept_s is not None and any(from_s <= kept_s < to_s for from_s, to_s in away):
            continue
        check.fault(
            "verify.latest-wrong",
            tenant_id=difference.tenant_id,
            channel_id=difference.channel_id,
            kept=_told(difference.kept),
            held=_told(difference.stored),
        )


def _told(read: Any) -> str:
    return "-" if read is None else f"{read.value} @ {read.measured_at_s}"
