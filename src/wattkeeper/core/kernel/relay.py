"""States of a supply switch, as IEC 62056-6-2 (class 70, control_state) numbers them."""

from enum import IntEnum


class RelayState(IntEnum):
    """`READY_FOR_RECONNECTION`: armed; a person closes it at the meter."""

    DISCONNECTED = 0
    CONNECTED = 1
    READY_FOR_RECONNECTION = 2
