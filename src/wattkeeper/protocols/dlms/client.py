"""A DLMS client session: generators that yield request APDUs and are sent answer APDUs. No I/O, no clock.

    association = ClientAssociation(Mechanism.HLS_GMAC, system_title=title, keys=keys)
    session = ClientSession(association, take_counter, challenge)
    yield from session.associate()
    value = yield from session.get(Descriptor(3, Obis(1, 0, 1, 8, 0), 2))

`take_counter()` returns an invocation counter that was never used before under the key: whoever gives it has
made that durable. `challenge` is 8 to 64 random bytes, new for every session.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from wattkeeper.protocols.dlms import acse, axdr, initiate, security, services
from wattkeeper.protocols.dlms.acse import AssociationRequest, AssociationResponse, Mechanism
from wattkeeper.protocols.dlms.apdus import Apdu, Descriptor, Result, decode_apdu, decode_results
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.encoding import octet_string
from wattkeeper.protocols.dlms.errors import ApduDamaged, SecurityFailed, ServiceRefused
from wattkeeper.protocols.dlms.objects import CLASS_ASSOCIATION, CURRENT_ASSOCIATION
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.services import ServiceError

T = TypeVar("T")
Exchange = Generator[bytes, bytes, T]

CONFORMANCE = (
    initiate.BLOCK_TRANSFER_GET
    | initiate.MULTIPLE_REFERENCES
    | initiate.GET
    | initiate.SET
    | initiate.SELECTIVE_ACCESS
    | initiate.ACTION
)
_INVOKE = 0xC0
_HLS_REPLY = Descriptor(CLASS_ASSOCIATION, CURRENT_ASSOCIATION, 1)


@dataclass(frozen=True, slots=True)
class ClientAssociation:
    """How to associate. With HLS-GMAC everything is authenticated and encrypted (suite 0)."""

    mechanism: Mechanism
    password: bytes = field(default=b"", repr=False)
    system_title: bytes = b""
    keys: Keys = field(default=Keys(b""), repr=False)
    max_pdu_bytes: int = 0xFFFF

    @property
    def is_ciphered(self) -> bool:
        """Whether every APDU is ciphered."""
        return self.mechanism is Mechanism.HLS_GMAC


class ClientSession:
    """One association with one server; see the module's text."""

    def __init__(
        self, association: ClientAssociation, take_counter: Callable[[], int], challenge: bytes
    ) -> None:
        self._association = association
        self._take_counter = take_counter
        self._challenge = challenge
        self._server_title = b""
        self._latest_server_counter = -1
        self._invoke_id = 0
        self._conformance = 0
        self._build: Callable[[], bytes] = bytes

    @property
    def conformance(self) -> int:
        """What client and server agreed on (bits of `initiate`), after `associate`."""
        return self._conformance

    @property
    def server_title(self) -> bytes:
        """The server's system title, after `associate` with ciphering."""
        return self._server_title

    def expects(self, apdu: bytes) -> bool:
        """Whether `apdu` may be the answer now waited for; late and repeated ones are not."""
        if not apdu or apdu[0] in (acse.AARQ, acse.RLRQ, 0x0F):
            return False
        try:
            ciphered = security.unwrap(apdu)
        except ApduDamaged:
            return False
        if ciphered is None:
            is_service = apdu[0] in (0xC4, 0xC5, 0xC7) and len(apdu) > 2
            return not is_service or apdu[2] & 0x0F == self._invoke_id
        if len(ciphered.text) < 5:
            return True
        return int.from_bytes(ciphered.text[1:5], "big") > self._latest_server_counter

    def renew(self) -> bytes:
        """
        Return the request now under way once more, ciphered under a counter of its own.

        A server takes no counter twice (IEC 62056-5-3 clause 5.3.6): where nothing below repeats frames, what
        is sent again is a new frame. It has the same invoke id, so that either answer answers it.
        """
        return self._build()

    def _ask(self, build: Callable[[], bytes]) -> bytes:
        self._build = build
        return build()

    def associate(self) -> Exchange[None]:
        """
        Open the association; with HLS-GMAC both sides prove their key.

        :raises ServiceRefused: if the server refuses it
        :raises SecurityFailed: if a key is wrong on either side
        """
        is_ciphered = self._association.is_ciphered
        answer = yield self._ask(self._association_request)
        try:
            _check_errors(answer)
        except ServiceRefused as error:
            raise ServiceRefused("dlms.association-refused", result=error.result) from None
        response = acse.decode_response(answer)
        if response.result != acse.ACCEPTED:
            raise ServiceRefused("dlms.association-refused", result=response.diagnostic)
        self._server_title = response.system_title
        self._check_initiate(response.user_information)
        if is_ciphered:
            yield from self._prove(response)

    def _association_request(self) -> bytes:
        association = self._association
        information = initiate.InitiateRequest(CONFORMANCE, association.max_pdu_bytes).encode()
        is_ciphered = association.is_ciphered
        return AssociationRequest(
            context=acse.CONTEXT_LN_CIPHERED if is_ciphered else acse.CONTEXT_LN,
            user_information=self._seal(information) if is_ciphered else information,
            mechanism=association.mechanism,
            system_title=association.system_title if is_ciphered else b"",
            authentication=association.password
            if association.mechanism is Mechanism.LLS
            else self._challenge,
        ).encode()

    def _check_initiate(self, information: bytes) -> None:
        plain = self._open(information) if self._association.is_ciphered else information
        self._conformance = initiate.decode_response(plain).conformance & CONFORMANCE

    def _prove(self, response: AssociationResponse) -> Exchange[None]:
        if not 8 <= len(response.authentication) <= 64 or response.authentication == self._challenge:
            raise SecurityFailed("dlms.bad-challenge")
        keys, title = self._association.keys, self._association.system_title
        counter = self._take_counter()
        proof = security.gmac(response.authentication, keys=keys, system_title=title, counter=counter)
        answer = yield from self.act(_HLS_REPLY, octet_string(proof))
        if not isinstance(answer, bytes):
            raise SecurityFailed("dlms.wrong-key")
        security.check_gmac(answer, self._challenge, keys=keys, system_title=self._server_title)

    def release(self) -> Exchange[None]:
        """Close the association. Whatever the server answers, it is over."""
        yield self._ask(self._release_request)

    def _release_request(self) -> bytes:
        information = b""
        if self._association.is_ciphered:
            request = initiate.InitiateRequest(CONFORMANCE, self._association.max_pdu_bytes)
            information = self._seal(request.encode())
        return acse.encode_release(acse.RLRQ, information)

    def get(self, descriptor: Descriptor, access: bytes = b"") -> Exchange[Value]:
        """
        Return an attribute; long answers are fetched block by block.

        :raises ServiceRefused: with the data access result
        """
        apdu = yield from self._request(services.get_request(self._next_invoke(), descriptor, access))
        if apdu.service == "get-response-with-datablock" and apdu.block is not None:
            octets = yield from self._fetch_blocks(apdu)
            return axdr.decode(octets)
        return _single(apdu, "get-response-normal").value

    def get_many(self, descriptors: Sequence[Descriptor]) -> Exchange[list[Result]]:
        """Return attributes in one request, each with its own data access result."""
        request = services.get_request_with_list(self._next_invoke(), descriptors)
        apdu = yield from self._request(request)
        results = apdu.results
        if apdu.service == "get-response-with-datablock" and apdu.block is not None:
            octets = yield from self._fetch_blocks(apdu)
            results = decode_results(octets)
        elif apdu.service != "get-response-with-list":
            _single(apdu, "get-response-with-list")
        if len(results) != len(descriptors):
            raise ApduDamaged("dlms.unexpected-answer", service=apdu.service)
        return results

    def set(self, descriptor: Descriptor, data: bytes) -> Exchange[None]:
        """
        Write an attribute; `data` is an A-XDR fragment.

        :raises ServiceRefused: with the data access result
        """
        apdu = yield from self._request(services.set_request(self._next_invoke(), descriptor, data))
        _single(apdu, "set-response-normal")

    def act(self, descriptor: Descriptor, data: bytes = b"") -> Exchange[Value]:
        """
        Invoke a method and return what it returns.

        :raises ServiceRefused: with the action result
        """
        apdu = yield from self._request(services.action_request(self._next_invoke(), descriptor, data))
        return _single(apdu, "action-response-normal").value

    def _next_invoke(self) -> int:
        self._invoke_id = self._invoke_id % 15 + 1
        return _INVOKE | self._invoke_id

    def _fetch_blocks(self, first: Apdu) -> Exchange[bytes]:
        apdu, octets, number = first, b"", 1
        while apdu.block is not None:
            octets += apdu.block.octets
            if apdu.block.number != number or len(octets) > axdr.MAX_BYTES or not apdu.block.octets:
                raise ApduDamaged("dlms.bad-block", number=apdu.block.number, expected=number)
            if apdu.block.is_last:
                return octets
            apdu = yield from self._request(services.get_request_next(apdu.invoke, number))
            number += 1
        _single(apdu, "get-response-with-datablock")
        raise ApduDamaged("dlms.unexpected-answer", service=apdu.service)

    def _request(self, plain: bytes) -> Exchange[Apdu]:
        is_ciphered = self._association.is_ciphered
        answer = yield self._ask(lambda: self._seal(plain) if is_ciphered else plain)
        _check_errors(answer)
        apdu = decode_apdu(self._open(answer) if self._association.is_ciphered else answer)
        if apdu.error:
            raise ServiceRefused("dlms.exception", result=apdu.error[1])
        if (apdu.invoke ^ plain[2]) & 0x0F:
            raise ApduDamaged("dlms.unexpected-answer", service=apdu.service)
        return apdu

    def _seal(self, plain: bytes) -> bytes:
        text = security.protect(
            plain,
            keys=self._association.keys,
            system_title=self._association.system_title,
            counter=self._take_counter(),
            security_control=security.AUTHENTICATED_ENCRYPTED,
        )
        return security.wrap_global(plain, text)

    def _open(self, apdu: bytes) -> bytes:
        ciphered = security.unwrap(apdu)
        if ciphered is None or ciphered.system_title not in (b"", self._server_title):
            raise SecurityFailed("dlms.not-ciphered")
        keys = self._association.keys
        opened = security.unprotect(ciphered.text, keys=keys, system_title=self._server_title)
        if opened.security_control & security.AUTHENTICATED_ENCRYPTED != security.AUTHENTICATED_ENCRYPTED:
            raise SecurityFailed("dlms.not-ciphered")
        plain = ciphered.check_service(opened.plain)
        self._latest_server_counter = security.check_counter(opened.counter, self._latest_server_counter)
        return plain


def _check_errors(answer: bytes) -> None:
    """Raise what a plain ExceptionResponse or ConfirmedServiceError says."""
    if answer[:1] not in (b"\xd8", b"\x0e"):
        return
    error = decode_apdu(answer).error
    if answer[0] == 0xD8 and error[1] == ServiceError.DECIPHERING_ERROR:
        raise SecurityFailed("dlms.key-refused")
    if answer[0] == 0xD8 and error[1] == ServiceError.INVOCATION_COUNTER_ERROR:
        raise SecurityFailed("dlms.counter-refused", lowest=error[2] if len(error) > 2 else None)
    code = "dlms.exception" if answer[0] == 0xD8 else "dlms.confirmed-service-error"
    raise ServiceRefused(code, result=error[-1])


def _single(apdu: Apdu, service: str) -> Result:
    """Return the one successful result of the `service` expected."""
    if len(apdu.results) == 1 and apdu.results[0].result:
        raise ServiceRefused("dlms.refused", result=apdu.results[0].result)
    if apdu.service != service or len(apdu.results) != 1:
        raise ApduDamaged("dlms.unexpected-answer", service=apdu.service)
    return apdu.results[0]
