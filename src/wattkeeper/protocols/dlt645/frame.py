"""DL/T 645 link-layer frames: bytes in, fields out. No I/O, no clock.

Layout (DL/T 645-2007 clause 5.2, the same in 1997), one byte each unless said otherwise:

    FE x 0..4 | 68 | address (6, BCD, low byte first) | 68 | control | length | data | checksum | 16

Every data byte travels with 0x33 added. The checksum is the sum of all bytes from the first 68 up to the one
before it, modulo 256. An address digit A stands for "any".
"""

from typing import NamedTuple

from wattkeeper.protocols.dlt645.errors import ChecksumMismatch, ContentError, Dlt645Error, FrameError

WAKE_UP = 0xFE
START = 0x68
END = 0x16
ANY_ADDRESS = "aaaaaaaaaaaa"
BROADCAST_ADDRESS = "999999999999"
HEADER_BYTES = 10
DATA_MAX_BYTES = 255

IS_ANSWER = 0x80
IS_REFUSED = 0x40
HAS_MORE = 0x20

_OFF = bytes((i - 0x33) & 0xFF for i in range(256))
_ON = bytes((i + 0x33) & 0xFF for i in range(256))


class Frame(NamedTuple):
    """One frame. `address`: 12 digits, most significant first; `data`: without the 0x33."""

    address: str
    control: int
    data: bytes = b""

    @property
    def function(self) -> int:
        """The service, without the direction, refusal and follow-up bits."""
        return self.control & 0x1F

    @property
    def is_answer(self) -> bool:
        """Whether the meter sent it."""
        return bool(self.control & IS_ANSWER)

    @property
    def is_refused(self) -> bool:
        """Whether it is an error answer (D1, DC ...)."""
        return bool(self.control & IS_REFUSED)

    @property
    def has_more(self) -> bool:
        """Whether follow-up frames wait (B1, B2)."""
        return bool(self.control & HAS_MORE)


class Found(NamedTuple):
    """What the head of a buffer holds; `used_bytes` 0 asks for more.

    `frame` None with `used_bytes` > 0: those bytes can never become a frame, `error` says why.
    """

    frame: Frame | None
    used_bytes: int
    error: Dlt645Error | None = None


def decode_frame(buffer: bytes) -> tuple[Frame, int] | None:
    """
    Return the first frame and the number of bytes used, or None if more bytes are needed.

    :raises FrameError: if the bytes cannot become a frame, however many more arrive
    :raises ChecksumMismatch: if the frame is whole but damaged
    """
    total = len(buffer)
    start = 0
    while start < total and buffer[start] == WAKE_UP:
        start += 1
    if start == total:
        return None
    if buffer[start] != START:
        raise FrameError("dlt645.no-start", byte=buffer[start])
    if total - start < HEADER_BYTES:
        if total - start > 7 and buffer[start + 7] != START:
            raise FrameError("dlt645.no-second-start", byte=buffer[start + 7])
        return None
    if buffer[start + 7] != START:
        raise FrameError("dlt645.no-second-start", byte=buffer[start + 7])
    end = start + HEADER_BYTES + buffer[start + 9]
    if total < end + 2:
        return None
    if buffer[end + 1] != END:
        raise FrameError("dlt645.no-end", byte=buffer[end + 1])
    if sum(buffer[start:end]) & 0xFF != buffer[end]:
        raise ChecksumMismatch("dlt645.checksum", expected=sum(buffer[start:end]) & 0xFF, found=buffer[end])
    address = buffer[start + 6 : start : -1] if start else buffer[6:0:-1]
    data = bytes(buffer[start + HEADER_BYTES : end]).translate(_OFF)
    return Frame(address.hex(), buffer[start + 8], data), end + 2


def encode_frame(frame: Frame, wake_up_count: int = 0) -> bytes:
    """
    Return the bytes of `frame`, after `wake_up_count` bytes FE.

    :raises ContentError: if the address has not 12 hexadecimal digits or the data does not fit
    """
    if len(frame.data) > DATA_MAX_BYTES:
        raise ContentError("dlt645.too-long", bytes=len(frame.data))
    body = (
        bytes((START,))
        + encode_address(frame.address)
        + bytes((START, frame.control, len(frame.data)))
        + frame.data.translate(_ON)
    )
    return bytes((WAKE_UP,)) * wake_up_count + body + bytes((sum(body) & 0xFF, END))


def encode_address(address: str) -> bytes:
    """
    Return the six address bytes, low byte first.

    :raises ContentError: if `address` has not 12 hexadecimal digits
    """
    try:
        octets = bytes.fromhex(address)
    except ValueError:
        octets = b""
    if len(octets) != 6 or len(address) != 12:
        raise ContentError("dlt645.bad-address", address=address)
    return octets[::-1]


def address_matches(asked: str, own: str) -> bool:
    """Return whether a frame sent to `asked` is meant for the meter `own`: A is any digit, 99..9 is all."""
    if asked == BROADCAST_ADDRESS:
        return True
    return all(digit in ("a", "A") or digit == other for digit, other in zip(asked, own, strict=True))


def find_frame(buffer: bytes) -> Found:
    """Return the first frame of `buffer`, or the damaged bytes before the next place where one may start."""
    start = 0
    while start < len(buffer) and buffer[start] not in (WAKE_UP, START):
        start += 1
    if start:
        return Found(None, start, FrameError("dlt645.no-start", byte=buffer[0]))
    try:
        decoded = decode_frame(buffer)
    except FrameError as error:
        return Found(None, _bytes_to_drop(buffer, error), error)
    if decoded:
        return Found(*decoded)
    later = _whole_frame(buffer)
    return Found(None, later, FrameError("dlt645.cut-short", bytes=later)) if later else Found(None, 0)


def _whole_frame(buffer: bytes) -> int:
    """Return where a whole frame stands behind one that was cut short, or 0."""
    start = buffer.find(bytes((START,)), 1)
    while start > 0:
        try:
            if decode_frame(buffer[start:]) is not None:
                return start
        except FrameError:
            pass
        start = buffer.find(bytes((START,)), start + 1)
    return 0


def _bytes_to_drop(buffer: bytes, error: FrameError) -> int:
    head = 0
    while buffer[head] == WAKE_UP:
        head += 1
    if isinstance(error, ChecksumMismatch):
        return head + HEADER_BYTES + buffer[head + 9] + 2
    following = buffer.find(bytes((START,)), head + 1)
    return following if following > 0 else len(buffer)
