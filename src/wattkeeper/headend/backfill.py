"""Finds and fetches what is missing: exactly the stamps of the gaps, never the whole memory again."""

from collections.abc import Callable, Sequence

from wattkeeper.drivers.api import Capability
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.services import Services
from wattkeeper.headend.session import Session
from wattkeeper.headend.stamps import Run, to_runs

RUN_MAX_S = 4 * 86_400  # what a lost link costs at most; each run is one commit of the spool


async def fetch_regular(state: DeviceState, session: Session) -> None:
    """Read the regular new profile records. A device that pushes sends them by itself."""
    if Capability.PUSH in state.driver.capabilities:
        return
    stamps = state.split_missing(session.now_s).regular
    for run in to_runs(stamps, state.plan.interval_s, run_max_s=RUN_MAX_S):
        await session.read_run(run)


async def fetch_missing(
    state: DeviceState, session: Session, services: Services, must_yield: Callable[[], bool]
) -> None:
    """
    Fetch the first filling of a memory and its gaps, oldest first, until done or somebody more urgent waits.

    :raises WattkeeperError: if the device falls silent or the link is lost
    """
    missing = state.split_missing(session.now_s)
    initial = _runs(missing.initial, state)
    gaps = services.backfill_policy(state.plan, _runs(missing.gaps, state))
    if initial or gaps:
        await session.open()
        is_finished = await _fetch(initial, "initial_intervals", state, session, services, must_yield)
        is_finished = is_finished and await _fetch(
            gaps, "backfill_intervals", state, session, services, must_yield
        )
        await session.close()
        if not is_finished:
            return
    state.has_work_left = False


async def _fetch(
    runs: Sequence[Run],
    counter: str,
    state: DeviceState,
    session: Session,
    services: Services,
    must_yield: Callable[[], bool],
) -> bool:
    for run in runs:
        if must_yield():
            return False
        _count(run, counter, state, services)
        if await session.read_run(run) and counter == "initial_intervals":
            done_count = min(len(run), state.expected_count)
            state.expected_count -= done_count
            await services.progress.advance(done_count)
    return True


def _runs(stamps: Sequence[int], state: DeviceState) -> list[Run]:
    return list(to_runs(stamps, state.plan.interval_s, run_max_s=RUN_MAX_S))


def _count(run: Run, counter: str, state: DeviceState, services: Services) -> None:
    """Count each stamp once by why it is missing; asking again is counted apart."""
    if counter == "backfill_intervals" and _is_lost_push(run, state):
        counter = "push_intervals"
    first_asked = set(run.stamps) - state.asked_s
    state.asked_s |= first_asked
    services.metrics.count(counter, len(first_asked))
    services.metrics.count("backfill_repeats", len(run) - len(first_asked))
    if counter == "backfill_intervals":
        services.metrics.count("backfill_requests")


def _is_lost_push(run: Run, state: DeviceState) -> bool:
    return Capability.PUSH in state.driver.capabilities and run.first_s > state.gap_until_s
