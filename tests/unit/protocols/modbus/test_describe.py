from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.describe import Meaning, decode_chunks, decode_stream
from wattkeeper.protocols.modbus.frame import Adu, encode_rtu, encode_tcp

ASK = pdu.encode_request(pdu.ReadRegisters(3, 100, 2))
TELL = pdu.encode_answer(pdu.Registers(3, bytes.fromhex("0001e240")))
KEYS = {"frame", "protocol", "address", "service", "readings", "error"}


def values(row):
    return [(r["id"], r["value"]) for r in row["readings"]]


def test_a_tcp_answer_takes_its_registers_from_its_request():
    rows = list(decode_stream(encode_tcp(Adu(5, ASK, 9)) + encode_tcp(Adu(5, TELL, 9)), {}))
    assert [row["service"] for row in rows] == ["read-holding-request", "read-holding-answer"]
    assert [row["address"] for row in rows] == ["5", "5"]
    assert values(rows[1]) == [("100", "1"), ("101", "57920")]
    assert rows[1]["readings"][0]["quantity"] == "register"


def test_requests_of_one_line_explain_answers_of_the_next():
    rows = list(decode_chunks([encode_rtu(Adu(5, ASK)), encode_rtu(Adu(5, TELL))], {}))
    assert values(rows[1]) == [("100", "1"), ("101", "57920")]


def test_an_answer_alone_counts_from_zero():
    (row,) = decode_stream(encode_rtu(Adu(5, TELL)), {})
    assert values(row) == [("0", "1"), ("1", "57920")]


def test_another_transaction_explains_nothing():
    rows = list(decode_stream(encode_tcp(Adu(5, ASK, 9)) + encode_tcp(Adu(5, TELL, 8)), {}))
    assert values(rows[1])[0] == ("0", "1")


def test_a_map_gives_meaning():
    registers = {100: Meaning("energy_import_register_kwh", "kWh", "u32", Decimal("0.01"))}
    octets = encode_rtu(Adu(5, ASK)) + encode_rtu(Adu(5, TELL))
    row = list(decode_stream(octets, {}, registers=registers))[1]
    assert row["readings"] == [
        {
            "id": "100",
            "quantity": "energy_import_register_kwh",
            "value": "1234.56",
            "unit": "kWh",
            "measured_at": None,
        }
    ]


def test_bits_files_writes_and_refusals():
    pairs = [
        (pdu.ReadBits(1, 3, 2), pdu.Bits(1, b"\x02"), [("3", "0"), ("4", "1")]),
        (
            pdu.ReadBits(1, 3, 20),
            pdu.Bits(1, b"\x01\x00\x00"),
            [(str(3 + i), str(int(i == 0))) for i in range(20)],
        ),
        (
            pdu.ReadFile((pdu.FileSpan(2, 8, 2),)),
            pdu.FileRecords((b"\x00\x01\x00\x02",)),
            [("2/8", "1"), ("2/9", "2")],
        ),
        (pdu.WriteCoil(0, True), pdu.WriteCoil(0, True), []),
        (pdu.WriteRegisters(110, bytes(4)), pdu.WroteRegisters(110, 2), []),
        (pdu.ReadRegisters(4, 1, 1), pdu.Refused(4, 2), [("", "2")]),
    ]
    for request, answer, expected in pairs:
        octets = encode_rtu(Adu(7, pdu.encode_request(request))) + encode_rtu(
            Adu(7, pdu.encode_answer(answer))
        )
        asked, told = decode_stream(octets, {})
        assert asked["service"].endswith("-request")
        assert told["service"].endswith(("-answer", "-refused"))
        assert values(told) == expected
        assert told["error"] is None


def test_damage_is_one_row_and_the_next_frame_is_found():
    damaged = bytearray(encode_rtu(Adu(5, TELL)))
    damaged[4] ^= 1
    rows = list(decode_stream(bytes(damaged) + encode_rtu(Adu(5, TELL)), {}))
    assert [row["error"] and row["error"]["code"] for row in rows] == ["modbus.checksum", None]
    (row,) = decode_stream(encode_tcp(Adu(5, TELL, 8))[:-1], {})
    assert row["error"]["code"] == "modbus.cut-short"


@given(st.binary(max_size=300))
def test_random_bytes_become_rows_that_hold_them_all(octets):
    rows = list(decode_stream(octets, {}))
    assert b"".join(bytes.fromhex(row["frame"]) for row in rows) == octets
    assert all(set(row) == KEYS for row in rows)


def test_a_map_does_not_speak_for_registers_whose_numbers_are_not_known():
    registers = {0: Meaning("energy_import_register_kwh", "kWh", "u32", Decimal("0.01"))}
    (row,) = decode_stream(encode_rtu(Adu(5, TELL)), {}, registers=registers)
    assert [reading["quantity"] for reading in row["readings"]] == ["register", "register"]
