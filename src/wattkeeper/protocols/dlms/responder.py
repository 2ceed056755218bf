"""The services of a DLMS server behind its association: GET, SET, ACTION on an object model, long answers."""

from dataclasses import dataclass, field

from wattkeeper.protocols.dlms import services
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.apdus import Apdu, Target
from wattkeeper.protocols.dlms.errors import ApduDamaged, ServiceRefused
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.objects import (
    CLASS_PROFILE,
    INVOCATION_COUNTER,
    LOGICAL_DEVICE_NAME,
    SERIAL_NUMBER,
    ObjectModel,
)
from wattkeeper.protocols.dlms.services import DataAccessResult, ServiceError, StateError

_BLOCK_OVERHEAD_BYTES = 48  # ciphering, system title, lengths and block head together


@dataclass(frozen=True, slots=True)
class Association:
    """What a client SAP must prove and may do. `readable` None is everything."""

    mechanism: Mechanism
    password: bytes = field(default=b"", repr=False)
    is_read_only: bool = False
    readable: frozenset[Obis] | None = None

    @property
    def is_ciphered(self) -> bool:
        """Whether every APDU must be authenticated and encrypted."""
        return self.mechanism is Mechanism.HLS_GMAC


GMAC_CLIENT = Association(Mechanism.HLS_GMAC)
PUBLIC_CLIENT = Association(
    Mechanism.NONE,
    is_read_only=True,
    readable=frozenset((LOGICAL_DEVICE_NAME, SERIAL_NUMBER, INVOCATION_COUNTER)),
)


@dataclass(slots=True)
class _LongAnswer:
    invoke: int
    octets: bytes
    block_number: int = 0
    used_bytes: int = 0


class Responder:
    """Answers the plain requests of one association; an answer longer than `pdu_bytes` goes in blocks."""

    def __init__(self, model: ObjectModel, association: Association, pdu_bytes: int) -> None:
        self._model = model
        self._association = association
        self._pdu_bytes = pdu_bytes
        self._long: _LongAnswer | None = None

    def respond(self, apdu: Apdu) -> bytes:
        """Return the answer to `apdu`; refusals are answers too."""
        if apdu.service == "get-request-next":
            return self._next_block(apdu)
        self._long = None
        if apdu.service == "get-request-normal":
            return self._get(apdu)
        if apdu.service == "get-request-with-list":
            results = services.get_results([self._read(target) for target in apdu.targets])
            return self._fitted(apdu.invoke, bytes((0xC4, 3, apdu.invoke)) + results, results)
        if apdu.service == "set-request-normal":
            return services.set_response(apdu.invoke, self._set(apdu))
        if apdu.service == "action-request-normal":
            return self._act(apdu)
        return services.exception_response(StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED)

    def _get(self, apdu: Apdu) -> bytes:
        data = self._read(apdu.targets[0])
        if isinstance(data, int):
            return services.get_response_error(apdu.invoke, data)
        return self._fitted(apdu.invoke, services.get_response(apdu.invoke, data), data)

    def _read(self, target: Target) -> bytes | int:
        """Return the attribute's fragment, or the data access result that refuses it."""
        descriptor, access = target
        get = self._model.getters.get(descriptor)
        readable = self._association.readable
        if get is None:
            return DataAccessResult.OBJECT_UNDEFINED
        if readable is not None and descriptor.obis not in readable:
            return DataAccessResult.READ_WRITE_DENIED
        try:
            if access is None:
                return get()
            if descriptor.class_id != CLASS_PROFILE or descriptor.attribute != 2:
                return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
            return self._model.profiles[descriptor.obis].buffer(access)
        except ServiceRefused as error:
            return error.result
        except ApduDamaged:
            return DataAccessResult.TYPE_UNMATCHED

    def _set(self, apdu: Apdu) -> int:
        descriptor, access = apdu.targets[0]
        setter = self._model.setters.get(descriptor)
        if setter is None or access is not None or self._association.is_read_only:
            return DataAccessResult.READ_WRITE_DENIED
        try:
            setter(apdu.values[0])
        except ServiceRefused as error:
            return error.result
        except ApduDamaged:
            return DataAccessResult.TYPE_UNMATCHED
        return DataAccessResult.SUCCESS

    def _act(self, apdu: Apdu) -> bytes:
        method = self._model.methods.get(apdu.targets[0].descriptor)
        if method is None or self._association.is_read_only:
            return services.action_response(apdu.invoke, DataAccessResult.READ_WRITE_DENIED)
        try:
            returned = method(apdu.values[0] if apdu.values else None)
        except ServiceRefused as error:
            return services.action_response(apdu.invoke, error.result)
        except ApduDamaged:
            return services.action_response(apdu.invoke, DataAccessResult.TYPE_UNMATCHED)
        return services.action_response(apdu.invoke, DataAccessResult.SUCCESS, returned)

    # Long answers

    def _fitted(self, invoke: int, answer: bytes, payload: bytes) -> bytes:
        if len(answer) <= self._pdu_bytes - _BLOCK_OVERHEAD_BYTES:
            return answer
        self._long = _LongAnswer(invoke, payload)
        return self._send_block(self._long)

    def _next_block(self, apdu: Apdu) -> bytes:
        long_answer = self._long
        if long_answer is None:
            result = DataAccessResult.NO_LONG_GET_IN_PROGRESS
            return services.get_response_block_error(apdu.invoke, apdu.block_number, result)
        if apdu.block_number != long_answer.block_number:
            self._long = None
            result = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
            return services.get_response_block_error(apdu.invoke, apdu.block_number, result)
        return self._send_block(long_answer)

    def _send_block(self, long_answer: _LongAnswer) -> bytes:
        start = long_answer.used_bytes
        octets = long_answer.octets[start : start + max(self._pdu_bytes - _BLOCK_OVERHEAD_BYTES, 16)]
        long_answer.used_bytes += len(octets)
        long_answer.block_number += 1
        is_last = long_answer.used_bytes >= len(long_answer.octets)
        if is_last:
            self._long = None
        return services.get_response_block(
            long_answer.invoke, long_answer.block_number, octets, is_last=is_last
        )
