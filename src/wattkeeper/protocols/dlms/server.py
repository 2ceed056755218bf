"""A DLMS server session: request APDUs in, answer APDUs out. No I/O, no clock, no randomness.

    model = ObjectModel()
    model.add_register(Obis(1, 0, 1, 8, 0), lambda: double_long_unsigned(wh), scaler=0, unit=30)
    security = ServerSecurity(system_title=b"WTK00001", keys=Keys(guek, gak))     # one a meter, kept
    session = ServerSession(model, {1: GMAC_CLIENT, 16: PUBLIC_CLIENT}, security, make_challenge)
    answer = session.feed(apdu, client_sap)                                       # one session a connection

`feed` never raises for anything a peer can send: it answers with the service error of the standard. An empty
answer means that none is due. `security.latest_client_counter` rises with every accepted APDU and is what an
invocation counter object shows; keep it and `security.counter` with the meter, not with the connection.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from wattkeeper.protocols.dlms import acse, initiate, security, services
from wattkeeper.protocols.dlms.acse import AssociationRequest, AssociationResponse, Mechanism
from wattkeeper.protocols.dlms.apdus import Apdu, Descriptor, decode_apdu
from wattkeeper.protocols.dlms.errors import DlmsError, SecurityFailed, ServiceRefused
from wattkeeper.protocols.dlms.objects import CLASS_ASSOCIATION, CURRENT_ASSOCIATION, ObjectModel, refused
from wattkeeper.protocols.dlms.responder import GMAC_CLIENT, PUBLIC_CLIENT, Association, Responder
from wattkeeper.protocols.dlms.security import Ciphered, Keys
from wattkeeper.protocols.dlms.services import DataAccessResult, ServiceError, StateError

__all__ = ["GMAC_CLIENT", "PUBLIC_CLIENT", "Association", "ObjectModel", "ServerSecurity", "ServerSession"]

CONFORMANCE = (
    initiate.GENERAL_PROTECTION
    | initiate.BLOCK_TRANSFER_GET
    | initiate.MULTIPLE_REFERENCES
    | initiate.GET
    | initiate.SET
    | initiate.SELECTIVE_ACCESS
    | initiate.ACTION
)
MIN_PDU_BYTES = 64
_HLS_REPLY = Descriptor(CLASS_ASSOCIATION, CURRENT_ASSOCIATION, 1)


@dataclass(slots=True)
class ServerSecurity:
    """The keys and counters of one meter, shared by its sessions. `counter` is the next one to send."""

    system_title: bytes
    keys: Keys = field(repr=False)
    counter: int = 1
    latest_client_counter: int = 0

    def take_counter(self) -> int:
        """Return the counter for the next APDU or GMAC."""
        counter = self.counter
        self.counter += 1
        return counter


class _State(Enum):
    IDLE = "idle"
    CHALLENGED = "challenged"
    OPEN = "open"


class ServerSession:
    """One connection's session; see the module's text.

    `make_challenge()` returns 8 to 64 random bytes.
    """

    def __init__(
        self,
        model: ObjectModel,
        associations: Mapping[int, Association],
        server_security: ServerSecurity,
        make_challenge: Callable[[], bytes],
        *,
        max_pdu_bytes: int = 1024,
    ) -> None:
        self._model = model
        self._associations = associations
        self._security = server_security
        self._make_challenge = make_challenge
        self._max_pdu_bytes = max(max_pdu_bytes, MIN_PDU_BYTES)
        self._reset()

    def _reset(self) -> None:
        self._state = _State.IDLE
        self._association = PUBLIC_CLIENT
        self._client_sap = -1
        self._client_title = b""
        self._client_challenge = b""
        self._challenge = b""
        self._dedicated = Keys(b"")
        self._latest_dedicated_counter = -1
        self._responder = Responder(self._model, PUBLIC_CLIENT, self._max_pdu_bytes)

    @property
    def is_open(self) -> bool:
        """Whether a client is associated."""
        return self._state is _State.OPEN

    def feed(self, apdu: bytes, client_sap: int) -> bytes:
        """Return the answer to one request APDU of the client at `client_sap`."""
        try:
            return self._answer(apdu, client_sap)
        except SecurityFailed as error:
            if error.code == "dlms.counter-replayed":
                lowest = min(self._security.latest_client_counter + 1, security.MAX_COUNTER)
                return services.exception_response(1, ServiceError.INVOCATION_COUNTER_ERROR, lowest)
            return _exception(ServiceError.DECIPHERING_ERROR)
        except ServiceRefused:
            return _exception(ServiceError.OPERATION_NOT_POSSIBLE)
        except DlmsError:
            return services.exception_response(
                StateError.SERVICE_UNKNOWN, ServiceError.OPERATION_NOT_POSSIBLE
            )

    def _answer(self, apdu: bytes, client_sap: int) -> bytes:
        if apdu[:1] == bytes((acse.AARQ,)):
            return self._associate(acse.decode_request(apdu), client_sap)
        if self._state is _State.IDLE or client_sap != self._client_sap:
            raise refused(DataAccessResult.READ_WRITE_DENIED)
        if apdu[:1] == bytes((acse.RLRQ,)):
            return self._release(apdu)
        ciphered = security.unwrap(apdu)
        if ciphered is None:
            if self._association.is_ciphered:
                raise refused(DataAccessResult.READ_WRITE_DENIED)
            return self._serve(apdu)
        return self._seal(self._serve(self._open(ciphered)), apdu[0])

    # Association

    def _associate(self, request: AssociationRequest, client_sap: int) -> bytes:
        self._reset()
        association = self._associations.get(client_sap)
        if association is None:
            return _rejected(request, acse.NO_REASON)
        diagnostic = _objection(association, request)
        if diagnostic:
            return _rejected(request, diagnostic)
        self._association, self._client_sap = association, client_sap
        self._client_title, self._client_challenge = request.system_title, request.authentication
        proposed = self._initiate_request(request.user_information)
        wanted = proposed.max_pdu_bytes or 0xFFFF
        if wanted < MIN_PDU_BYTES:
            return _rejected(request, acse.NO_REASON)
        self._responder = Responder(self._model, association, min(wanted, self._max_pdu_bytes))
        self._dedicated = Keys(proposed.dedicated_key, self._security.keys.authentication)
        return self._accepted(request, proposed.conformance & CONFORMANCE)

    def _initiate_request(self, information: bytes) -> initiate.InitiateRequest:
        if self._association.is_ciphered:
            ciphered = security.unwrap(information)
            if ciphered is None:
                raise SecurityFailed("dlms.not-ciphered")
            information = self._open(ciphered)
        return initiate.decode_request(information)

    def _accepted(self, request: AssociationRequest, conformance: int) -> bytes:
        is_hls = self._association.mechanism > Mechanism.LLS
        information = initiate.InitiateResponse(conformance, self._max_pdu_bytes).encode()
        if self._association.is_ciphered:
            information = self._seal(information, 0x21)
        self._challenge = self._make_challenge() if is_hls else b""
        self._state = _State.CHALLENGED if is_hls else _State.OPEN
        return AssociationResponse(
            context=request.context,
            result=acse.ACCEPTED,
            diagnostic=acse.AUTHENTICATION_REQUIRED if is_hls else 0,
            user_information=information,
            mechanism=request.mechanism,
            system_title=self._security.system_title if self._association.is_ciphered else b"",
            authentication=self._challenge,
        ).encode()

    def _release(self, apdu: bytes) -> bytes:
        information = acse.decode_release(apdu)
        if information and self._association.is_ciphered:
            ciphered = security.unwrap(information)
            if ciphered is None:
                raise SecurityFailed("dlms.not-ciphered")
            self._open(ciphered)
            response = initiate.InitiateResponse(CONFORMANCE, self._max_pdu_bytes).encode()
            information = self._seal(response, 0x21)
        else:
            information = b""
        self._reset()
        return acse.encode_release(acse.RLRE, information)

    def _check_hls(self, apdu: Apdu) -> bytes:
        answer = apdu.values[0] if apdu.values else None
        self._state = _State.IDLE
        if not isinstance(answer, bytes):
            return services.action_response(apdu.invoke, DataAccessResult.TYPE_UNMATCHED)
        keys = self._security.keys
        try:
            security.check_gmac(answer, self._challenge, keys=keys, system_title=self._client_title)
        except DlmsError:
            return services.action_response(apdu.invoke, DataAccessResult.READ_WRITE_DENIED)
        self._state = _State.OPEN
        proof = security.gmac(
            self._client_challenge,
            keys=keys,
            system_title=self._security.system_title,
            counter=self._security.take_counter(),
        )
        return services.action_response(apdu.invoke, DataAccessResult.SUCCESS, b"\x09\x11" + proof)

    # Ciphering

    def _open(self, ciphered: Ciphered) -> bytes:
        if ciphered.system_title not in (b"", self._client_title):
            raise SecurityFailed("dlms.foreign-system-title")
        keys = self._dedicated if ciphered.is_dedicated else self._security.keys
        opened = security.unprotect(ciphered.text, keys=keys, system_title=self._client_title)
        if opened.security_control & security.AUTHENTICATED_ENCRYPTED != security.AUTHENTICATED_ENCRYPTED:
            raise SecurityFailed("dlms.not-ciphered")
        plain = ciphered.check_service(opened.plain)
        if ciphered.is_dedicated:
            latest = self._latest_dedicated_counter
            self._latest_dedicated_counter = security.check_counter(opened.counter, latest)
        else:
            latest = self._security.latest_client_counter
            self._security.latest_client_counter = security.check_counter(opened.counter, latest)
        return plain

    def _seal(self, answer: bytes, request_tag: int) -> bytes:
        """Return `answer` ciphered the way the request was; errors that have no ciphered form stay plain."""
        if answer[0] not in security.GLOBAL_TAGS:
            return answer
        is_dedicated = request_tag == security.GENERAL_DEDICATED or 0xD0 <= request_tag <= 0xD7
        text = security.protect(
            answer,
            keys=self._dedicated if is_dedicated else self._security.keys,
            system_title=self._security.system_title,
            counter=self._security.take_counter(),
            security_control=security.AUTHENTICATED_ENCRYPTED,
        )
        if request_tag == security.GENERAL_GLOBAL:
            return security.wrap_general(self._security.system_title, text)
        return security.wrap_dedicated(answer, text) if is_dedicated else security.wrap_global(answer, text)

    def _serve(self, plain: bytes) -> bytes:
        apdu = decode_apdu(plain)
        if self._state is _State.OPEN:
            return self._responder.respond(apdu)
        if apdu.service == "action-request-normal" and apdu.targets[0].descriptor == _HLS_REPLY:
            return self._check_hls(apdu)
        raise refused(DataAccessResult.READ_WRITE_DENIED)


def _exception(error: ServiceError) -> bytes:
    return services.exception_response(StateError.SERVICE_NOT_ALLOWED, error)


def _objection(association: Association, request: AssociationRequest) -> int:
    """Return the diagnostic with which `request` is rejected, 0 if it is fit."""
    context = acse.CONTEXT_LN_CIPHERED if association.is_ciphered else acse.CONTEXT_LN
    if request.mechanism != association.mechanism:
        is_bare = request.mechanism == Mechanism.NONE
        return acse.AUTHENTICATION_REQUIRED if is_bare else acse.MECHANISM_NOT_RECOGNISED
    if request.context != context:
        return acse.CONTEXT_NOT_SUPPORTED
    if association.mechanism is Mechanism.LLS:
        is_right = hmac.compare_digest(request.authentication, association.password)
        return 0 if is_right else acse.AUTHENTICATION_FAILURE
    if association.is_ciphered:
        is_fit = len(request.system_title) == 8 and 8 <= len(request.authentication) <= 64
        return 0 if is_fit else acse.AUTHENTICATION_FAILURE
    return 0


def _rejected(request: AssociationRequest, diagnostic: int) -> bytes:
    return AssociationResponse(request.context, acse.REJECTED, diagnostic).encode()
