from datetime import UTC
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlt645 import services
from wattkeeper.protocols.dlt645.bcd import (
    LocalTime,
    decode_bcd,
    decode_minute,
    decode_second,
    encode_bcd,
    encode_minute,
    encode_second,
)
from wattkeeper.protocols.dlt645.errors import ContentError, Dlt645Error
from wattkeeper.protocols.dlt645.frame import Frame, decode_frame, encode_frame
from wattkeeper.protocols.dlt645.identifiers import decode_values, encode_value, get_identifier
from wattkeeper.protocols.dlt645.records import CLASSES, LoadRecord, decode_records, encode_record
from wattkeeper.protocols.dlt645.status import SupplyStatus, decode_supply_status, encode_supply_status

times = st.builds(
    LocalTime,
    year=st.integers(2000, 2099),
    month=st.integers(1, 12),
    day=st.integers(1, 28),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.just(0),
)
values_of_record = st.lists(st.sampled_from(sorted(CLASSES)), unique=True).flatmap(
    lambda numbers: st.fixed_dictionaries(
        {
            f.di: st.none() | st.integers(0, 10 ** (2 * f.size_bytes - 1) - 1)
            for n in numbers
            for f in CLASSES[n]
        }
    )
)


def error_code(decode, octets):
    try:
        decode(octets)
    except Dlt645Error as error:
        return error.code
    return "dlt645.none"


@given(st.integers(0, 10**8 - 1))
def test_numbers_round_trip(value):
    assert decode_bcd(encode_bcd(value, 4)) == value


@given(st.integers(-7 * 10**5, 7 * 10**5))
def test_signed_numbers_round_trip(value):
    assert decode_bcd(encode_bcd(value, 3, is_signed=True), is_signed=True) == value


@pytest.mark.parametrize("value", [10**8, -1])
def test_a_number_too_big_is_refused(value):
    with pytest.raises(ContentError):
        encode_bcd(value, 4)


def test_eight_nines_are_a_value_not_a_sign():
    (value,) = decode_values("00010000", b"\x99\x99\x99\x99")
    assert value.value == Decimal("999999.99")


def test_a_top_bit_is_a_sign_where_the_table_says_so():
    (value,) = decode_values("02030000", b"\x12\x25\x80")
    assert value.value == Decimal("-0.2512")


def test_ff_is_absent_never_zero():
    assert decode_values("00010000", b"\xff" * 4)[0].value is None


@given(times)
def test_times_round_trip(time):
    assert decode_minute(encode_minute(time)) == time
    assert decode_second(encode_second(time._replace(second=7))) == time._replace(second=7)
    assert LocalTime.from_seconds(time.to_seconds(UTC), UTC) == time


def test_local_time_becomes_utc():
    time = LocalTime(2026, 11, 22, 8, 15)
    assert time.to_seconds(ZoneInfo("Asia/Shanghai")) == time.to_seconds(UTC) - 8 * 3600


def test_a_day_that_is_none_is_refused():
    with pytest.raises(ContentError):
        LocalTime(2026, 2, 30, 0, 0).to_seconds(UTC)


@settings(max_examples=40)
@given(
    st.lists(st.builds(LoadRecord, time=times, values=values_of_record, is_wrong=st.booleans()), max_size=4)
)
def test_records_round_trip(records):
    assert decode_records(b"".join(encode_record(record) for record in records)) == records


def test_a_record_of_class_4_is_laid_out_as_annex_b_says():
    record = LoadRecord(
        LocalTime(2026, 11, 22, 8, 15), {"00010000": 123456, "00020000": 0, "00030000": 7, "00040000": None}
    )
    octets = encode_record(record)
    assert octets.hex() == (
        "a0a01b1508221126" + "aaaaaa" + "56341200" + "00000000" + "07000000" + "ffffffff" + "aaaaaa" + "6ce5"
    )
    assert decode_records(octets) == [record]


@given(st.binary(max_size=120))
def test_random_records_raise_nothing_else(octets):
    assert error_code(decode_records, octets).startswith("dlt645.")


@given(st.data())
def test_a_changed_record_is_told(data):
    octets = bytearray(encode_record(LoadRecord(LocalTime(2026, 1, 1, 0, 0), {"00010000": 5})))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Dlt645Error):
        decode_records(bytes(octets))


@given(st.sampled_from(["00010000", "0001040C", "02010200", "02030000", "05060100"]), st.data())
def test_values_round_trip(di, data):
    identifier = get_identifier(di)
    if identifier is None:
        with pytest.raises(ContentError):
            encode_value(di, Decimal(1))
        return
    counts = data.draw(st.integers(0, 10 ** (identifier.size_bytes * 2 - 1) - 1))
    value = Decimal(counts).scaleb(-identifier.decimals)
    assert decode_values(di, encode_value(di, value))[0].value == value


def test_blocks_give_one_value_an_item():
    octets = b"".join(encode_value("00010000", Decimal(n)) for n in range(5))
    assert [(v.di, v.value) for v in decode_values("0001FF00", octets)] == [
        ("00010000", 0),
        ("00010100", 1),
        ("00010200", 2),
        ("00010300", 3),
        ("00010400", 4),
    ]
    assert [v.quantity for v in decode_values("0201FF00", bytes(6))] == [
        "voltage_l1_v",
        "voltage_l2_v",
        "voltage_l3_v",
    ]
    assert [v.quantity for v in decode_values("0506013E", octets)][3] == "energy_import_t3_register_kwh"
    assert [v.di for v in decode_values("000100FF", octets)][:2] == ["00010000", "00010001"]


@pytest.mark.parametrize("di", ["00440001", "FFFFFFFF", "0001FFFF", "1", ""])
def test_an_unknown_identifier_is_an_error(di):
    with pytest.raises(ContentError):
        decode_values(di, bytes(4))


texts = st.text("0123456789ABCDEF", min_size=8, max_size=8)
four = st.binary(min_size=4, max_size=4)
requests = st.one_of(
    st.builds(services.Read, di=texts),
    st.builds(services.Read, di=texts, count=st.integers(0, 255), from_time=times),
    st.builds(services.Read, di=texts, count=st.integers(0, 255)),
    st.builds(services.ReadMore, di=texts, sequence=st.integers(0, 255)),
    st.builds(services.Write, di=texts, data=st.binary(max_size=40), password=four, operator=four),
    st.builds(
        services.RelayControl, command=st.integers(0, 255), valid_until=times, password=four, operator=four
    ),
)
ENCODERS = {
    services.Read: services.encode_read,
    services.ReadMore: services.encode_read_more,
    services.Write: services.encode_write,
    services.RelayControl: services.encode_relay_control,
}


@given(requests)
def test_requests_round_trip(request):
    frame = ENCODERS[type(request)]("000000000161", request)
    carried, _ = decode_frame(encode_frame(frame, 4))
    assert services.decode_request(carried) == request


@given(st.integers(0, 255), st.binary(max_size=60))
def test_any_content_raises_nothing_else(control, data):
    frame = Frame("000000000161", control, data)
    for decode in (services.decode_request, services.decode_answer, services.decode_address_answer):
        assert error_code(decode, frame).startswith("dlt645.")


@given(texts, st.binary(max_size=900))
def test_long_data_comes_back_from_its_follow_ups(di, data):
    answers = services.split_data(di, data)
    decoded = [services.decode_answer(services.encode_answer("000000000161", answer)) for answer in answers]
    assert decoded == answers
    assert b"".join(answer.data for answer in decoded) == data
    assert [answer.has_more for answer in decoded] == [True] * (len(decoded) - 1) + [False]


def test_the_address_answer_and_the_clock():
    frame = services.encode_address_answer("123456789012")
    assert services.decode_address_answer(frame) == "123456789012"
    time = LocalTime(2026, 11, 22, 23, 59, 58)
    date = services.encode_date_week(time, 0)
    assert date.hex() == "00221126"
    assert services.decode_clock(date, services.encode_time_of_day(time)) == time


def test_broadcast_time_is_read_back():
    time = LocalTime(2026, 11, 22, 8, 15, 30)
    frame = services.encode_broadcast_time(time)
    assert frame.address == "999999999999"
    assert services.decode_request(frame) == services.BroadcastTime(time)


@pytest.mark.parametrize("is_switch_open", [True, False])
@pytest.mark.parametrize("is_command_open", [True, False])
@pytest.mark.parametrize("is_warning", [True, False])
def test_supply_status_round_trip(is_switch_open, is_command_open, is_warning):
    status = SupplyStatus(is_switch_open, is_command_open, is_warning)
    assert decode_supply_status(encode_supply_status(status)) == status


def test_supply_status_bits():
    assert decode_supply_status(b"\x10\x00") == SupplyStatus(True, False)
    assert decode_supply_status(b"\x50\x00") == SupplyStatus(True, True)
    with pytest.raises(ContentError):
        decode_supply_status(b"\x10")
