"""xDLMS initiate request and response (IEC 62056-5-3 clause 7.3.2): what both sides can do.

01 | dedicated key (optional) | response allowed (default) | quality of service (optional) | version 06 |
5F1F04 00 conformance (3) | longest APDU (2)
08 | quality of service (optional) | version | 5F1F04 00 conformance | longest APDU | VAA name (2)
"""

from dataclasses import dataclass, field

from wattkeeper.protocols.dlms.axdr import take_octets
from wattkeeper.protocols.dlms.encoding import length
from wattkeeper.protocols.dlms.errors import ApduDamaged

REQUEST_TAG = 0x01
RESPONSE_TAG = 0x08
VERSION = 6
_CONFORMANCE_HEAD = b"\x5f\x1f\x04\x00"
_VAA_NAME_LN = b"\x00\x07"

# Conformance bits (clause 7.3.1), as an integer of 24 bits
GENERAL_PROTECTION = 1 << 22
BLOCK_TRANSFER_GET = 1 << 12
MULTIPLE_REFERENCES = 1 << 9
DATA_NOTIFICATION = 1 << 7
GET = 1 << 4
SET = 1 << 3
SELECTIVE_ACCESS = 1 << 2
ACTION = 1 << 0


@dataclass(frozen=True, slots=True)
class InitiateRequest:
    """`max_pdu_bytes` 0 means no limit; `dedicated_key` empty means none."""

    conformance: int
    max_pdu_bytes: int = 0xFFFF
    dedicated_key: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Return the APDU."""
        key = self.dedicated_key
        dedicated = b"\x01" + length(len(key)) + key if key else b"\x00"
        return bytes((REQUEST_TAG,)) + dedicated + b"\x00\x00" + _tail(self.conformance, self.max_pdu_bytes)


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What was agreed on."""

    conformance: int
    max_pdu_bytes: int

    def encode(self) -> bytes:
        """Return the APDU."""
        return bytes((RESPONSE_TAG, 0)) + _tail(self.conformance, self.max_pdu_bytes) + _VAA_NAME_LN


def _tail(conformance: int, max_pdu_bytes: int) -> bytes:
    return (
        bytes((VERSION,))
        + _CONFORMANCE_HEAD
        + conformance.to_bytes(3, "big")
        + max_pdu_bytes.to_bytes(2, "big")
    )


def _split_tail(apdu: bytes, at: int) -> tuple[int, int, int]:
    end = at + 10
    if len(apdu) < end or apdu[at] != VERSION or apdu[at + 1 : at + 5] != _CONFORMANCE_HEAD:
        raise ApduDamaged("dlms.bad-initiate")
    return int.from_bytes(apdu[at + 5 : at + 8], "big"), int.from_bytes(apdu[at + 8 : end], "big"), end


def _skip_optional_octet(apdu: bytes, at: int) -> int:
    if at >= len(apdu) or apdu[at] > 1:
        raise ApduDamaged("dlms.bad-initiate")
    return at + 1 + apdu[at]


def decode_request(apdu: bytes) -> InitiateRequest:
    """
    Return the fields of an initiate request.

    :raises ApduDamaged: if `apdu` is not one
    """
    if len(apdu) < 2 or apdu[0] != REQUEST_TAG or apdu[1] > 1:
        raise ApduDamaged("dlms.bad-initiate")
    key, at = take_octets(apdu, 2) if apdu[1] else (b"", 2)
    at = _skip_optional_octet(apdu, _skip_optional_octet(apdu, at))
    conformance, max_pdu_bytes, end = _split_tail(apdu, at)
    if end != len(apdu):
        raise ApduDamaged("dlms.bad-initiate")
    return InitiateRequest(conformance, max_pdu_bytes, key)


def decode_response(apdu: bytes) -> InitiateResponse:
    """
    Return the fields of an initiate response.

    :raises ApduDamaged: if `apdu` is not one
    """
    if not apdu or apdu[0] != RESPONSE_TAG:
        raise ApduDamaged("dlms.bad-initiate")
    conformance, max_pdu_bytes, end = _split_tail(apdu, _skip_optional_octet(apdu, 1))
    if len(apdu) - end not in (0, 2):
        raise ApduDamaged("dlms.bad-initiate")
    return InitiateResponse(conformance, max_pdu_bytes)
