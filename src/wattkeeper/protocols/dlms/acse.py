"""Association control (IEC 62056-5-3 clause 7.2, BER): AARQ 60, AARE 61, RLRQ 62, RLRE 63."""

from dataclasses import dataclass, field
from enum import IntEnum

from wattkeeper.protocols.dlms.axdr import decode_length
from wattkeeper.protocols.dlms.encoding import length
from wattkeeper.protocols.dlms.errors import ApduDamaged

AARQ = 0x60
AARE = 0x61
RLRQ = 0x62
RLRE = 0x63

_CONTEXT_OID = bytes.fromhex("608574050801")
_MECHANISM_OID = bytes.fromhex("608574050802")
CONTEXT_LN = 1
CONTEXT_LN_CIPHERED = 3

ACCEPTED = 0
REJECTED = 1
NO_REASON = 1
CONTEXT_NOT_SUPPORTED = 2
MECHANISM_NOT_RECOGNISED = 11
AUTHENTICATION_FAILURE = 13
AUTHENTICATION_REQUIRED = 14


class Mechanism(IntEnum):
    """How a client proves itself (mechanism names of clause 7.2)."""

    NONE = 0
    LLS = 1
    HLS = 2
    HLS_MD5 = 3
    HLS_SHA1 = 4
    HLS_GMAC = 5
    HLS_SHA256 = 6
    HLS_ECDSA = 7


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """AARQ. `authentication`: password or client's challenge; `user_information`: an initiate request."""

    context: int
    user_information: bytes
    mechanism: int = Mechanism.NONE
    system_title: bytes = b""
    authentication: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Return the APDU."""
        body = _tlv(0xA1, _tlv(0x06, _CONTEXT_OID + bytes((self.context,))))
        if self.system_title:
            body += _tlv(0xA6, _tlv(0x04, self.system_title))
        if self.mechanism:
            body += b"\x8a\x02\x07\x80" + _tlv(0x8B, _MECHANISM_OID + bytes((self.mechanism,)))
            body += _tlv(0xAC, _tlv(0x80, self.authentication))
        return _tlv(AARQ, body + _tlv(0xBE, _tlv(0x04, self.user_information)))


@dataclass(frozen=True, slots=True)
class AssociationResponse:
    """AARE. `result` 0 is accepted; `authentication` is the server's challenge."""

    context: int
    result: int
    diagnostic: int
    user_information: bytes = b""
    mechanism: int = Mechanism.NONE
    system_title: bytes = b""
    authentication: bytes = b""

    def encode(self) -> bytes:
        """Return the APDU."""
        body = _tlv(0xA1, _tlv(0x06, _CONTEXT_OID + bytes((self.context,))))
        body += _tlv(0xA2, bytes((2, 1, self.result)))
        body += _tlv(0xA3, _tlv(0xA1, bytes((2, 1, self.diagnostic))))
        if self.system_title:
            body += _tlv(0xA4, _tlv(0x04, self.system_title))
        if self.mechanism > Mechanism.LLS:
            body += b"\x88\x02\x07\x80" + _tlv(0x89, _MECHANISM_OID + bytes((self.mechanism,)))
            body += _tlv(0xAA, _tlv(0x80, self.authentication))
        if self.user_information:
            body += _tlv(0xBE, _tlv(0x04, self.user_information))
        return _tlv(AARE, body)


def encode_release(tag: int, user_information: bytes = b"") -> bytes:
    """Return an RLRQ or RLRE (`tag`) with reason "normal"."""
    information = _tlv(0xBE, _tlv(0x04, user_information)) if user_information else b""
    return _tlv(tag, b"\x80\x01\x00" + information)


def decode_request(apdu: bytes) -> AssociationRequest:
    """
    Return the fields of an AARQ.

    :raises ApduDamaged: if `apdu` is not one
    """
    fields = _fields(apdu, AARQ)
    return AssociationRequest(
        context=_oid(fields, 0xA1, _CONTEXT_OID),
        user_information=_octets(fields, 0xBE),
        mechanism=_oid(fields, 0x8B, _MECHANISM_OID),
        system_title=_octets(fields, 0xA6),
        authentication=_octets(fields, 0xAC),
    )


def decode_response(apdu: bytes) -> AssociationResponse:
    """
    Return the fields of an AARE.

    :raises ApduDamaged: if `apdu` is not one
    """
    fields = _fields(apdu, AARE)
    diagnostic = _inner(_octets(fields, 0xA3), 0) if 0xA3 in fields else b"\x00"
    return AssociationResponse(
        context=_oid(fields, 0xA1, _CONTEXT_OID),
        result=_last(_octets(fields, 0xA2)),
        diagnostic=_last(diagnostic),
        user_information=_octets(fields, 0xBE),
        mechanism=_oid(fields, 0x89, _MECHANISM_OID),
        system_title=_octets(fields, 0xA4),
        authentication=_octets(fields, 0xAA),
    )


def decode_release(apdu: bytes) -> bytes:
    """
    Return the user information of an RLRQ or RLRE, empty if it has none.

    :raises ApduDamaged: if `apdu` is neither
    """
    if apdu[:1] not in (b"\x62", b"\x63"):
        raise ApduDamaged("dlms.bad-acse")
    return _octets(_fields(apdu, apdu[0]), 0xBE)


def _tlv(tag: int, value: bytes) -> bytes:
    return bytes((tag,)) + length(len(value)) + value


def _inner(data: bytes, at: int) -> bytes:
    """Return the value of the element at `at` that ends `data`."""
    size, start = decode_length(data, at + 1)
    if start + size != len(data):
        raise ApduDamaged("dlms.bad-acse")
    return data[start:]


def _fields(apdu: bytes, tag: int) -> dict[int, bytes]:
    if not apdu or apdu[0] != tag:
        raise ApduDamaged("dlms.bad-acse")
    body = _inner(apdu, 0)
    fields = {}
    at = 0
    while at < len(body):
        size, start = decode_length(body, at + 1)
        if start + size > len(body):
            raise ApduDamaged("dlms.bad-acse")
        fields[body[at]] = body[start : start + size]
        at = start + size
    return fields


def _octets(fields: dict[int, bytes], tag: int) -> bytes:
    """Return the content of the one element inside field `tag`, empty if the field is absent."""
    return _inner(fields[tag], 0) if tag in fields else b""


def _last(octets: bytes) -> int:
    if not octets:
        raise ApduDamaged("dlms.bad-acse")
    return octets[-1]


def _oid(fields: dict[int, bytes], tag: int, prefix: bytes) -> int:
    """Return the last arc of the object identifier in field `tag`, 0 if the field is absent."""
    if tag not in fields:
        return 0
    oid = fields[tag] if tag in (0x8B, 0x89) else _inner(fields[tag], 0)
    if len(oid) != len(prefix) + 1 or not oid.startswith(prefix):
        raise ApduDamaged("dlms.bad-acse")
    return oid[-1]
