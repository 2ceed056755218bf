"""Asks the store, through its port, which profile stamps are held, before anything is fetched."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.services import Services, whole_seconds

_DEVICES_PER_CALL_COUNT = 100
_RETRY_REAL_S = 0.5
_log = structlog.get_logger(__name__)


async def load_holdings(states: Sequence[DeviceState], services: Services) -> None:
    """Load what is held of each device not yet loaded; asks until the store answers."""
    for group in _groups([state for state in states if not state.is_loaded]):
        held = await _ask(group, services)
        for state in group:
            _take(state, held, services)


def _groups(states: Sequence[DeviceState]) -> Iterator[list[DeviceState]]:
    by_tenant: dict[int, list[DeviceState]] = defaultdict(list)
    for state in states:
        by_tenant[state.plan.tenant_id].append(state)
    for group in by_tenant.values():
        for start in range(0, len(group), _DEVICES_PER_CALL_COUNT):
            yield group[start : start + _DEVICES_PER_CALL_COUNT]


async def _ask(group: Sequence[DeviceState], services: Services) -> Mapping[int, Sequence[int]]:
    now_s = whole_seconds(services.clock.now())
    channel_ids = [channel_id for state in group for channel_id in state.profiled_channel_ids]
    from_s = min(max(state.plan.reads_from_s, now_s - state.plan.memory_s) for state in group)
    until_s = now_s + max(state.plan.interval_s for state in group)
    while channel_ids:
        try:
            return await asyncio.to_thread(
                services.holdings.stamps_held, group[0].plan.tenant_id, channel_ids, from_s, until_s
            )
        except WattkeeperError as error:
            _log.warning("headend.holdings-unknown", code=error.code)
            await asyncio.sleep(_RETRY_REAL_S)
    return {}


def _take(state: DeviceState, held: Mapping[int, Sequence[int]], services: Services) -> None:
    """A stamp is held when every profiled channel holds it."""
    stamps = [set(map(int, held.get(channel_id, ()))) for channel_id in state.profiled_channel_ids]
    now_s = whole_seconds(services.clock.now())
    if stamps:
        state.hold(sorted(set.intersection(*stamps)), now_s)
    state.is_loaded = True
    if state.initial_until_s == 0:
        state.initial_until_s = now_s
        state.expected_count = len(state.missing(now_s))
        services.progress.expect(state.expected_count)
