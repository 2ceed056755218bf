"""A-XDR data: golden fragments, round trips, every cut, every bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import axdr, encoding
from wattkeeper.protocols.dlms.axdr import BitString, Value
from wattkeeper.protocols.dlms.errors import ApduDamaged


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", None),
        ("0301", True),
        ("04034 0".replace(" ", ""), BitString(3, 2)),
        ("05ffffffff", -1),
        ("06ffffffff", 4_294_967_295),
        ("090312ff00", b"\x12\xff\x00"),
        ("0a024849", "HI"),
        ("0c03e794b5", "电"),
        ("0ffd", -3),
        ("108000", -32768),
        ("11ff", 255),
        ("12fffe", 65534),
        ("14ffffffffffffffff", -1),
        ("15ffffffffffffffff", 2**64 - 1),
        ("161e", 30),
        ("183ff8000000000000", 1.5),
        ("0203" + "1101" + "0902aabb" + "0102" + "0fff" + "00", [1, b"\xaa\xbb", [-1, None]]),
        ("098180" + "00" * 128, bytes(128)),
        ("1302021211" + "06" + "000102" + "000304", [[1, 2], [3, 4]]),
        ("13" + "01000211" + "04" + "01020304", [[1, 2], [3, 4]]),
        ("1909" * 0 + "19" + "00" * 12, bytes(12)),
    ],
)
def test_values(text: str, value: Value) -> None:
    assert axdr.decode(bytes.fromhex(text)) == value


ENCODED = st.recursive(
    st.one_of(
        st.just((encoding.NULL, None)),
        st.booleans().map(lambda value: (encoding.boolean(value), value)),
        st.integers(-(2**31), 2**31 - 1).map(lambda value: (encoding.double_long(value), value)),
        st.integers(0, 2**32 - 1).map(lambda value: (encoding.double_long_unsigned(value), value)),
        st.integers(-128, 127).map(lambda value: (encoding.integer(value), value)),
        st.integers(-(2**15), 2**15 - 1).map(lambda value: (encoding.long(value), value)),
        st.integers(0, 255).map(lambda value: (encoding.unsigned(value), value)),
        st.integers(0, 65535).map(lambda value: (encoding.long_unsigned(value), value)),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: (encoding.long64(value), value)),
        st.integers(0, 2**64 - 1).map(lambda value: (encoding.long64_unsigned(value), value)),
        st.integers(0, 255).map(lambda value: (encoding.enum(value), value)),
        st.binary(max_size=200).map(lambda value: (encoding.octet_string(value), value)),
        st.text(max_size=50).map(lambda value: (encoding.utf8_string(value), value)),
        st.integers(0, 2**11 - 1).map(lambda value: (encoding.bit_string(11, value), BitString(11, value))),
    ),
    lambda items: st.tuples(st.booleans(), st.lists(items, max_size=4)).map(
        lambda pair: (
            (encoding.array if pair[0] else encoding.structure)(*(item[0] for item in pair[1])),
            [item[1] for item in pair[1]],
        )
    ),
    max_leaves=20,
)


@given(ENCODED)
@settings(max_examples=120, deadline=None)
def test_round_trip_and_every_cut(pair: tuple[bytes, Value]) -> None:
    octets, value = pair
    assert axdr.decode(octets) == value
    for end in range(len(octets)):
        with pytest.raises(ApduDamaged):
            axdr.decode(octets[:end])
    with pytest.raises(ApduDamaged):
        axdr.decode(octets + b"\x00")


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x13", b"\x01", b"\x02\x05", b"\x13\x02\x02"]))
@settings(max_examples=600, deadline=None)
def test_random_bytes_raise_only_the_protocols_error(octets: bytes, head: bytes) -> None:
    try:
        _, end = axdr.decode_from(head + octets, 0)
    except ApduDamaged:
        return
    assert 0 < end <= len(head + octets)


def refusal(octets: bytes) -> str:
    """Return why bytes are refused: our own code, or what broke; nothing if they are taken."""
    try:
        axdr.decode(octets)
    except ApduDamaged as error:
        return error.code
    except RecursionError:
        return "recursion"
    return ""


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"\x02\x01" * 17 + b"\x00", "dlms.data-too-deep"),
        (b"\x13" + b"\x01\x00\x01" * 17 + b"\x11\x01\x00", "dlms.data-too-deep"),
        (bytes(65537), "dlms.data-too-long"),
        (b"\x01\x84\xff\xff\xff\xff", "dlms.data-cut"),
        (b"\x01\x85\x01\x00\x00\x00\x00", "dlms.bad-length"),
        (b"\x07\x00", "dlms.data-tag"),
        (b"\x0c\x01\xff", "dlms.data-text"),
        (b"\x13\x00\x05\x00\x00\x00\x00\x00", "dlms.data-tag"),
        (b"\x13\x01\x00\x00\x11\x02\x00\x00", "dlms.bad-length"),
    ],
)
def test_bounds(octets: bytes, code: str) -> None:
    assert refusal(octets) == code


BOMBS = {
    "structures": (b"\x02\x01" * 32_000 + b"\x00", "dlms.data-too-deep"),
    "arrays": (b"\x01\x82\x00\x01" * 16_000 + b"\x00", "dlms.data-too-deep"),
    "descriptions": (b"\x13" + b"\x01\x00\x01" * 20_000 + b"\x11\x01\x00", "dlms.data-too-deep"),
    "long": (b"\x01\x83\x02\x00\x00" + bytes(2**17), "dlms.data-too-long"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str) -> None:
    octets, code = BOMBS[name]
    assert refusal(octets) == code


@pytest.mark.parametrize("name", ["structures", "arrays", "descriptions"])
def test_nesting_without_a_bound_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: no bound on depth."""
    monkeypatch.setattr(axdr, "MAX_DEPTH", 10**9)
    assert refusal(BOMBS[name][0]) == "recursion"


def test_length_without_a_bound_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: no bound on bytes."""
    monkeypatch.setattr(axdr, "MAX_BYTES", 10**9)
    assert refusal(BOMBS["long"][0]) == ""


def test_depth_sixteen_is_allowed() -> None:
    assert axdr.decode(b"\x02\x01" * 16 + b"\x00") is not None


def test_encoding_never_cuts_silently() -> None:
    for make, value in ((encoding.unsigned, 256), (encoding.integer, -129), (encoding.long_unsigned, -1)):
        with pytest.raises(ApduDamaged):
            make(value)
