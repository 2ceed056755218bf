"""The table of states, and what a read-back proves."""

from itertools import product

import pytest

from wattkeeper.core.commands.read_back import judge_read_back
from wattkeeper.core.commands.states import (
    IS_FINAL,
    TRANSITIONS,
    Kind,
    State,
    TransitionRefused,
    change_state,
)
from wattkeeper.core.kernel.relay import RelayState


def reach(start: State, *, without: State | None = None) -> set[State]:
    """Return every state that can follow, however late."""
    seen: set[State] = set()
    waiting = [start]
    while waiting:
        for following in TRANSITIONS[waiting.pop()] - seen - {without}:
            seen.add(following)
            waiting.append(following)
    return seen


def test_every_state_is_in_the_table_and_reachable() -> None:
    assert set(TRANSITIONS) == set(State)
    assert reach(State.DRAFT) == set(State) - {State.DRAFT}


def test_every_state_can_come_to_an_end() -> None:
    assert {State.VERIFIED, State.FAILED, State.REFUSED, State.EXPIRED, State.CANCELLED} == IS_FINAL
    for state in State:
        assert state in IS_FINAL or reach(state) & IS_FINAL


def test_nothing_is_sent_without_approval_or_verified_without_leaving() -> None:
    assert State.SENT not in reach(State.DRAFT, without=State.APPROVED)
    assert State.SENT not in reach(State.DRAFT, without=State.QUEUED)
    assert State.VERIFIED not in reach(State.DRAFT, without=State.SENT)


def test_what_has_left_is_never_called_back_or_sent_again() -> None:
    for state in (State.SENT, State.ACKED, State.UNKNOWN, State.ARMED):
        assert not reach(state) & {State.QUEUED, State.SENT, State.CANCELLED, State.EXPIRED, State.REFUSED}


def test_only_the_table_changes_a_state() -> None:
    for kind, old, new in product(Kind, State, State):
        if new in TRANSITIONS[old] and (new is not State.ARMED or kind is Kind.RECONNECT):
            assert change_state(kind, old, new) is new
        else:
            with pytest.raises(TransitionRefused):
                change_state(kind, old, new)


@pytest.mark.parametrize(
    ("kind", "control_state", "load_w", "outcome"),
    [
        (Kind.DISCONNECT, RelayState.DISCONNECTED, None, State.VERIFIED),
        (Kind.DISCONNECT, RelayState.DISCONNECTED, 0, State.VERIFIED),
        (Kind.DISCONNECT, RelayState.DISCONNECTED, 230, State.UNKNOWN),
        (Kind.DISCONNECT, RelayState.READY_FOR_RECONNECTION, None, State.FAILED),
        (Kind.DISCONNECT, RelayState.CONNECTED, 0, State.FAILED),
        (Kind.DISCONNECT, None, 0, State.UNKNOWN),
        (Kind.RECONNECT, RelayState.READY_FOR_RECONNECTION, None, State.ARMED),
        (Kind.RECONNECT, RelayState.CONNECTED, 0, State.VERIFIED),
        (Kind.RECONNECT, RelayState.DISCONNECTED, None, State.FAILED),
        (Kind.RECONNECT, None, None, State.UNKNOWN),
    ],
)
def test_read_back(kind: Kind, control_state: RelayState | None, load_w: int | None, outcome: State) -> None:
    assert judge_read_back(kind, control_state, load_w=load_w) is outcome


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("control_state", [*RelayState, None])
@pytest.mark.parametrize("state", [State.ACKED, State.UNKNOWN])
def test_every_outcome_has_a_way_in_the_table(
    kind: Kind, control_state: RelayState | None, state: State
) -> None:
    outcome = judge_read_back(kind, control_state)
    if outcome is not state:
        assert change_state(kind, state, outcome) is outcome
