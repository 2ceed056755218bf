"""Ciphering of APDUs (IEC 62056-5-3 clause 5.3.6-7): AES-GCM of suites 0, 1 and 2, GMAC for HLS mechanism 5.

    security control (1) | invocation counter (4) | text | tag (12, where authenticated)

The nonce is system title (8) + invocation counter. Security control: bits 0-3 suite, 10 authenticated,
20 encrypted, 40 broadcast key, 80 compressed (not taken).
"""

import hmac
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wattkeeper.protocols.dlms.axdr import take_octets
from wattkeeper.protocols.dlms.encoding import length
from wattkeeper.protocols.dlms.errors import ApduDamaged, SecurityFailed

AUTHENTICATED = 0x10
ENCRYPTED = 0x20
AUTHENTICATED_ENCRYPTED = 0x30
TAG_BYTES = 12
MAX_COUNTER = 0xFFFF_FFFF
_KEY_BYTES = {0: 16, 1: 16, 2: 32}

# Service tag -> its global and dedicated ciphered tags (clause 7.3.13)
GLOBAL_TAGS = {0x01: 0x21, 0x08: 0x28, 0x0E: 0x2E} | {tag: tag + 8 for tag in range(0xC0, 0xC8)}
DEDICATED_TAGS = {tag: tag + 0x10 for tag in range(0xC0, 0xC8)}
_SERVICE_TAGS = {outer: tag for tags in (GLOBAL_TAGS, DEDICATED_TAGS) for tag, outer in tags.items()}
CIPHERED_TAGS = frozenset(_SERVICE_TAGS)
GENERAL_GLOBAL = 0xDB
GENERAL_DEDICATED = 0xDC


class Keys(NamedTuple):
    """Block cipher key (`guek` or the dedicated key) and authentication key; the latter may be empty."""

    block: bytes
    authentication: bytes = b""

    def __repr__(self) -> str:
        return "Keys(...)"


class Opened(NamedTuple):
    """What a ciphered text held, and under which control byte and counter it came."""

    plain: bytes
    security_control: int
    counter: int


@lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _checked_cipher(keys: Keys, security_control: int) -> AESGCM:
    suite = security_control & 0x0F
    if suite not in _KEY_BYTES or security_control & 0x80 or not security_control & AUTHENTICATED_ENCRYPTED:
        raise SecurityFailed("dlms.security-control", security_control=security_control)
    if len(keys.block) != _KEY_BYTES[suite]:
        raise SecurityFailed("dlms.key-length", byte_count=len(keys.block), expected=_KEY_BYTES[suite])
    if security_control & AUTHENTICATED and len(keys.authentication) not in (16, 32):
        raise SecurityFailed("dlms.no-authentication-key")
    return _cipher(keys.block)


def _nonce(system_title: bytes, counter: int) -> bytes:
    if len(system_title) != 8:
        raise SecurityFailed("dlms.no-system-title", byte_count=len(system_title))
    if not 0 <= counter <= MAX_COUNTER:
        raise SecurityFailed("dlms.counter-exhausted", counter=counter)
    return system_title + counter.to_bytes(4, "big")


def protect(plain: bytes, *, keys: Keys, system_title: bytes, counter: int, security_control: int) -> bytes:
    """
    Return security control, counter, text and tag of `plain`. `system_title` and `counter` are the sender's.

    :raises SecurityFailed: if keys, title or counter cannot be used
    """
    cipher = _checked_cipher(keys, security_control)
    nonce = _nonce(system_title, counter)
    control = bytes((security_control,))
    head = control + nonce[8:]
    if not security_control & ENCRYPTED:
        tag = cipher.encrypt(nonce, b"", control + keys.authentication + plain)
        return head + plain + tag[:TAG_BYTES]
    if not security_control & AUTHENTICATED:
        return head + cipher.encrypt(nonce, plain, None)[:-16]
    return head + cipher.encrypt(nonce, plain, control + keys.authentication)[:-4]


def unprotect(text: bytes, *, keys: Keys, system_title: bytes) -> Opened:
    """
    Return what `text` (security control and on) holds. `system_title` is the sender's.

    GCM encrypts by a key stream, so encrypting the cipher text again opens it; the tag is computed anew from
    the plain text. This allows the 12 byte tag of the standard.

    :raises SecurityFailed: if the keys are wrong or unfit, or the text was changed
    :raises ApduDamaged: if it is too short to be one
    """
    if len(text) < 5:
        raise ApduDamaged("dlms.data-cut")
    security_control = text[0]
    cipher = _checked_cipher(keys, security_control)
    counter = int.from_bytes(text[1:5], "big")
    nonce = _nonce(system_title, counter)
    if not security_control & AUTHENTICATED:
        return Opened(cipher.encrypt(nonce, text[5:], None)[:-16], security_control, counter)
    if len(text) < 5 + TAG_BYTES:
        raise ApduDamaged("dlms.data-cut")
    body, tag = text[5:-TAG_BYTES], text[-TAG_BYTES:]
    associated = text[:1] + keys.authentication
    if security_control & ENCRYPTED:
        plain = cipher.encrypt(nonce, body, None)[:-16]
        expected = cipher.encrypt(nonce, plain, associated)[-16:-4]
    else:
        plain = body
        expected = cipher.encrypt(nonce, b"", associated + body)[:TAG_BYTES]
    if not hmac.compare_digest(tag, expected):
        raise SecurityFailed("dlms.wrong-key")
    return Opened(plain, security_control, counter)


def open_unverified(text: bytes, *, keys: Keys, system_title: bytes) -> Opened:
    """
    Return what `text` holds, its tag unchecked: to look at captures whose authentication key is unknown.

    :raises SecurityFailed: if the key does not fit
    :raises ApduDamaged: if it is too short to be one
    """
    if len(text) < 5:
        raise ApduDamaged("dlms.data-cut")
    body = text[5:-TAG_BYTES] if text[0] & AUTHENTICATED else text[5:]
    if not text[0] & ENCRYPTED:
        return Opened(body, text[0], int.from_bytes(text[1:5], "big"))
    bare = bytes((text[0] & ~AUTHENTICATED,)) + text[1:5] + body
    return unprotect(bare, keys=Keys(keys.block), system_title=system_title)._replace(
        security_control=text[0]
    )


def gmac(challenge: bytes, *, keys: Keys, system_title: bytes, counter: int, suite: int = 0) -> bytes:
    """
    Return the HLS answer f(challenge): security control, counter, GMAC (clause 5.3.5, passes 3 and 4).

    :raises SecurityFailed: if keys, title or counter cannot be used
    """
    control = AUTHENTICATED | suite
    text = protect(challenge, keys=keys, system_title=system_title, counter=counter, security_control=control)
    return text[:5] + text[-TAG_BYTES:]


def check_gmac(answer: bytes, challenge: bytes, *, keys: Keys, system_title: bytes) -> int:
    """
    Return the counter in the HLS `answer` of the peer with `system_title` to our `challenge`.

    :raises SecurityFailed: if it is not the right answer
    """
    if len(answer) != 5 + TAG_BYTES or answer[0] & 0xF0 != AUTHENTICATED:
        raise SecurityFailed("dlms.wrong-key")
    text = answer[:5] + challenge + answer[5:]
    return unprotect(text, keys=keys, system_title=system_title).counter


def check_counter(counter: int, latest: int | None) -> int:
    """
    Return `counter`, if it is higher than the `latest` one accepted from this sender under this key.

    :raises SecurityFailed: if it was used before
    """
    if latest is not None and counter <= latest:
        raise SecurityFailed("dlms.counter-replayed", counter=counter, latest=latest)
    return counter


def wrap_global(apdu: bytes, text: bytes) -> bytes:
    """Return the glo-ciphered APDU of the service that `apdu` is, around `text`."""
    return bytes((GLOBAL_TAGS[apdu[0]],)) + length(len(text)) + text


def wrap_dedicated(apdu: bytes, text: bytes) -> bytes:
    """Return the ded-ciphered APDU of the service that `apdu` is, around `text`."""
    return bytes((DEDICATED_TAGS[apdu[0]],)) + length(len(text)) + text


def wrap_general(system_title: bytes, text: bytes) -> bytes:
    """Return the general-glo-ciphering APDU around `text`."""
    return bytes((GENERAL_GLOBAL,)) + length(len(system_title)) + system_title + length(len(text)) + text


class Ciphered(NamedTuple):
    """A ciphered APDU taken apart: which key set, the sender's title where the APDU says it, the text.

    `service_tag` is the tag that the plain APDU must have; None where any may be inside.
    """

    is_dedicated: bool
    system_title: bytes
    text: bytes
    service_tag: int | None = None

    def check_service(self, plain: bytes) -> bytes:
        """
        Return `plain`, if it is the service that the outer tag says: that tag itself is not authenticated.

        :raises SecurityFailed: if it is another
        """
        if self.service_tag is not None and plain[:1] != bytes((self.service_tag,)):
            raise SecurityFailed("dlms.foreign-service")
        return plain


def unwrap(apdu: bytes) -> Ciphered | None:
    """
    Return the parts of a ciphered APDU, or None if `apdu` is not one.

    :raises ApduDamaged: if its lengths do not fit
    """
    if not apdu:
        raise ApduDamaged("dlms.data-cut")
    tag = apdu[0]
    if tag in (GENERAL_GLOBAL, GENERAL_DEDICATED):
        title, at = take_octets(apdu, 1)
        text, end = take_octets(apdu, at)
    elif tag in CIPHERED_TAGS:
        title = b""
        text, end = take_octets(apdu, 1)
    else:
        return None
    if end != len(apdu):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(apdu) - end)
    is_dedicated = tag == GENERAL_DEDICATED or 0xD0 <= tag <= 0xD7
    return Ciphered(is_dedicated, title, text, _SERVICE_TAGS.get(tag))
