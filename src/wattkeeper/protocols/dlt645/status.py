"""Operating status word 3 (04000503): what the supply switch is doing and what it was told.

Bit 4: switch open; bit 6: last command was to open (both 0 = closed); bit 7: a warning precedes a trip. The
word travels low byte first. (DL/T 645-2007 table C.3 with the numbering of its 2013 amendment.)
"""

from dataclasses import dataclass

from wattkeeper.protocols.dlt645.errors import ContentError

STATUS_WORD_3 = "04000503"

_SWITCH_OPEN = 1 << 4
_COMMAND_OPEN = 1 << 6
_WARNING = 1 << 7


@dataclass(frozen=True, slots=True)
class SupplyStatus:
    """Command closed and switch open: armed, waiting for the person at the meter."""

    is_switch_open: bool
    is_command_open: bool
    is_warning: bool = False


def decode_supply_status(octets: bytes) -> SupplyStatus:
    """
    Return the supply bits of status word 3.

    :raises ContentError: if there are not two bytes
    """
    if len(octets) != 2:
        raise ContentError("dlt645.bad-length", bytes=len(octets))
    word = int.from_bytes(octets, "little")
    return SupplyStatus(bool(word & _SWITCH_OPEN), bool(word & _COMMAND_OPEN), bool(word & _WARNING))


def encode_supply_status(status: SupplyStatus) -> bytes:
    """Return status word 3 with only the supply bits set."""
    word = (
        _SWITCH_OPEN * status.is_switch_open
        | _COMMAND_OPEN * status.is_command_open
        | _WARNING * status.is_warning
    )
    return word.to_bytes(2, "little")
