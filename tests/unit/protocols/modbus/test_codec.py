import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.errors import ChecksumMismatch, ContentError, FrameError, ModbusError
from wattkeeper.protocols.modbus.frame import (
    Adu,
    Side,
    decode_rtu,
    decode_tcp,
    encode_rtu,
    encode_tcp,
    find_rtu,
    find_tcp,
)
from wattkeeper.protocols.modbus.interval_log import (
    DAY_S,
    FIRST_DAY_S,
    LogSlot,
    decode_slots,
    encode_slots,
    span_start_s,
    spans_of,
)
from wattkeeper.protocols.modbus.registers import (
    REGISTER_COUNTS,
    WordOrder,
    decode_value,
    encode_value,
    shortest_decimal,
)

u16 = st.integers(0, 0xFFFF)
spans = st.builds(pdu.FileSpan, file_id=st.integers(1, 0xFFFF), record_index=u16, count=st.integers(1, 20))
requests = st.one_of(
    st.builds(pdu.ReadBits, function=st.sampled_from([1, 2]), address=u16, count=st.integers(1, 2000)),
    st.builds(pdu.ReadRegisters, function=st.sampled_from([3, 4]), address=u16, count=st.integers(1, 125)),
    st.builds(pdu.WriteCoil, address=u16, is_on=st.booleans()),
    st.builds(pdu.WriteRegister, address=u16, value=u16),
    st.integers(1, 123).flatmap(
        lambda n: st.builds(pdu.WriteRegisters, address=u16, octets=st.binary(min_size=2 * n, max_size=2 * n))
    ),
    st.builds(pdu.ReadFile, spans=st.lists(spans, min_size=1, max_size=5).map(tuple)),
)
even = st.integers(1, 60).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n))
answers = st.one_of(
    st.builds(pdu.Bits, function=st.sampled_from([1, 2]), octets=st.binary(min_size=1, max_size=250)),
    st.builds(pdu.Registers, function=st.sampled_from([3, 4]), octets=even),
    st.builds(pdu.WriteCoil, address=u16, is_on=st.booleans()),
    st.builds(pdu.WriteRegister, address=u16, value=u16),
    st.builds(pdu.WroteRegisters, address=u16, count=u16),
    st.builds(pdu.FileRecords, parts=st.lists(even, min_size=1, max_size=1).map(tuple)),
    st.builds(pdu.Refused, function=st.sampled_from([1, 3, 5, 16, 20]), exception_code=st.integers(0, 255)),
)
units = st.integers(0, 255)


def error_code(decode, octets):
    try:
        decode(octets)
    except ModbusError as error:
        return error.code
    return "modbus.none"


@given(requests, units, u16)
def test_requests_round_trip(request, unit_id, transaction_id):
    octets = pdu.encode_request(request)
    tcp = encode_tcp(Adu(unit_id, octets, transaction_id))
    assert decode_tcp(tcp) == (Adu(unit_id, octets, transaction_id), len(tcp))
    rtu = encode_rtu(Adu(unit_id, octets))
    assert decode_rtu(rtu, Side.REQUEST) == (Adu(unit_id, octets), len(rtu))
    assert pdu.decode_request(octets) == request


@given(answers, units, u16)
def test_answers_round_trip(answer, unit_id, transaction_id):
    octets = pdu.encode_answer(answer)
    tcp = encode_tcp(Adu(unit_id, octets, transaction_id))
    assert decode_tcp(tcp) == (Adu(unit_id, octets, transaction_id), len(tcp))
    rtu = encode_rtu(Adu(unit_id, octets))
    assert decode_rtu(rtu, Side.ANSWER) == (Adu(unit_id, octets), len(rtu))
    assert pdu.decode_answer(octets) == answer


@given(answers, units, st.data())
def test_any_prefix_asks_for_more(answer, unit_id, data):
    octets = pdu.encode_answer(answer)
    tcp, rtu = encode_tcp(Adu(unit_id, octets, 7)), encode_rtu(Adu(unit_id, octets))
    assert decode_tcp(tcp[: data.draw(st.integers(0, len(tcp) - 1))]) is None
    assert decode_rtu(rtu[: data.draw(st.integers(0, len(rtu) - 1))], Side.ANSWER) is None


def test_golden_frames():
    # Modbus Application Protocol 1.1b3, clauses 6.3 and 6.14
    assert pdu.decode_request(bytes.fromhex("03006b0003")) == pdu.ReadRegisters(3, 107, 3)
    assert pdu.decode_answer(bytes.fromhex("0306022b00000064")) == pdu.Registers(
        3, bytes.fromhex("022b00000064")
    )
    asked = pdu.decode_request(bytes.fromhex("140e0600040001000206000300090002"))
    assert asked == pdu.ReadFile((pdu.FileSpan(4, 1, 2), pdu.FileSpan(3, 9, 2)))
    told = pdu.decode_answer(bytes.fromhex("140c05060dfe0020050633cd0040"))
    assert told == pdu.FileRecords((bytes.fromhex("0dfe0020"), bytes.fromhex("33cd0040")))
    assert encode_rtu(Adu(1, bytes.fromhex("0300000002"))).hex() == "010300000002c40b"


def test_a_damaged_crc_is_told():
    frame = bytearray(encode_rtu(Adu(1, bytes.fromhex("0304000a000b"))))
    frame[4] ^= 1
    with pytest.raises(ChecksumMismatch):
        decode_rtu(bytes(frame), Side.ANSWER)


@pytest.mark.parametrize("octets", ["00010001000601", "0001000000010300", "00010000ffff01"])
def test_a_header_that_is_none_is_refused(octets):
    with pytest.raises(FrameError):
        decode_tcp(bytes.fromhex(octets))


@given(st.binary(max_size=600))
def test_random_bytes_raise_nothing_else(octets):
    for find in (
        find_tcp,
        lambda part: find_rtu(part, Side.ANSWER),
        lambda part: find_rtu(part, Side.REQUEST),
    ):
        position = 0
        while position < len(octets):
            used_bytes = find(octets[position:]).used_bytes
            assert 0 <= used_bytes <= len(octets) - position
            if not used_bytes:
                break
            position += used_bytes


@given(st.binary(max_size=253))
def test_any_pdu_raises_nothing_else(octets):
    for decode in (pdu.decode_request, pdu.decode_answer):
        assert error_code(decode, octets).startswith("modbus.")


@given(st.sampled_from([1, 2, 3, 4, 5, 6, 16, 20, 131]), st.binary(max_size=60))
def test_known_functions_with_any_content_raise_nothing_else(function, content):
    for decode in (pdu.decode_request, pdu.decode_answer):
        assert error_code(decode, bytes((function,)) + content).startswith("modbus.")


def test_a_frame_cut_short_does_not_hold_up_the_next():
    frame = encode_rtu(Adu(1, pdu.encode_answer(pdu.Registers(3, bytes(range(40))))))
    found = find_rtu(frame[:9] + frame, Side.ANSWER, unit_id=1)
    assert (found.adu, found.used_bytes) == (None, 9)


def test_zeros_inside_a_tcp_frame_are_no_frame():
    frame = encode_tcp(Adu(1, pdu.encode_answer(pdu.Registers(3, bytes(20) + b"\x00\x02" + bytes(20))), 9))
    for cut in range(1, len(frame)):
        assert find_tcp(frame[:cut]).used_bytes == 0


@pytest.mark.parametrize("kind", ["u16", "i16", "u32", "i32", "u64", "i64"])
@pytest.mark.parametrize("order", WordOrder)
@given(data=st.data())
def test_whole_numbers_round_trip(kind, order, data):
    bits = 16 * REGISTER_COUNTS[kind]
    low = -(2 ** (bits - 1)) if kind[0] == "i" else 0
    value = data.draw(st.integers(low, low + 2**bits - 1))
    assert decode_value(kind, encode_value(kind, value, order), order) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_becomes_its_shortest_decimal(number):
    value = shortest_decimal(number)
    assert struct.unpack(">f", struct.pack(">f", float(value)))[0] == number
    digits = len(value.normalize().as_tuple().digits)
    for fewer in range(1, digits):
        text = f"{number:.{fewer}g}"
        assert Decimal(text) == value or struct_single(text) != number


def struct_single(text):
    try:
        return struct.unpack(">f", struct.pack(">f", float(text)))[0]
    except OverflowError:
        return float("inf")


@pytest.mark.parametrize(
    ("octets", "value"), [("43660000", "230"), ("3dcccccd", "0.1"), ("42c83333", "100.1")]
)
def test_known_floats(octets, value):
    assert decode_value("f32", bytes.fromhex(octets)) == Decimal(value)
    swapped = bytes.fromhex(octets[4:] + octets[:4])
    assert decode_value("f32", swapped, WordOrder.LITTLE) == Decimal(value)


@pytest.mark.parametrize("octets", ["7fc00000", "7f800000", "ff800000"])
def test_what_is_no_number_is_refused(octets):
    with pytest.raises(ContentError):
        decode_value("f32", bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("u16", 65536), ("u16", -1), ("u32", Decimal("1.5")), ("x", 1), ("f32", Decimal("1e60"))],
)
def test_values_that_do_not_fit_are_refused(kind, value):
    with pytest.raises(ContentError):
        encode_value(kind, value)


@given(
    st.integers(FIRST_DAY_S, FIRST_DAY_S + 4000 * DAY_S),
    st.integers(0, 3 * DAY_S),
    st.sampled_from([300, 900]),
)
def test_spans_cover_exactly_the_slots_asked_for(from_s, length_s, interval_s):
    to_s = from_s + length_s
    stamps = []
    for span in spans_of(from_s, to_s, interval_s):
        start_s = span_start_s(span, interval_s)
        slots = [LogSlot(start_s + i * interval_s, i) for i in range(span.count // 4)]
        assert decode_slots(span, encode_slots(slots), interval_s) == slots
        assert len({(slot.stamp_s - FIRST_DAY_S) // DAY_S for slot in slots}) == 1
        pdu.encode_request(pdu.ReadFile((span,)))
        stamps += [slot.stamp_s for slot in slots]
    assert stamps == list(range(-(-from_s // interval_s) * interval_s, to_s, interval_s))


def test_an_empty_slot_is_no_record():
    (span,) = spans_of(FIRST_DAY_S, FIRST_DAY_S + 1800, 900)
    assert decode_slots(span, encode_slots([None, LogSlot(FIRST_DAY_S + 900, 0)]), 900) == [
        LogSlot(FIRST_DAY_S + 900, 0)
    ]


@pytest.mark.parametrize(
    ("from_s", "interval_s"), [(0, 900), (FIRST_DAY_S, 7), (FIRST_DAY_S, 0), (FIRST_DAY_S, 30)]
)
def test_what_the_log_cannot_hold_is_refused(from_s, interval_s):
    with pytest.raises(ContentError):
        spans_of(from_s, from_s + 9000, interval_s)
