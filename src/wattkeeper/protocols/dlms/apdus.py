"""xDLMS service APDUs, decoded (IEC 62056-5-3 clause 7.3): one shape for all, told apart by `service`.

GET C0/C4, SET C1/C5, EventNotification C2, ACTION C3/C7, DataNotification 0F, ExceptionResponse D8,
ConfirmedServiceError 0E. Ciphered forms are opened by `security` before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from wattkeeper.protocols.dlms import axdr
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.errors import ApduDamaged
from wattkeeper.protocols.dlms.obis import Obis

DATA_NOTIFICATION = 0x0F


class Descriptor(NamedTuple):
    """An attribute or method of an object: `attribute` is its number."""

    class_id: int
    obis: Obis
    attribute: int


class Access(NamedTuple):
    """Selective access: 1 by range, 2 by entry for class 7."""

    selector: int
    parameter: Value


class Result(NamedTuple):
    """One answer: `result` 0 is success; `value` where the service returns one."""

    result: int
    value: Value = None


class Block(NamedTuple):
    """One block of a long APDU."""

    number: int
    is_last: bool
    octets: bytes


class Target(NamedTuple):
    """What a request is about."""

    descriptor: Descriptor
    access: Access | None = None


@dataclass(slots=True)
class Apdu:
    """A decoded APDU; what a service has not stays empty. `invoke` is the invoke-id-and-priority byte."""

    service: str
    invoke: int = 0
    targets: list[Target] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    block: Block | None = None
    block_number: int = 0
    date_time: bytes = b""
    error: tuple[int, ...] = ()


class _Reader:
    """A place in an APDU. Every read is bounded by its end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def octets(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ApduDamaged("dlms.data-cut")
        octets = self.data[self.at : end]
        self.at = end
        return octets

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.octets(size), "big")

    def sized_octets(self) -> bytes:
        octets, self.at = axdr.take_octets(self.data, self.at)
        return octets

    def value(self) -> Value:
        value, self.at = axdr.decode_from(self.data, self.at)
        return value

    def count(self) -> int:
        count, self.at = axdr.decode_length(self.data, self.at)
        if count > len(self.data) - self.at:
            raise ApduDamaged("dlms.data-cut")
        return count

    def choice(self) -> bool:
        """Return whether the optional part, or the second choice, is there."""
        flag = self.number()
        if flag > 1:
            raise ApduDamaged("dlms.bad-choice", choice=flag)
        return bool(flag)

    def descriptor(self) -> Descriptor:
        octets = self.octets(9)
        return Descriptor(octets[0] << 8 | octets[1], Obis.from_bytes(octets[2:8]), octets[8])

    def target(self) -> Target:
        descriptor = self.descriptor()
        return Target(descriptor, Access(self.number(), self.value()) if self.choice() else None)

    def data_or_result(self) -> Result:
        return Result(self.number()) if self.choice() else Result(0, self.value())

    def action_result(self) -> Result:
        result = self.number()
        if not self.choice():
            return Result(result)
        returned = self.data_or_result()
        return Result(result or returned.result, returned.value)

    def block(self) -> Block:
        is_last, number = bool(self.number()), self.number(4)
        return Block(number, is_last, self.sized_octets())


def _get_request_normal(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target()]


def _block_number(r: _Reader, a: Apdu) -> None:
    a.block_number = r.number(4)


def _get_request_list(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target() for _ in range(r.count())]


def _set_request_normal(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target()]
    a.values = [r.value()]


def _set_request_first_block(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target()]
    a.block = r.block()


def _block(r: _Reader, a: Apdu) -> None:
    a.block = r.block()


def _set_request_list(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target() for _ in range(r.count())]
    a.values = [r.value() for _ in range(r.count())]


def _set_request_list_first_block(r: _Reader, a: Apdu) -> None:
    a.targets = [r.target() for _ in range(r.count())]
    a.block = r.block()


def _action_request_normal(r: _Reader, a: Apdu) -> None:
    a.targets = [Target(r.descriptor())]
    a.values = [r.value()] if r.choice() else []


def _action_request_list(r: _Reader, a: Apdu) -> None:
    a.targets = [Target(r.descriptor()) for _ in range(r.count())]
    a.values = [r.value() for _ in range(r.count())]


def _action_request_first_block(r: _Reader, a: Apdu) -> None:
    a.targets = [Target(r.descriptor())]
    a.block = r.block()


def _action_request_list_first_block(r: _Reader, a: Apdu) -> None:
    a.targets = [Target(r.descriptor()) for _ in range(r.count())]
    a.block = r.block()


def _get_response_normal(r: _Reader, a: Apdu) -> None:
    a.results = [r.data_or_result()]


def _get_response_block(r: _Reader, a: Apdu) -> None:
    is_last, number = bool(r.number()), r.number(4)
    if r.choice():
        a.results = [Result(r.number())]
        a.block_number = number
    else:
        a.block = Block(number, is_last, r.sized_octets())


def _get_response_list(r: _Reader, a: Apdu) -> None:
    a.results = [r.data_or_result() for _ in range(r.count())]


def _set_response_normal(r: _Reader, a: Apdu) -> None:
    a.results = [Result(r.number())]


def _set_response_last_block(r: _Reader, a: Apdu) -> None:
    a.results = [Result(r.number())]
    a.block_number = r.number(4)


def _set_response_list(r: _Reader, a: Apdu) -> None:
    a.results = [Result(r.number()) for _ in range(r.count())]


def _set_response_list_last_block(r: _Reader, a: Apdu) -> None:
    _set_response_list(r, a)
    a.block_number = r.number(4)


def _action_response_normal(r: _Reader, a: Apdu) -> None:
    a.results = [r.action_result()]


def _action_response_list(r: _Reader, a: Apdu) -> None:
    a.results = [r.action_result() for _ in range(r.count())]


_TYPES: dict[tuple[int, int], tuple[str, Callable[[_Reader, Apdu], None]]] = {
    (0xC0, 1): ("get-request-normal", _get_request_normal),
    (0xC0, 2): ("get-request-next", _block_number),
    (0xC0, 3): ("get-request-with-list", _get_request_list),
    (0xC1, 1): ("set-request-normal", _set_request_normal),
    (0xC1, 2): ("set-request-with-first-datablock", _set_request_first_block),
    (0xC1, 3): ("set-request-with-datablock", _block),
    (0xC1, 4): ("set-request-with-list", _set_request_list),
    (0xC1, 5): ("set-request-with-list-and-first-datablock", _set_request_list_first_block),
    (0xC3, 1): ("action-request-normal", _action_request_normal),
    (0xC3, 2): ("action-request-next-pblock", _block_number),
    (0xC3, 3): ("action-request-with-list", _action_request_list),
    (0xC3, 4): ("action-request-with-first-pblock", _action_request_first_block),
    (0xC3, 5): ("action-request-with-list-and-first-pblock", _action_request_list_first_block),
    (0xC3, 6): ("action-request-with-pblock", _block),
    (0xC4, 1): ("get-response-normal", _get_response_normal),
    (0xC4, 2): ("get-response-with-datablock", _get_response_block),
    (0xC4, 3): ("get-response-with-list", _get_response_list),
    (0xC5, 1): ("set-response-normal", _set_response_normal),
    (0xC5, 2): ("set-response-datablock", _block_number),
    (0xC5, 3): ("set-response-last-datablock", _set_response_last_block),
    (0xC5, 4): ("set-response-last-datablock-with-list", _set_response_list_last_block),
    (0xC5, 5): ("set-response-with-list", _set_response_list),
    (0xC7, 1): ("action-response-normal", _action_response_normal),
    (0xC7, 2): ("action-response-with-pblock", _block),
    (0xC7, 3): ("action-response-with-list", _action_response_list),
    (0xC7, 4): ("action-response-next-pblock", _block_number),
}


def decode_apdu(data: bytes) -> Apdu:
    """
    Return the fields of one whole, plain service APDU.

    :raises ApduDamaged: if it is cut, too long, of no known service or breaks a bound
    """
    apdu, end = decode_apdu_from(data, 0)
    if end != len(data):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(data) - end)
    return apdu


def decode_apdu_from(data: bytes, at: int) -> tuple[Apdu, int]:
    """
    Return the plain service APDU that starts at byte `at` and the index of the byte after it.

    :raises ApduDamaged: if it is cut, of no known service or breaks a bound
    """
    reader = _Reader(data, at)
    tag = reader.number()
    if tag == DATA_NOTIFICATION:
        apdu = _data_notification(reader)
    elif tag == 0xC2:
        apdu = _event_notification(reader)
    elif tag == 0xD8:
        apdu = _exception_response(reader)
    elif tag == 0x0E:
        apdu = Apdu("confirmed-service-error", error=tuple(reader.octets(3)))
    else:
        service, read = _TYPES.get((tag, reader.number()), ("", _block))
        if not service:
            raise ApduDamaged("dlms.unknown-service", octets=data[at : at + 2].hex())
        apdu = Apdu(service, reader.number())
        read(reader, apdu)
    return apdu, reader.at


def decode_results(octets: bytes) -> list[Result]:
    """
    Return the list of a get-response-with-list that came in blocks.

    :raises ApduDamaged: if it is not one
    """
    reader = _Reader(octets, 0)
    results = [reader.data_or_result() for _ in range(reader.count())]
    if reader.at != len(octets):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(octets) - reader.at)
    return results


def _data_notification(reader: _Reader) -> Apdu:
    """Decode a push. Its date-time is written as 0C + 12 octets, tagged 09 0C + 12 octets, or 00."""
    invoke = reader.number(4)
    if reader.data[reader.at : reader.at + 2] == b"\x09\x0c":
        reader.at += 1
    date_time = reader.sized_octets()
    if len(date_time) not in (0, 12):
        raise ApduDamaged("dlms.bad-date-time", byte_count=len(date_time))
    return Apdu("data-notification", invoke, values=[reader.value()], date_time=date_time)


def _event_notification(reader: _Reader) -> Apdu:
    date_time = reader.sized_octets() if reader.choice() else b""
    target = Target(reader.descriptor())
    return Apdu("event-notification", targets=[target], values=[reader.value()], date_time=date_time)


def _exception_response(reader: _Reader) -> Apdu:
    state, service = reader.octets(2)
    error = (state, service, reader.number(4)) if service == 6 else (state, service)
    return Apdu("exception-response", error=error)
