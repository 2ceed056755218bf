"""Ciphering: the standard's worked example, round trips of every suite, wrong keys, replays."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import security
from wattkeeper.protocols.dlms.errors import ApduDamaged, DlmsError, SecurityFailed
from wattkeeper.protocols.dlms.security import Keys

KEYS = Keys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
LONG_KEYS = Keys(bytes(range(32)), bytes(range(0xC0, 0xE0)))
TITLE = bytes.fromhex("4d4d4d0000bc614e")
PLAIN = bytes.fromhex("c0010000080000010000ff0200")
CONTROLS = [sort | suite for sort in (0x10, 0x20, 0x30) for suite in (0, 1, 2)]


@pytest.mark.parametrize(
    ("control", "text"),
    [
        (0x10, "1001234567c0010000080000010000ff020006725d910f9221d263877516"),
        (0x20, "2001234567411312ff935a47566827c467bc"),
        (0x30, "3001234567411312ff935a47566827c467bc7d825c3be4a77c3fcc056b6b"),
    ],
)
def test_the_standards_example(control: int, text: str) -> None:
    made = security.protect(
        PLAIN, keys=KEYS, system_title=TITLE, counter=0x01234567, security_control=control
    )
    assert made.hex() == text
    assert security.unprotect(made, keys=KEYS, system_title=TITLE) == (PLAIN, control, 0x01234567)


@given(st.binary(max_size=300), st.sampled_from(CONTROLS), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_round_trip(plain: bytes, control: int, counter: int) -> None:
    keys = LONG_KEYS if control & 0x0F == 2 else KEYS
    text = security.protect(plain, keys=keys, system_title=TITLE, counter=counter, security_control=control)
    assert security.unprotect(text, keys=keys, system_title=TITLE) == (plain, control, counter)
    assert security.open_unverified(text, keys=Keys(keys.block), system_title=TITLE) == (
        plain,
        control,
        counter,
    )


@pytest.mark.parametrize("control", [0x10, 0x30])
@pytest.mark.parametrize("position", range(30))
def test_a_changed_byte_is_noticed(control: int, position: int) -> None:
    text = bytearray(
        security.protect(PLAIN, keys=KEYS, system_title=TITLE, counter=7, security_control=control)
    )
    text[position] ^= 0x01
    with pytest.raises(SecurityFailed):
        security.unprotect(bytes(text), keys=KEYS, system_title=TITLE)


@pytest.mark.parametrize(
    ("keys", "title"),
    [
        (Keys(bytes(16), KEYS.authentication), TITLE),
        (Keys(KEYS.block, bytes(16)), TITLE),
        (KEYS, b"OTHERTIT"),
    ],
)
def test_a_wrong_key_or_title_does_not_open(keys: Keys, title: bytes) -> None:
    text = security.protect(PLAIN, keys=KEYS, system_title=TITLE, counter=7, security_control=0x30)
    with pytest.raises(SecurityFailed) as caught:
        security.unprotect(text, keys=keys, system_title=title)
    assert caught.value.code == "dlms.wrong-key"


@pytest.mark.parametrize(
    ("keys", "title", "counter", "control", "code"),
    [
        (KEYS, TITLE, 1, 0x00, "dlms.security-control"),
        (KEYS, TITLE, 1, 0x33, "dlms.security-control"),
        (KEYS, TITLE, 1, 0xB0, "dlms.security-control"),
        (KEYS, TITLE, 1, 0x32, "dlms.key-length"),
        (Keys(KEYS.block), TITLE, 1, 0x30, "dlms.no-authentication-key"),
        (KEYS, b"", 1, 0x30, "dlms.no-system-title"),
        (KEYS, TITLE, 2**32, 0x30, "dlms.counter-exhausted"),
    ],
)
def test_what_cannot_be_ciphered(keys: Keys, title: bytes, counter: int, control: int, code: str) -> None:
    with pytest.raises(SecurityFailed) as caught:
        security.protect(PLAIN, keys=keys, system_title=title, counter=counter, security_control=control)
    assert caught.value.code == code


def test_gmac_proves_the_key_for_one_challenge() -> None:
    answer = security.gmac(b"P6wRJ21F", keys=KEYS, system_title=TITLE, counter=1)
    assert answer.hex() == "1000000001" + answer.hex()[10:]
    assert security.check_gmac(answer, b"P6wRJ21F", keys=KEYS, system_title=TITLE) == 1
    for wrong in (answer[:-1], bytes((0x30,)) + answer[1:], answer[:-1] + bytes((answer[-1] ^ 1,))):
        with pytest.raises(SecurityFailed):
            security.check_gmac(wrong, b"P6wRJ21F", keys=KEYS, system_title=TITLE)
    with pytest.raises(SecurityFailed):
        security.check_gmac(answer, b"P6wRJ21G", keys=KEYS, system_title=TITLE)


def test_replays() -> None:
    assert security.check_counter(5, None) == 5
    assert security.check_counter(5, 4) == 5
    for counter in (4, 3):
        with pytest.raises(SecurityFailed) as caught:
            security.check_counter(counter, 4)
        assert caught.value.code == "dlms.counter-replayed"


@given(st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_only_the_protocols_error(octets: bytes) -> None:
    for attempt in (
        lambda: security.unwrap(octets),
        lambda: security.unprotect(octets, keys=KEYS, system_title=TITLE),
        lambda: security.open_unverified(octets, keys=KEYS, system_title=TITLE),
    ):
        try:
            attempt()
        except DlmsError:
            continue


def test_wrapped_forms_come_apart() -> None:
    text = security.protect(PLAIN, keys=KEYS, system_title=TITLE, counter=7, security_control=0x30)
    assert security.unwrap(security.wrap_global(PLAIN, text)) == (False, b"", text, 0xC0)
    assert security.unwrap(security.wrap_dedicated(PLAIN, text)) == (True, b"", text, 0xC0)
    assert security.unwrap(security.wrap_general(TITLE, text)) == (False, TITLE, text, None)
    assert security.unwrap(PLAIN) is None
    for end in range(1, len(text)):
        with pytest.raises(ApduDamaged):
            security.unwrap(security.wrap_general(TITLE, text)[:end])


def test_keys_are_not_shown() -> None:
    assert repr(KEYS) == "Keys(...)"
