"""What a capture of DLMS bytes says, frame by frame, for people.

Takes HDLC, TCP/UDP wrapper, M-Bus long frames and bare APDUs, mixed, both directions of a line, in any order;
a frame never reaches from one chunk into the next, but keys, titles and requests heard stay known.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypedDict

from wattkeeper.protocols.dlms import axdr, gbt, hdlc, initiate, mbus, security, wrapper
from wattkeeper.protocols.dlms.apdus import DATA_NOTIFICATION, decode_apdu_from
from wattkeeper.protocols.dlms.conversation import NOTHING_KNOWN, Conversation, Known, service_name
from wattkeeper.protocols.dlms.errors import ApduDamaged, DlmsError, FrameDamaged
from wattkeeper.protocols.dlms.notification import entries
from wattkeeper.protocols.dlms.readings import Reading, list_readings

_HDLC_WINDOW_BYTES = 2064
_MBUS_WINDOW_BYTES = 262
_LLC = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")
_FRAME_STARTS = frozenset((0x7E, 0x68, 0x00))
_MESSAGES = {
    "dlms.garbage": "These bytes are no DLMS frame.",
    "dlms.cut-short": "The frame ends before its length says.",
    "dlms.frame-check": "The check sum is wrong: the frame was damaged on its way.",
    "dlms.no-key": "The frame is encrypted; give its key as guek.",
    "dlms.wrong-key": "The frame does not open with this key, or was changed on its way.",
    "dlms.key-length": "The key has the wrong length for the security suite of the frame.",
    "dlms.no-system-title": "The sender's system title is not known: its association is not in the capture.",
    "dlms.security-control": "The frame is ciphered in a way that is not known.",
    "dlms.bad-block": "A part of a long answer is missing before this one.",
    "dlms.unknown-service": "The service is not known.",
}


class DescribedError(TypedDict):
    """Why a frame is not one, or what in it is wrong. `params`: what a sentence of another language needs."""

    code: str
    message: str
    params: Mapping[str, object]


class DecodedFrame(TypedDict):
    """One frame, or bytes that are none."""

    frame: str
    protocol: str
    address: str | None
    service: str | None
    readings: list[Reading]
    error: DescribedError | None


class _Found(NamedTuple):
    """A frame of some kind that ends at `end`; with an `error` its content is shown, not believed."""

    end: int
    content: "hdlc.HdlcFrame | mbus.MbusFrame | wrapper.WrapperFrame | bytes | None"
    error: DlmsError | None = None


def decode_stream(data: bytes, keys: Mapping[str, bytes]) -> Iterator[DecodedFrame]:
    """Yield a row for each frame in `data`, and one for each run of bytes that are none.

    `keys`: ``guek`` and ``gak`` (raw bytes); without ``gak`` texts are opened but not verified.
    ``client_title`` and ``server_title`` may be given where no association is in the capture.
    """
    return decode_chunks([data], keys)


def decode_chunks(
    chunks: Iterable[bytes], keys: Mapping[str, bytes], known: Known = NOTHING_KNOWN
) -> Iterator[DecodedFrame]:
    """Yield as `decode_stream` does; a frame never reaches from one chunk into the next.

    `known`: what `learn` found in the same chunks, for values that were read before their scaler and unit.
    """
    describer = _Describer(keys, known)
    for chunk in chunks:
        yield from describer.describe(chunk)


def learn(chunks: Iterable[bytes], keys: Mapping[str, bytes]) -> Known:
    """Return what the meter says of its objects anywhere in `chunks`."""
    describer = _Describer(keys)
    for chunk in chunks:
        for _ in describer.describe(chunk):
            pass
    return describer.learnt()


class _Describer:
    """Walks chunks and keeps what segments and parts of APDUs came before."""

    def __init__(self, keys: Mapping[str, bytes], known: Known = NOTHING_KNOWN) -> None:
        self._conversation = Conversation(keys, known)
        self._segments: dict[tuple[int, int], bytes] = {}
        self._parts = gbt.Assembler(0)

    def learnt(self) -> Known:
        return self._conversation.learnt()

    def describe(self, data: bytes) -> Iterator[DecodedFrame]:
        at = 0
        while at < len(data):
            found = _find_link_frame(data, at) or _find_bare(data, at)
            if found is None:
                end = _next_frame(data, at + 1)
                yield _garbage_row(data[at:end], is_at_end=end == len(data))
            else:
                end = found.end
                if found.error is not None:
                    yield _Describer({})._row(data[at:end], found)
                elif found.content is not None:
                    yield self._row(data[at:end], found)
            at = end

    def _row(self, octets: bytes, found: _Found) -> DecodedFrame:
        row = _empty_row(octets)
        try:
            row["address"] = _address(found.content)
            row["service"], row["readings"] = self._content(found.content, row)
        except DlmsError as error:
            row["error"] = _described(error)
        if found.error is not None:
            row["error"] = _described(found.error)
        return row

    def _content(
        self,
        content: "hdlc.HdlcFrame | mbus.MbusFrame | wrapper.WrapperFrame | bytes | None",
        row: DecodedFrame,
    ) -> tuple[str | None, list[Reading]]:
        if isinstance(content, hdlc.HdlcFrame):
            return self._hdlc(content, row)
        if isinstance(content, mbus.MbusFrame):
            whole = self._parts.add(content.part_number, content.octets, is_last=content.is_last)
            return ("segment", []) if whole is None else self._hear(whole, row)
        if isinstance(content, wrapper.WrapperFrame):
            return self._hear(content.apdu, row)
        return self._hear(content, row) if content is not None else (None, [])

    def _hdlc(self, frame: hdlc.HdlcFrame, row: DecodedFrame) -> tuple[str, list[Reading]]:
        if frame.kind not in ("information", "unnumbered-information"):
            return frame.kind, []
        link = (frame.source, frame.destination)
        information = self._segments.pop(link, b"") + frame.information
        if len(information) > axdr.MAX_BYTES:
            raise ApduDamaged("dlms.data-too-long", byte_count=len(information))
        if frame.is_segmented:
            if len(self._segments) < 64:
                self._segments[link] = information
            return "segment", []
        return self._hear(information, row) if information else (frame.kind, [])

    def _hear(self, apdu: bytes, row: DecodedFrame) -> tuple[str, list[Reading]]:
        if apdu[:3] in _LLC:
            apdu = apdu[3:]
        row["service"] = service_name(apdu)
        if apdu[:1] in (b"\x01", b"\x02") and not _is_initiate(apdu):
            row["service"] = "data"
            return "data", list_readings(entries(axdr.decode(apdu)), b"")
        return self._conversation.hear(apdu)


def _empty_row(octets: bytes) -> DecodedFrame:
    return DecodedFrame(
        frame=octets.hex(), protocol="dlms", address=None, service=None, readings=[], error=None
    )


def _garbage_row(octets: bytes, *, is_at_end: bool) -> DecodedFrame:
    """Return the row of bytes that are no frame; at the end of a chunk they may be the start of one."""
    is_start = _starts_hdlc(octets[:3]) or octets[:2] == b"\x00\x01" or octets[:1] == b"\x68" == octets[3:4]
    row = _empty_row(octets)
    code = "dlms.cut-short" if is_at_end and (is_start or service_name(octets)) else "dlms.garbage"
    row["error"] = _described(FrameDamaged(code, byte_count=len(octets)))
    return row


def _described(error: DlmsError) -> DescribedError:
    message = _MESSAGES.get(error.code, "The content of the frame breaks the rules of DLMS.")
    details = ", ".join(f"{name}: {value}" for name, value in error.params.items())
    told = f"{message} ({details})" if details else message
    return DescribedError(code=error.code, message=told, params=error.params)


def _address(
    content: "hdlc.HdlcFrame | mbus.MbusFrame | wrapper.WrapperFrame | bytes | None",
) -> str | None:
    """Return who sent the frame: HDLC address, wrapper port, M-Bus address or system title."""
    if isinstance(content, mbus.MbusFrame):
        return str(content.address)
    if isinstance(content, (hdlc.HdlcFrame, wrapper.WrapperFrame)):
        return str(content.source)
    if content and content[0] == security.GENERAL_GLOBAL:
        return axdr.take_octets(content, 1)[0].hex()
    return None


def _find_link_frame(data: bytes, at: int) -> _Found | None:
    """Return the HDLC, wrapper or M-Bus frame at `at`, also one damaged inside; None if there is none."""
    try:
        if data[at] == hdlc.FLAG:
            return _find_hdlc(data, at)
        if data[at] == 0x68:
            found = mbus.decode_frame(data[at : at + _MBUS_WINDOW_BYTES])
            return None if found is None else _Found(at + found[1], found[0])
        if data[at : at + 2] == b"\x00\x01":
            return _find_wrapper(data, at)
    except FrameDamaged as error:
        return _damaged(data, at, error)
    return None


def _find_hdlc(data: bytes, at: int) -> _Found | None:
    window = data[at : at + _HDLC_WINDOW_BYTES]
    if not window.strip(b"\x7e"):
        return _Found(at + len(window), None)
    found = hdlc.decode_frame(window)
    return None if found is None else _Found(_after_flag(data, at + found[1]), found[0])


def _after_flag(data: bytes, at: int) -> int:
    """Return the end of a frame with its closing flag, unless that one opens the next frame."""
    return at if _starts_hdlc(data[at : at + 3]) else at + 1


def _starts_hdlc(octets: bytes) -> bool:
    """Whether `octets` are a flag and the start of a frame format field."""
    return len(octets) == 3 and octets[0] == hdlc.FLAG and octets[1] & 0xF0 == 0xA0


def _find_wrapper(data: bytes, at: int) -> _Found | None:
    length = int.from_bytes(data[at + 6 : at + 8], "big")
    end = at + wrapper.HEADER_BYTES + length
    if (
        not length
        or end > len(data)
        or service_name(data[at + wrapper.HEADER_BYTES : at + wrapper.HEADER_BYTES + 1]) is None
    ):
        return None
    found = wrapper.decode_frame(data[at:end])
    return None if found is None else _Found(end, found[0])


def _damaged(data: bytes, at: int, error: FrameDamaged) -> _Found | None:
    """Return the damaged frame at `at` if its end is where it says: only its content is in doubt then."""
    if error.code not in ("dlms.frame-check", "dlms.frame-address"):
        return None
    if data[at] == 0x68:
        end = at + data[at + 1] + 6
        return _Found(end, None, error) if data[end - 1] == 0x16 else None
    start = at
    while data[start] == hdlc.FLAG:
        start += 1
    end = start + ((data[start] & 0x07) << 8 | data[start + 1])
    try:
        content = hdlc.decode_unchecked(data[start:end])
    except FrameDamaged:
        content = None
    return _Found(_after_flag(data, end), content, error)


def _next_frame(data: bytes, at: int) -> int:
    """Return where the next link frame begins, the end of `data` if there is none."""
    while at < len(data):
        if data[at] in _FRAME_STARTS and _find_link_frame(data, at) is not None:
            return at
        at += 1
    return at


def _find_bare(data: bytes, at: int) -> _Found | None:
    """Return what has no link frame: HDLC without flags, an APDU with or without LLC, a data list."""
    head = data[at : at + 3]
    if head[:1] and head[0] & 0xF0 == 0xA0 and len(head) == 3:
        try:
            end = at + ((head[0] & 0x07) << 8 | head[1])
            return _Found(end, hdlc.decode_body(data[at:end]))
        except FrameDamaged:
            return None
    start = at + 3 if head in _LLC else at
    apdu_end = _apdu_end(data, start)
    return None if apdu_end is None else _Found(apdu_end, data[start:apdu_end])


def _is_initiate(apdu: bytes) -> bool:
    return apdu[:1] == b"\x01" and apdu[-10:-5] == b"\x06\x5f\x1f\x04\x00"


def _apdu_end(data: bytes, at: int) -> int | None:
    """Return where the bare APDU or list at `at` ends, None if there is none."""
    tag = data[at] if at < len(data) else -1
    try:
        if tag in (0x01, 0x02, 0x08):
            rest = data[at:]
            if tag == initiate.RESPONSE_TAG or _is_initiate(rest):
                return len(data)
            return len(data) if axdr.decode_from(data, at)[1] == len(data) else None
        if tag == DATA_NOTIFICATION:
            return _notification_end(data, at)
        if 0x60 <= tag <= 0x63:
            size, start = axdr.decode_length(data, at + 1)
            return start + size if start + size <= len(data) else None
        if tag == gbt.TAG:
            return axdr.take_octets(data, at + 6)[1]
        if tag in (security.GENERAL_GLOBAL, security.GENERAL_DEDICATED):
            return axdr.take_octets(data, axdr.take_octets(data, at + 1)[1])[1]
        if tag in security.CIPHERED_TAGS:
            return axdr.take_octets(data, at + 1)[1]
        return decode_apdu_from(data, at)[1] if service_name(data[at : at + 1]) else None
    except ApduDamaged:
        return None


def _notification_end(data: bytes, at: int) -> int:
    """A malformed body has no end of its own: it takes the rest."""
    try:
        return decode_apdu_from(data, at)[1]
    except ApduDamaged:
        return len(data)
