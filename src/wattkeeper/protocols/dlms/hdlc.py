"""HDLC frames, type 3 (IEC 62056-46 clause 6.4): bytes <-> fields.

    7E | format A + segmentation bit + length (2) | destination (1, 2, 4) | source (1, 2, 4) | control |
    HCS (2) | information | FCS (2) | 7E

HCS is absent where there is no information. Two frames may share the flag between them. There is no byte
stuffing: the length says where a frame ends.
"""

from typing import NamedTuple

from fastcrc import crc16

from wattkeeper.protocols.dlms.errors import FrameDamaged

FLAG = 0x7E
MIN_FRAME_BYTES = 7
_SEGMENTED = 0x08

_UNNUMBERED = {
    0x83: "snrm",
    0x43: "disc",
    0x63: "ua",
    0x0F: "dm",
    0x87: "frmr",
    0x03: "unnumbered-information",
}


class HdlcFrame(NamedTuple):
    """One frame. `is_segmented`: more of the same information follows."""

    destination: int
    source: int
    control: int
    information: bytes
    is_segmented: bool

    @property
    def kind(self) -> str:
        """The name of the control field."""
        if not self.control & 0x01:
            return "information"
        if self.control & 0x03 == 0x01:
            return "receive-ready" if self.control & 0x0F == 0x01 else "receive-not-ready"
        return _UNNUMBERED.get(self.control & 0xEF, "unknown")


def _check_sum(octets: bytes) -> bytes:
    return int(crc16.ibm_sdlc(octets)).to_bytes(2, "little")


def _encode_address(address: int) -> bytes:
    size = 1 if address < 0x80 else 2 if address < 0x4000 else 4
    groups = [(address >> (7 * i) & 0x7F) << 1 for i in reversed(range(size))]
    groups[-1] |= 1
    return bytes(groups)


def encode_frame(
    destination: int, source: int, control: int, information: bytes = b"", *, is_segmented: bool = False
) -> bytes:
    """Return a frame between two flags.

    :raises FrameDamaged: if it would be longer than 2047 bytes
    """
    middle = _encode_address(destination) + _encode_address(source) + bytes((control,))
    length = 2 + len(middle) + 2 + (len(information) + 2 if information else 0)
    if length > 0x7FF:
        raise FrameDamaged("dlms.frame-too-long", byte_count=length)
    head = bytes((0xA0 | (_SEGMENTED if is_segmented else 0) | length >> 8, length & 0xFF)) + middle
    body = head + _check_sum(head) + information if information else head
    return b"\x7e" + body + _check_sum(body) + b"\x7e"


def decode_frame(buffer: bytes) -> tuple[HdlcFrame, int] | None:
    """
    Return the first frame of `buffer` and the bytes it used, or None if more bytes are needed.

    `buffer` starts with one flag or more. The closing flag is not used up: it may open the next frame.

    :raises FrameDamaged: if the bytes cannot become a frame, however many more arrive
    """
    start = len(buffer) - len(buffer.lstrip(b"\x7e"))
    if not start and buffer:
        raise FrameDamaged("dlms.frame-flag")
    if len(buffer) < start + 2:
        return None
    length = (buffer[start] & 0x07) << 8 | buffer[start + 1]
    if buffer[start] & 0xF0 != 0xA0 or length < MIN_FRAME_BYTES:
        raise FrameDamaged("dlms.frame-format", octets=bytes(buffer[start : start + 2]).hex())
    end = start + length
    if len(buffer) <= end:
        return None
    if buffer[end] != FLAG:
        raise FrameDamaged("dlms.frame-end")
    return decode_body(bytes(buffer[start:end])), end


def decode_body(body: bytes) -> HdlcFrame:
    """
    Return the frame whose bytes between the flags are `body`.

    :raises FrameDamaged: if a check sum or the layout is wrong
    """
    if len(body) < MIN_FRAME_BYTES or body[0] & 0xF0 != 0xA0 or (body[0] & 7) << 8 | body[1] != len(body):
        raise FrameDamaged("dlms.frame-format", octets=body[:2].hex())
    if body[-2:] != _check_sum(body[:-2]):
        raise FrameDamaged("dlms.frame-check")
    return decode_unchecked(body)


def decode_unchecked(body: bytes) -> HdlcFrame:
    """
    Return the frame whose bytes between the flags are `body`, its FCS unchecked: to show damaged captures.

    :raises FrameDamaged: if the header is damaged
    """
    destination, at = _decode_address(body, 2)
    source, at = _decode_address(body, at)
    information_at = at + 3
    if information_at == len(body):
        information = b""
    elif information_at + 2 >= len(body):
        raise FrameDamaged("dlms.frame-format", octets=body[:2].hex())
    elif body[at + 1 : information_at] != _check_sum(body[: at + 1]):
        raise FrameDamaged("dlms.frame-check")
    else:
        information = body[information_at:-2]
    return HdlcFrame(destination, source, body[at], information, bool(body[0] & _SEGMENTED))


def _decode_address(body: bytes, at: int) -> tuple[int, int]:
    address = 0
    for size in range(1, 5):
        if at + size > len(body) - 3:
            break
        octet = body[at + size - 1]
        address = address << 7 | octet >> 1
        if octet & 1:
            if size == 3:
                break
            return address, at + size
    raise FrameDamaged("dlms.frame-address")
