"""What a capture of DL/T 645 bytes says, frame by frame, for people.

Times on the wire are local; the zone is Beijing's unless told otherwise. A refusal (D1, DC) is a sound frame:
its error byte is a reading, not an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TypedDict

from wattkeeper.protocols.dlt645.bcd import LocalTime
from wattkeeper.protocols.dlt645.errors import ChecksumMismatch, ContentError, Dlt645Error
from wattkeeper.protocols.dlt645.frame import Frame, find_frame
from wattkeeper.protocols.dlt645.identifiers import decode_values, get_identifier
from wattkeeper.protocols.dlt645.records import LoadRecord, decode_records
from wattkeeper.protocols.dlt645.services import (
    Answer,
    Control,
    Function,
    RelayControl,
    decode_address_answer,
    decode_answer,
    decode_request,
)

BEIJING = timezone(timedelta(hours=8))
WINDOW_BYTES = 640
PARTS_MAX_BYTES = 64 * 1024


class Reading(TypedDict):
    """One value. `value`: exact decimal text, or text, or None where the meter has FF."""

    id: str
    quantity: str
    value: str | None
    unit: str
    measured_at: str | None


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


def decode_stream(
    data: bytes, keys: Mapping[str, bytes], *, zone: tzinfo = BEIJING
) -> Iterator[DecodedFrame]:
    """Yield a row for each frame in `data`, and one for each run of bytes that are none. `keys`: not used."""
    return decode_chunks([data], keys, zone=zone)


def decode_chunks(
    chunks: Iterable[bytes], keys: Mapping[str, bytes], *, zone: tzinfo = BEIJING
) -> Iterator[DecodedFrame]:
    """Yield as `decode_stream` does; a frame never reaches from one chunk into the next."""
    del keys
    describer = _Describer(zone)
    for chunk in chunks:
        yield from describer.describe(chunk)


class _Describer:
    """Keeps the parts of answers that came in several frames."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._parts: dict[tuple[str, str], bytes] = {}

    def describe(self, data: bytes) -> Iterator[DecodedFrame]:
        position = garbage_at = 0
        garbage: Dlt645Error | None = None
        while position < len(data):
            found = find_frame(data[position : position + WINDOW_BYTES])
            used_bytes, error = found.used_bytes, found.error
            if not used_bytes:
                used_bytes = min(WINDOW_BYTES, len(data) - position)
                error = ContentError("dlt645.cut-short", bytes=used_bytes)
            is_whole = found.frame is not None or isinstance(error, ChecksumMismatch)
            if garbage is not None and is_whole:
                yield _garbage_row(data[garbage_at:position], garbage)
                garbage = None
            octets = data[position : position + used_bytes]
            if found.frame is not None:
                yield self._row(octets, found.frame)
            elif error is not None and is_whole:
                yield _garbage_row(octets, error)
            elif garbage is None:
                garbage_at, garbage = position, error
            position += used_bytes
        if garbage is not None:
            yield _garbage_row(data[garbage_at:], garbage)

    def _row(self, octets: bytes, frame: Frame) -> DecodedFrame:
        row = DecodedFrame(
            frame=octets.hex(),
            protocol="dlt645",
            address=frame.address,
            service=_service(frame),
            readings=[],
            error=None,
        )
        try:
            row["readings"] = self._readings(frame)
        except Dlt645Error as error:
            row["error"] = _described(error)
        return row

    def _readings(self, frame: Frame) -> list[Reading]:
        if not frame.is_answer:
            decode_request(frame)
            return []
        if frame.function == Function.READ_ADDRESS and not frame.is_refused:
            return [_reading("04000401", "address", decode_address_answer(frame), "")]
        answer = decode_answer(frame)
        if answer.refusal is not None:
            return [_reading("", "error_code", str(int(answer.refusal)), "")]
        if not answer.di:
            return []
        data = self._join(frame.address, answer)
        return [] if data is None else _values(answer.di, data, self._zone)

    def _join(self, address: str, answer: Answer) -> bytes | None:
        """Return the whole data of an answer, or None while follow-up frames are missing."""
        key = (address, answer.di)
        is_later = answer.function in (Function.READ_MORE, Function.READ_MORE_1997)
        data = (self._parts.pop(key, b"") if is_later else b"") + answer.data
        if answer.has_more and len(data) < PARTS_MAX_BYTES:
            self._parts[key] = data
            return None
        return data


def _values(di: str, data: bytes, zone: tzinfo) -> list[Reading]:
    if len(di) == 8 and di.startswith("06"):
        return [reading for record in decode_records(data) for reading in _record_readings(record, zone)]
    return [
        _reading(value.di, value.quantity, _text(value.value), value.unit)
        for value in decode_values(di, data)
    ]


def _record_readings(record: LoadRecord, zone: tzinfo) -> list[Reading]:
    if record.is_wrong:
        return []
    measured_at = _instant(record.time, zone)
    readings: list[Reading] = []
    for di, counts in record.values.items():
        identifier = get_identifier(di)
        if identifier is not None:
            value = None if counts is None else Decimal(counts).scaleb(-identifier.decimals)
            readings.append(_reading(di, identifier.quantity, _text(value), identifier.unit, measured_at))
    return readings


def _instant(time: LocalTime, zone: tzinfo) -> str:
    return datetime.fromtimestamp(time.to_seconds(zone), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _service(frame: Frame) -> str:
    name = _NAMES.get(frame.function, f"function-{frame.function:02x}")
    if frame.function == Function.CONTROL and not frame.is_answer:
        name = _control_name(frame)
    if not frame.is_answer:
        return f"{name}-request"
    return f"{name}-refused" if frame.is_refused else f"{name}-answer"


def _control_name(frame: Frame) -> str:
    try:
        request = decode_request(frame)
    except Dlt645Error:
        return "relay"
    command = request.command if isinstance(request, RelayControl) else None
    return f"relay-{_CONTROL_NAMES.get(command, 'unknown')}" if command is not None else "relay"


_NAMES: dict[int, str] = {
    **{function.value: function.name.lower().replace("_", "-") for function in Function},
    Function.CONTROL.value: "relay",
}
_CONTROL_NAMES: dict[int, str] = {
    control.value: control.name.lower().replace("_", "-") for control in Control
}


def _reading(id_: str, quantity: str, value: str | None, unit: str, at: str | None = None) -> Reading:
    return Reading(id=id_, quantity=quantity, value=value, unit=unit, measured_at=at)


def _text(value: Decimal | str | None) -> str | None:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _garbage_row(octets: bytes, error: Dlt645Error) -> DecodedFrame:
    return DecodedFrame(
        frame=octets.hex(),
        protocol="dlt645",
        address=None,
        service=None,
        readings=[],
        error=_described(error),
    )


_MESSAGES = {
    "dlt645.checksum": "The checksum does not fit: the frame is damaged.",
    "dlt645.no-start": "These bytes do not begin with 68.",
    "dlt645.no-second-start": "There is no second 68 after the address.",
    "dlt645.no-end": "The frame does not end with 16.",
    "dlt645.cut-short": "The frame is cut short.",
    "dlt645.not-bcd": "A digit is not decimal.",
    "dlt645.unknown-identifier": "This data identifier is not in the table.",
    "dlt645.bad-length": "The data has another length than its identifier says.",
}


def _described(error: Dlt645Error) -> DescribedError:
    details = ", ".join(f"{name}={value}" for name, value in error.params.items())
    message = _MESSAGES.get(error.code, "The content of the frame is not what its service says.")
    told = f"{message} ({details})" if details else message
    return DescribedError(code=error.code, message=told, params=error.params)
