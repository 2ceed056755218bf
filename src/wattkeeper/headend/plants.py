"""Faults planted on purpose, so that `demo --check --plant` can show that the check would see them."""

from collections.abc import Sequence

from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.headend.dispatch import ReadRelay
from wattkeeper.headend.ports import CommandKind, DevicePlan
from wattkeeper.headend.stamps import Run


def drop_gaps(_device: DevicePlan, _runs: Sequence[Run]) -> Sequence[Run]:
    """Fetch no gap at all: a `BackfillPolicy` that loses what an outage hid."""
    return ()


async def trust_acknowledgement(kind: CommandKind, _read: ReadRelay) -> RelayState:
    """Believe the acknowledgement: a `ReadBackPolicy` that a stuck relay deceives."""
    is_cut = kind is CommandKind.DISCONNECT
    return RelayState.DISCONNECTED if is_cut else RelayState.READY_FOR_RECONNECTION
