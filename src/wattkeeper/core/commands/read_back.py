"""What a read-back proves. An acknowledgement proves nothing."""

from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.relay import RelayState


def judge_read_back(kind: Kind, control_state: RelayState | None, *, load_w: int | None = None) -> State:
    """Return what a command has come to: VERIFIED, ARMED, FAILED or UNKNOWN.

    `control_state` as read from the meter after the command (IEC 62056-6-2, class 70), None when it could not
    be read; `load_w` the power then drawn, in watts, where it was read. A disconnect is verified by
    DISCONNECTED only, and not while power flows; a reconnect is ARMED while ready for reconnection and
    verified once a person has closed the switch.
    """
    if control_state is None:
        return State.UNKNOWN
    if kind is Kind.RECONNECT:
        return {
            RelayState.CONNECTED: State.VERIFIED,
            RelayState.READY_FOR_RECONNECTION: State.ARMED,
            RelayState.DISCONNECTED: State.FAILED,
        }[control_state]
    if control_state is not RelayState.DISCONNECTED:
        return State.FAILED
    return State.UNKNOWN if load_w is not None and load_w > 0 else State.VERIFIED
