"""xDLMS service APDUs, encoded (IEC 62056-5-3 clause 7.3). Data are A-XDR fragments of `encoding`.

`invoke` is the invoke-id-and-priority byte: C0 (confirmed, high priority) + invoke-id 0 to 15.
"""

from collections.abc import Sequence
from enum import IntEnum

from wattkeeper.protocols.dlms.apdus import Descriptor
from wattkeeper.protocols.dlms.date_time import encode as encode_date_time
from wattkeeper.protocols.dlms.encoding import (
    array,
    double_long_unsigned,
    integer,
    length,
    long_unsigned,
    octet_string,
    structure,
)

CLOCK_COLUMN = structure(
    long_unsigned(8), octet_string(bytes((0, 0, 1, 0, 0, 255))), integer(2), long_unsigned(0)
)


class DataAccessResult(IntEnum):
    """Why data is not returned or not taken (clause 7.3.13); the first four also serve as action results."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_GET_ABORTED = 15
    NO_LONG_GET_IN_PROGRESS = 16
    DATA_BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


class StateError(IntEnum):
    """First byte of an ExceptionResponse."""

    SERVICE_NOT_ALLOWED = 1
    SERVICE_UNKNOWN = 2


class ServiceError(IntEnum):
    """Second byte of an ExceptionResponse."""

    OPERATION_NOT_POSSIBLE = 1
    SERVICE_NOT_SUPPORTED = 2
    OTHER_REASON = 3
    PDU_TOO_LONG = 4
    DECIPHERING_ERROR = 5
    INVOCATION_COUNTER_ERROR = 6


def _descriptor(descriptor: Descriptor) -> bytes:
    return (
        descriptor.class_id.to_bytes(2, "big")
        + descriptor.obis.to_bytes()
        + bytes((descriptor.attribute & 0xFF,))
    )


def _optional(fragment: bytes) -> bytes:
    return b"\x01" + fragment if fragment else b"\x00"


def get_request(invoke: int, descriptor: Descriptor, access: bytes = b"") -> bytes:
    """Return a get-request-normal; `access` from `range_access` or `entry_access`."""
    return bytes((0xC0, 1, invoke)) + _descriptor(descriptor) + _optional(access)


def get_request_next(invoke: int, block_number: int) -> bytes:
    """Return the request for the block after `block_number`."""
    return bytes((0xC0, 2, invoke)) + block_number.to_bytes(4, "big")


def get_request_with_list(invoke: int, descriptors: Sequence[Descriptor]) -> bytes:
    """Return a get-request-with-list of attributes without selective access."""
    items = b"".join(_descriptor(descriptor) + b"\x00" for descriptor in descriptors)
    return bytes((0xC0, 3, invoke)) + length(len(descriptors)) + items


def set_request(invoke: int, descriptor: Descriptor, data: bytes) -> bytes:
    """Return a set-request-normal."""
    return bytes((0xC1, 1, invoke)) + _descriptor(descriptor) + b"\x00" + data


def action_request(invoke: int, descriptor: Descriptor, data: bytes = b"") -> bytes:
    """Return an action-request-normal; `descriptor.attribute` is the method."""
    return bytes((0xC3, 1, invoke)) + _descriptor(descriptor) + _optional(data)


def get_response(invoke: int, data: bytes) -> bytes:
    """Return a get-response-normal with `data`."""
    return bytes((0xC4, 1, invoke, 0)) + data


def get_response_error(invoke: int, result: int) -> bytes:
    """Return a get-response-normal that refuses."""
    return bytes((0xC4, 1, invoke, 1, result))


def get_response_block(invoke: int, block_number: int, octets: bytes, *, is_last: bool) -> bytes:
    """Return one block of a long answer."""
    head = bytes((0xC4, 2, invoke, is_last)) + block_number.to_bytes(4, "big")
    return head + b"\x00" + length(len(octets)) + octets


def get_response_block_error(invoke: int, block_number: int, result: int) -> bytes:
    """Return the last block of an answer that cannot be continued."""
    return bytes((0xC4, 2, invoke, 1)) + block_number.to_bytes(4, "big") + bytes((1, result))


def get_results(results: Sequence[bytes | int]) -> bytes:
    """Return the list in a get-response-with-list: data, or the number of a data access result."""
    items = [bytes((1, item)) if isinstance(item, int) else b"\x00" + item for item in results]
    return length(len(items)) + b"".join(items)


def set_response(invoke: int, result: int) -> bytes:
    """Return a set-response-normal."""
    return bytes((0xC5, 1, invoke, result))


def action_response(invoke: int, result: int, data: bytes = b"") -> bytes:
    """Return an action-response-normal, with the method's return value if it has one."""
    return bytes((0xC7, 1, invoke, result)) + (b"\x01\x00" + data if data else b"\x00")


def exception_response(state: int, service: int, counter: int | None = None) -> bytes:
    """Return an ExceptionResponse; `counter` is the lowest one that would be taken."""
    extra = b"" if counter is None else counter.to_bytes(4, "big")
    return bytes((0xD8, state, service)) + extra


def data_notification(invoke: int, data: bytes, date_time: bytes = b"") -> bytes:
    """Return a push; `invoke` is the long invoke id, `date_time` 12 octets or none."""
    return bytes((0x0F,)) + invoke.to_bytes(4, "big") + length(len(date_time)) + date_time + data


def range_access(
    from_s: int, to_s: int, *, deviation_min: int = 0, restricting: bytes = CLOCK_COLUMN
) -> bytes:
    """Return access by range, from_s <= stamp <= to_s (UTC seconds), all columns (IEC 62056-6-2, class 7)."""
    span = [octet_string(encode_date_time(at_s, deviation_min=deviation_min)) for at_s in (from_s, to_s)]
    return b"\x01" + structure(restricting, *span, array())


def entry_access(first: int, last: int) -> bytes:
    """Return access by entry numbers, 1 is the oldest, `last` 0 the newest; all columns."""
    return b"\x02" + structure(
        double_long_unsigned(first), double_long_unsigned(last), long_unsigned(1), long_unsigned(0)
    )
