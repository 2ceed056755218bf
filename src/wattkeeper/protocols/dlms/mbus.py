"""M-Bus long frames that carry DLMS (EN 13757-2, CI 00 to 1F of EN 13757-3), as customer interfaces push.

    68 | length | length | 68 | control | address | CI | source | destination | part | check sum | 16

CI: bits 0-3 number the parts from 0, bit 4 marks the last. The check sum adds the bytes from control on.
"""

from typing import NamedTuple

from wattkeeper.protocols.dlms.errors import FrameDamaged

_OVERHEAD_BYTES = 6
_MIN_LENGTH = 5
_LAST_PART = 0x10


class MbusFrame(NamedTuple):
    """One part of an APDU."""

    address: int
    part_number: int
    is_last: bool
    octets: bytes


def decode_frame(buffer: bytes) -> tuple[MbusFrame, int] | None:
    """
    Return the first frame of `buffer` and the bytes it used, or None if more bytes are needed.

    :raises FrameDamaged: if the bytes cannot become such a frame, however many more arrive
    """
    head = bytes(buffer[:4])
    if (
        head[:1] not in (b"", b"\x68")
        or head[3:] not in (b"", b"\x68")
        or (len(head) > 2 and head[1] != head[2])
    ):
        raise FrameDamaged("dlms.frame-format", octets=head.hex())
    if len(head) > 1 and head[1] < _MIN_LENGTH:
        raise FrameDamaged("dlms.frame-format", octets=head.hex())
    if len(head) < 4 or len(buffer) < head[1] + _OVERHEAD_BYTES:
        return None
    end = head[1] + _OVERHEAD_BYTES
    body = bytes(buffer[4 : end - 2])
    if buffer[end - 1] != 0x16 or buffer[end - 2] != sum(body) & 0xFF:
        raise FrameDamaged("dlms.frame-check")
    if body[2] > 0x1F:
        raise FrameDamaged("dlms.frame-format", octets=head.hex())
    return MbusFrame(body[1], body[2] & 0x0F, bool(body[2] & _LAST_PART), body[5:]), end


def encode_frame(address: int, part_number: int, octets: bytes, *, is_last: bool) -> bytes:
    """Return one part of an APDU in a frame sent to the customer (source 1, destination 103)."""
    ci = part_number & 0x0F | (_LAST_PART if is_last else 0)
    body = bytes((0x53, address, ci, 1, 103)) + octets
    if len(body) > 0xFF:
        raise FrameDamaged("dlms.frame-too-long", byte_count=len(body))
    return bytes((0x68, len(body), len(body), 0x68)) + body + bytes((sum(body) & 0xFF, 0x16))
