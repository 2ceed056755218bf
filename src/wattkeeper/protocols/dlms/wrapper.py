"""TCP and UDP wrapper (IEC 62056-47 clause 7).

version 0001 | source port (2) | destination port (2) | length (2) | APDU
"""

import struct
from typing import NamedTuple

from wattkeeper.protocols.dlms.errors import FrameDamaged

HEADER_BYTES = 8
_HEADER = struct.Struct(">HHHH")


class WrapperFrame(NamedTuple):
    """One APDU with its wrapper ports (client and server SAP)."""

    source: int
    destination: int
    apdu: bytes


def encode_frame(source: int, destination: int, apdu: bytes) -> bytes:
    """Return `apdu` in its wrapper.

    :raises FrameDamaged: if it is longer than 65 535 bytes
    """
    if len(apdu) > 0xFFFF:
        raise FrameDamaged("dlms.frame-too-long", byte_count=len(apdu))
    return _HEADER.pack(1, source, destination, len(apdu)) + apdu


def decode_frame(buffer: bytes) -> tuple[WrapperFrame, int] | None:
    """
    Return the first frame of `buffer` and the bytes it used, or None if more bytes are needed.

    :raises FrameDamaged: if `buffer` does not start with version 0001
    """
    if not b"\x00\x01".startswith(buffer[:2]):
        raise FrameDamaged("dlms.frame-version", octets=bytes(buffer[:2]).hex())
    if len(buffer) < HEADER_BYTES:
        return None
    _, source, destination, length = _HEADER.unpack_from(buffer)
    end = HEADER_BYTES + length
    if len(buffer) < end:
        return None
    return WrapperFrame(source, destination, bytes(buffer[HEADER_BYTES:end])), end


def skip_garbage(buffer: bytes) -> int:
    """Return how many leading bytes of `buffer` cannot start a frame."""
    start = buffer.find(b"\x00\x01")
    if start >= 0:
        return start
    return len(buffer) - (1 if buffer.endswith(b"\x00") else 0)
