"""General block transfer (IEC 62056-5-3 clause 7.3.15): one long APDU in numbered blocks.

E0 | last 80, streaming 40, window 3F | block number (2) | block number acknowledged (2) | length | octets
"""

from typing import NamedTuple

from wattkeeper.protocols.dlms.axdr import MAX_BYTES, take_octets
from wattkeeper.protocols.dlms.encoding import length
from wattkeeper.protocols.dlms.errors import ApduDamaged

TAG = 0xE0


class GeneralBlock(NamedTuple):
    """One block; `number` counts from 1."""

    number: int
    is_last: bool
    is_streaming: bool
    window: int
    acknowledged: int
    octets: bytes

    def encode(self) -> bytes:
        """Return the APDU."""
        control = self.is_last << 7 | self.is_streaming << 6 | self.window & 0x3F
        numbers = self.number.to_bytes(2, "big") + self.acknowledged.to_bytes(2, "big")
        return bytes((TAG, control)) + numbers + length(len(self.octets)) + self.octets


def decode_block(apdu: bytes) -> GeneralBlock:
    """
    Return the fields of a general block transfer APDU.

    :raises ApduDamaged: if it is not one
    """
    if len(apdu) < 7 or apdu[0] != TAG:
        raise ApduDamaged("dlms.data-cut")
    octets, end = take_octets(apdu, 6)
    if end != len(apdu):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(apdu) - end)
    control, number = apdu[1], int.from_bytes(apdu[2:4], "big")
    acknowledged = int.from_bytes(apdu[4:6], "big")
    return GeneralBlock(
        number, bool(control & 0x80), bool(control & 0x40), control & 0x3F, acknowledged, octets
    )


class Assembler:
    """Joins numbered parts of any transfer. A first part begins anew; parts without a first are let go."""

    def __init__(self, first_number: int) -> None:
        self._first_number = first_number
        self._next_number = first_number
        self._octets = b""
        self._is_open = False

    def add(self, number: int, octets: bytes, *, is_last: bool) -> bytes | None:
        """
        Take one part and return the whole after the last one, None before.

        :raises ApduDamaged: if a part is missing or the whole would be longer than 64 KiB
        """
        if number == self._first_number:
            self._is_open, self._next_number, self._octets = True, number, b""
        if not self._is_open:
            return None
        if number != self._next_number or len(self._octets) + len(octets) > MAX_BYTES:
            self._is_open = False
            raise ApduDamaged("dlms.bad-block", number=number)
        self._octets += octets
        self._next_number += 1
        self._is_open = not is_last
        return self._octets if is_last else None
