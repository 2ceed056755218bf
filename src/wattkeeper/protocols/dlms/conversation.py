"""What APDUs overheard in order mean: keys and titles, blocks, which answer belongs to which request."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from wattkeeper.protocols.dlms import acse, axdr, gbt, initiate, objects, security
from wattkeeper.protocols.dlms.apdus import (
    DATA_NOTIFICATION,
    Apdu,
    Descriptor,
    Result,
    Target,
    decode_apdu,
    decode_results,
)
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.errors import ApduDamaged, SecurityFailed
from wattkeeper.protocols.dlms.notification import Entry, ScalerUnit, decode_body
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.readings import Reading, instant_text, list_readings, obis_of, to_reading
from wattkeeper.protocols.dlms.security import Ciphered, Keys

T = TypeVar("T")
_MAX_NESTING = 4
_SERVICES = {
    0x01: "initiate-request",
    0x08: "initiate-response",
    DATA_NOTIFICATION: "data-notification",
    0x21: "glo-initiate-request",
    0x28: "glo-initiate-response",
    0x60: "aarq",
    0x61: "aare",
    0x62: "rlrq",
    0x63: "rlre",
    0xC0: "get-request",
    0xC1: "set-request",
    0xC2: "event-notification",
    0xC3: "action-request",
    0xC4: "get-response",
    0xC5: "set-response",
    0xC7: "action-response",
    0xC8: "glo-get-request",
    0xC9: "glo-set-request",
    0xCA: "glo-event-notification",
    0xCB: "glo-action-request",
    0xCC: "glo-get-response",
    0xCD: "glo-set-response",
    0xCF: "glo-action-response",
    0xD0: "ded-get-request",
    0xD1: "ded-set-request",
    0xD2: "ded-event-notification",
    0xD3: "ded-action-request",
    0xD4: "ded-get-response",
    0xD5: "ded-set-response",
    0xD7: "ded-action-response",
    0xD8: "exception-response",
    0xDB: "general-glo-ciphering",
    0xDC: "general-ded-ciphering",
    0x0E: "confirmed-service-error",
    gbt.TAG: "general-block-transfer",
}
_REQUEST_TAGS = frozenset((0x21, 0xC8, 0xC9, 0xCB, 0xD0, 0xD1, 0xD3))
_REGISTER_CLASSES = (3, 4, 5)


def service_name(apdu: bytes) -> str | None:
    """Return what the first byte of `apdu` says it is, None if that is no APDU."""
    return _SERVICES.get(apdu[0]) if apdu else None


class Known(NamedTuple):
    """What a meter's objects said of themselves: scaler and unit of registers, columns of profiles."""

    scaler_units: Mapping[Obis, ScalerUnit]
    columns: Mapping[Obis, list[Descriptor | None]]


NOTHING_KNOWN = Known({}, {})


class Conversation:
    """Everything heard so far. Keys by name: ``guek``, ``gak``, and where no AARQ or AARE is among what is
    heard, ``client_title`` and ``server_title``. `known`: what the meter will say later, if that is known.
    """

    def __init__(self, keys: Mapping[str, bytes], known: Known = NOTHING_KNOWN) -> None:
        self._keys = Keys(keys.get("guek", b""), keys.get("gak", b""))
        self._dedicated_key = b""
        self._client_title = keys.get("client_title", b"")
        self._server_title = keys.get("server_title", b"")
        self._general_blocks = gbt.Assembler(1)
        self._blocks = gbt.Assembler(1)
        self._targets: dict[int, list[Target]] = {}
        self._scaler_units: dict[Obis, ScalerUnit] = dict(known.scaler_units)
        self._columns: dict[Obis, list[Descriptor | None]] = dict(known.columns)
        self._contradicted: set[Obis] = set()
        self._is_one_meter = True

    def learnt(self) -> Known:
        """Return what the meter said of its objects, contradictions left out; nothing if meters are mixed."""
        if not self._is_one_meter:
            return NOTHING_KNOWN
        scaler_units = {o: pair for o, pair in self._scaler_units.items() if o not in self._contradicted}
        columns = {o: found for o, found in self._columns.items() if o not in self._contradicted}
        return Known(scaler_units, columns)

    def hear(self, apdu: bytes, nesting: int = 0) -> tuple[str, list[Reading]]:
        """
        Return the service of `apdu` and the readings in it.

        :raises DlmsError: if it is damaged or cannot be opened
        """
        service = service_name(apdu)
        if service is None or nesting > _MAX_NESTING:
            raise ApduDamaged("dlms.unknown-service", octets=apdu[:2].hex())
        tag = apdu[0]
        if tag == gbt.TAG:
            block = gbt.decode_block(apdu)
            whole = self._general_blocks.add(block.number, block.octets, is_last=block.is_last)
            return (service, []) if whole is None else self.hear(whole, nesting + 1)
        ciphered = security.unwrap(apdu)
        if ciphered is not None:
            return self._hear_opened(ciphered, tag, nesting + 1)
        if tag == DATA_NOTIFICATION:
            return service, _notification(apdu)
        if tag in (acse.AARQ, acse.AARE, acse.RLRQ, acse.RLRE):
            self._associate(apdu)
            return service, []
        if tag in (initiate.REQUEST_TAG, initiate.RESPONSE_TAG):
            self._initiate(apdu)
            return service, []
        heard = decode_apdu(apdu)
        return heard.service, self._service(heard)

    def _hear_opened(self, ciphered: Ciphered, tag: int, nesting: int) -> tuple[str, list[Reading]]:
        """Where no tag proves the key, only sense can: nonsense is a wrong key."""
        plain = self._open(ciphered, tag)
        try:
            return self.hear(plain, nesting)
        except ApduDamaged:
            control = ciphered.text[0]
            is_tagged = bool(self._keys.authentication and control & security.AUTHENTICATED)
            if is_tagged or not control & security.ENCRYPTED:
                raise
            raise SecurityFailed("dlms.wrong-key") from None

    def _open(self, ciphered: Ciphered, tag: int) -> bytes:
        title = ciphered.system_title
        if not title:
            title = self._client_title if tag in _REQUEST_TAGS else self._server_title
        keys = Keys(self._dedicated_key, self._keys.authentication) if ciphered.is_dedicated else self._keys
        if not keys.block:
            raise SecurityFailed("dlms.no-key")
        if keys.authentication:
            return security.unprotect(ciphered.text, keys=keys, system_title=title).plain
        return security.open_unverified(ciphered.text, keys=keys, system_title=title).plain

    def _associate(self, apdu: bytes) -> None:
        if apdu[0] == acse.AARQ:
            request = acse.decode_request(apdu)
            self._client_title = request.system_title or self._client_title
            self._dedicated_key, information = b"", request.user_information
        elif apdu[0] == acse.AARE:
            response = acse.decode_response(apdu)
            self._meet(response.system_title)
            information = response.user_information
        else:
            information = acse.decode_release(apdu)
        if information:
            self.hear(information, _MAX_NESTING - 1)

    def _meet(self, server_title: bytes) -> None:
        """Forget what another meter said."""
        if server_title and self._server_title and server_title != self._server_title:
            self._is_one_meter = False
            self._scaler_units.clear()
            self._columns.clear()
        self._server_title = server_title or self._server_title

    def _initiate(self, apdu: bytes) -> None:
        if apdu[0] == initiate.REQUEST_TAG:
            self._dedicated_key = initiate.decode_request(apdu).dedicated_key
        else:
            initiate.decode_response(apdu)

    def _service(self, heard: Apdu) -> list[Reading]:
        invoke_id = heard.invoke & 0x0F
        if heard.service.startswith("get-request") and heard.targets:
            self._targets[invoke_id] = heard.targets
        elif heard.service == "event-notification":
            entry = Entry(heard.targets[0].descriptor.obis, heard.values[0])
            return [to_reading(entry, instant_text(heard.date_time))]
        elif heard.service == "get-response-with-datablock" and heard.block is not None:
            whole = self._blocks.add(heard.block.number, heard.block.octets, is_last=heard.block.is_last)
            return [] if whole is None else self._long_answer(whole, self._targets.get(invoke_id, []))
        elif heard.service.startswith("get-response"):
            return self._answers(heard.results, self._targets.get(invoke_id, []))
        return []

    def _long_answer(self, whole: bytes, targets: Sequence[Target]) -> list[Reading]:
        if len(targets) > 1:
            return self._answers(decode_results(whole), targets)
        value, _ = axdr.decode_from(
            whole, 0
        )  # a server was seen to send an empty array in each of two blocks
        return self._answers([Result(0, value)], targets)

    def _answers(self, results: Sequence[Result], targets: Sequence[Target]) -> list[Reading]:
        readings: list[Reading] = []
        for result, target in zip(results, targets, strict=False):
            if result.result == 0:
                readings += self._attribute(target.descriptor, result.value)
        return readings

    def _attribute(self, descriptor: Descriptor, value: Value) -> list[Reading]:
        """Return the readings in an attribute; scalers and columns are remembered for what follows."""
        class_id, obis, attribute = descriptor
        if class_id in _REGISTER_CLASSES and attribute == 3:
            match value:
                case [int(scaler), int(unit)] if -128 <= scaler <= 127:
                    self._note(self._scaler_units, obis, (scaler, unit))
            return []
        if class_id == objects.CLASS_PROFILE and attribute == 3 and isinstance(value, list):
            self._note(self._columns, obis, [_column(item) for item in value])
            return []
        if class_id == objects.CLASS_PROFILE and attribute == 2 and isinstance(value, list):
            return [reading for row in value for reading in self._record(row, self._columns.get(obis, []))]
        if isinstance(value, list) or attribute == 1:
            return []
        return [to_reading(Entry(obis, value, self._scaler_units.get(obis)))]

    def _note(self, notes: dict[Obis, T], obis: Obis, said: T) -> None:
        if notes.setdefault(obis, said) != said:
            self._contradicted.add(obis)
            notes[obis] = said

    def _record(self, row: Value, columns: Sequence[Descriptor | None]) -> list[Reading]:
        if not isinstance(row, list) or len(row) != len(columns):
            return []
        measured_at, readings = None, []
        for column, value in zip(columns, row, strict=True):
            if column is not None and column.class_id == objects.CLASS_CLOCK:
                measured_at = instant_text(value)
        for column, value in zip(columns, row, strict=True):
            if column is not None and column.class_id != objects.CLASS_CLOCK and value is not None:
                entry = Entry(column.obis, value, self._scaler_units.get(column.obis))
                readings.append(to_reading(entry, measured_at))
        return readings


def _column(definition: Value) -> Descriptor | None:
    match definition:
        case [int(class_id), bytes(octets), int(attribute), int()]:
            obis = obis_of(octets)
            return None if obis is None else Descriptor(class_id, obis, attribute)
    return None


def _notification(apdu: bytes) -> list[Reading]:
    """Read a push whose body may be malformed in the ways that `notification` knows."""
    at = 6 if apdu[5:7] == b"\x09\x0c" else 5
    sent_at, at = axdr.take_octets(apdu, at)
    return list_readings(decode_body(apdu[at:]), sent_at)
