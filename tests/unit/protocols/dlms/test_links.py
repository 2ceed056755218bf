"""Link frames: wrapper, HDLC, M-Bus, general block transfer. Golden bytes, every cut, every flipped byte."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import gbt, hdlc, mbus, wrapper
from wattkeeper.protocols.dlms.errors import ApduDamaged, FrameDamaged
from wattkeeper.protocols.dlms.gbt import Assembler, GeneralBlock

SNRM = bytes.fromhex("7ea0070321930f017e")


@given(st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=100))
def test_wrapper_round_trip_and_every_cut(source: int, destination: int, apdu: bytes) -> None:
    frame = wrapper.encode_frame(source, destination, apdu)
    assert wrapper.decode_frame(frame + b"\x00\x01") == ((source, destination, apdu), len(frame))
    for end in range(len(frame)):
        assert wrapper.decode_frame(frame[:end]) is None


def test_wrapper_refuses_another_version_and_too_much() -> None:
    with pytest.raises(FrameDamaged):
        wrapper.decode_frame(b"\x00\x02\x00\x01\x00\x01\x00\x00")
    with pytest.raises(FrameDamaged):
        wrapper.encode_frame(1, 1, bytes(65536))


def test_wrapper_garbage() -> None:
    assert wrapper.skip_garbage(b"junk\x00\x01") == 4
    assert wrapper.skip_garbage(b"junk\x00") == 4
    assert wrapper.skip_garbage(b"junk") == 4


def test_an_hdlc_frame() -> None:
    frame, used_bytes = hdlc.decode_frame(SNRM) or pytest.fail("no frame")
    assert (frame.destination, frame.source, frame.kind, frame.information) == (1, 16, "snrm", b"")
    assert used_bytes == len(SNRM) - 1
    assert hdlc.encode_frame(1, 16, 0x93) == SNRM


@given(
    st.integers(0, 2**28 - 1), st.integers(0, 127), st.integers(0, 255), st.binary(max_size=80), st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_hdlc_round_trip_and_every_cut(
    destination: int, source: int, control: int, information: bytes, is_segmented: bool
) -> None:
    frame = hdlc.encode_frame(destination, source, control, information, is_segmented=is_segmented)
    expected = (destination, source, control, information, is_segmented)
    assert hdlc.decode_frame(b"\x7e\x7e" + frame) == (expected, len(frame) + 1)
    for end in range(len(frame)):
        assert hdlc.decode_frame(frame[:end]) is None


@given(st.integers(1, 25), st.integers(1, 255))
def test_an_hdlc_frame_with_a_changed_byte_is_no_frame(position: int, flip: int) -> None:
    frame = bytearray(hdlc.encode_frame(1, 16, 0x13, b"\x0f\x00\x00\x00\x01\x00" + bytes(10)))
    frame[position] ^= flip
    try:
        found = hdlc.decode_frame(bytes(frame))
    except FrameDamaged:
        return
    assert found is None or position >= len(frame) - 1


def test_two_hdlc_frames_share_a_flag() -> None:
    both = SNRM[:-1] + SNRM
    first = hdlc.decode_frame(both)
    assert first is not None
    second = hdlc.decode_frame(both[first[1] :])
    assert second is not None
    assert first[0] == second[0]


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x7e", b"\x7e\xa0", b"\x68", b"\x00\x01", b"\xe0"]))
@settings(max_examples=400, deadline=None)
def test_random_bytes_raise_only_the_protocols_error(octets: bytes, head: bytes) -> None:
    data = head + octets
    for decode in (hdlc.decode_frame, mbus.decode_frame, wrapper.decode_frame):
        try:
            found = decode(data)
        except FrameDamaged:
            continue
        assert found is None or 0 < found[1] <= len(data)  # type: ignore[index]
    for check in (hdlc.decode_body, hdlc.decode_unchecked):
        try:
            check(data)
        except FrameDamaged:
            continue
    with contextlib.suppress(ApduDamaged):
        gbt.decode_block(data)


@given(st.integers(0, 255), st.integers(0, 15), st.binary(max_size=100), st.booleans())
def test_mbus_round_trip_and_every_cut(address: int, number: int, octets: bytes, is_last: bool) -> None:
    frame = mbus.encode_frame(address, number, octets, is_last=is_last)
    assert mbus.decode_frame(frame + b"\x68") == ((address, number, is_last, octets), len(frame))
    for end in range(len(frame)):
        assert mbus.decode_frame(frame[:end]) is None


@pytest.mark.parametrize("position", range(4, 12))
def test_an_mbus_frame_with_a_changed_byte_is_no_frame(position: int) -> None:
    frame = bytearray(mbus.encode_frame(1, 0, b"abcd", is_last=True))
    frame[position] ^= 0x01
    with pytest.raises(FrameDamaged):
        mbus.decode_frame(bytes(frame))


def test_general_blocks_join() -> None:
    blocks = [GeneralBlock(i, i == 3, True, 1, 0, bytes([i]) * 5) for i in (1, 2, 3)]
    assembler = Assembler(1)
    wholes = []
    for block in blocks:
        decoded = gbt.decode_block(block.encode())
        assert decoded == block
        wholes.append(assembler.add(decoded.number, decoded.octets, is_last=decoded.is_last))
    assert wholes == [None, None, b"\x01" * 5 + b"\x02" * 5 + b"\x03" * 5]


def test_a_missing_block_is_noticed_and_the_next_transfer_is_whole() -> None:
    assembler = Assembler(1)
    assembler.add(1, b"a", is_last=False)
    with pytest.raises(ApduDamaged):
        assembler.add(3, b"c", is_last=True)
    assert assembler.add(2, b"b", is_last=True) is None
    assert assembler.add(1, b"whole", is_last=True) == b"whole"


def held_bytes(blocks_count: int) -> int:
    """Return how much an assembler holds of a transfer that never ends."""
    assembler, held = Assembler(1), 0
    with contextlib.suppress(ApduDamaged):
        for number in range(1, blocks_count + 1):
            assembler.add(number, bytes(1000), is_last=False)
            held += 1000
    return held


def test_blocks_never_grow_without_bound() -> None:
    assert held_bytes(1000) == 65_000


def test_blocks_that_grow_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: no bound on what is joined."""
    monkeypatch.setattr(gbt, "MAX_BYTES", 10**9)
    assert held_bytes(1000) == 1_000_000
