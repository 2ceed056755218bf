"""What a command can be and become. Every change of state there is stands in the one table below."""

from enum import Enum

from wattkeeper.core.kernel.errors import WattkeeperError


class Kind(Enum):
    """What is asked of a meter. `RECONNECT` arms the switch; a person closes it at the meter."""

    DISCONNECT = "DISCONNECT"
    RECONNECT = "RECONNECT"


class State(Enum):
    """Where a command stands.

    `UNKNOWN`: it left and nobody can say what it did; only a read-back resolves it. `ARMED`: read back as
    ready for reconnection, waiting for the button at the meter. `QUARANTINED`: held because a cap was passed.
    """

    DRAFT = "DRAFT"
    REQUESTED = "REQUESTED"
    AWAIT_2ND = "AWAIT_2ND"
    APPROVED = "APPROVED"
    QUEUED = "QUEUED"
    SENT = "SENT"
    ACKED = "ACKED"
    ARMED = "ARMED"
    VERIFIED = "VERIFIED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    QUARANTINED = "QUARANTINED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


_STOPPED = {State.REFUSED, State.EXPIRED, State.CANCELLED, State.QUARANTINED}
_READ_BACK = {State.ARMED, State.VERIFIED, State.FAILED}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.REQUESTED, State.CANCELLED}),
    State.REQUESTED: frozenset({State.AWAIT_2ND, State.APPROVED, *_STOPPED}),
    State.AWAIT_2ND: frozenset({State.APPROVED, *_STOPPED}),
    State.APPROVED: frozenset({State.QUEUED, *_STOPPED}),
    State.QUEUED: frozenset({State.SENT, *_STOPPED}),
    State.SENT: frozenset({State.ACKED, State.UNKNOWN}),
    State.ACKED: frozenset({State.UNKNOWN, *_READ_BACK}),
    State.UNKNOWN: frozenset(_READ_BACK),
    State.ARMED: frozenset({State.VERIFIED, State.FAILED}),
    State.QUARANTINED: frozenset({State.AWAIT_2ND, State.EXPIRED, State.CANCELLED}),
    State.VERIFIED: frozenset(),
    State.REFUSED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
    State.FAILED: frozenset(),
}

IS_FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


class TransitionRefused(WattkeeperError):
    """Raised when a command can't become what is asked: ``commands.transition-refused``."""


def change_state(kind: Kind, old: State, new: State) -> State:
    """Return `new` if a command of this kind may go there from `old`.

    :raises TransitionRefused: if the table has no such change, or a disconnect would be armed
    """
    if new not in TRANSITIONS[old] or (new is State.ARMED and kind is not Kind.RECONNECT):
        raise TransitionRefused(
            "commands.transition-refused", kind=kind.value, from_state=old.value, to_state=new.value
        )
    return new
