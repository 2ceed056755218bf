import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import shared_path
from wattkeeper.protocols.dlt645.bcd import LocalTime
from wattkeeper.protocols.dlt645.describe import decode_chunks, decode_stream
from wattkeeper.protocols.dlt645.frame import Frame, encode_frame
from wattkeeper.protocols.dlt645.records import LoadRecord, encode_record
from wattkeeper.protocols.dlt645.services import Answer, encode_answer, split_data

GOOD = bytes.fromhex("6861010000000068910833333433593333338a16")
KEYS = {"frame", "protocol", "address", "service", "readings", "error"}


def test_one_frame():
    (row,) = decode_stream(GOOD, {})
    assert row == {
        "frame": GOOD.hex(),
        "protocol": "dlt645",
        "address": "000000000161",
        "service": "read-answer",
        "readings": [
            {
                "id": "00010000",
                "quantity": "energy_import_register_kwh",
                "value": "0.26",
                "unit": "kWh",
                "measured_at": None,
            }
        ],
        "error": None,
    }


def test_garbage_between_frames_is_one_row():
    rows = list(decode_stream(GOOD + b"\x01\x02\x68\x03" * 300 + GOOD, {}))
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert b"".join(bytes.fromhex(row["frame"]) for row in rows) == GOOD + b"\x01\x02\x68\x03" * 300 + GOOD


def test_a_damaged_frame_and_a_cut_one():
    damaged = bytearray(GOOD)
    damaged[12] ^= 1
    rows = list(decode_stream(bytes(damaged) + GOOD + GOOD[:-3], {}))
    assert [row["error"] and row["error"]["code"] for row in rows] == [
        "dlt645.checksum",
        None,
        "dlt645.cut-short",
    ]


def test_load_records_carry_their_instant():
    record = LoadRecord(LocalTime(2026, 11, 22, 8, 15), {"00010000": 123456, "00020000": None})
    frame = encode_answer("000000000161", Answer(0x11, "06040001", encode_record(record)))
    (row,) = decode_stream(encode_frame(frame), {})
    first, second, *_ = row["readings"]
    assert (first["value"], first["measured_at"]) == ("1234.56", "2026-11-22T00:15:00Z")
    assert second["value"] is None


def test_follow_up_frames_are_joined():
    data = bytes.fromhex("26000000") * 5
    parts = [
        encode_frame(encode_answer("000000000161", a)) for a in split_data("0001FF00", data, part_bytes=6)
    ]
    rows = list(decode_chunks(parts, {}))
    assert [len(row["readings"]) for row in rows] == [0, 0, 0, 5]
    assert not any(row["error"] for row in rows)


def test_what_is_unknown_or_not_decimal_is_said():
    unknown = encode_frame(encode_answer("000000000161", Answer(0x11, "00EE0000", bytes(4))))
    broken = encode_frame(encode_answer("000000000161", Answer(0x11, "00010000", b"\x00\x00\x0e\x00")))
    codes = [row["error"]["code"] for row in decode_stream(unknown + broken, {})]
    assert codes == ["dlt645.unknown-identifier", "dlt645.not-bcd"]


def test_services_are_named():
    refused = encode_frame(Frame("000000000161", 0xD1, b"\x04"))
    trip = bytes.fromhex("68111111111111681c1033333333333333334d3357744845384b5516")
    rows = list(decode_stream(refused + trip, {}))
    assert [row["service"] for row in rows] == ["read-refused", "relay-trip-request"]
    assert rows[0]["readings"][0]["value"] == "4"


@given(st.binary(max_size=400))
def test_random_bytes_become_rows_that_hold_them_all(octets):
    rows = list(decode_stream(octets, {}))
    assert b"".join(bytes.fromhex(row["frame"]) for row in rows) == octets
    assert all(set(row) == KEYS for row in rows)


def test_shared_vectors_as_one_stream():
    lines = [json.loads(line) for line in shared_path("vectors/dlt645/frames.jsonl").read_text().splitlines()]
    rows = list(decode_chunks([bytes.fromhex(line["hex"]) for line in lines], {}))
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        expected = line["expected"] or {}
        is_bad = not line["checksum_ok"] or expected.get("invalid_bcd", False)
        assert bool(row["error"]) is is_bad
        if "value" in expected:
            assert row["readings"][0]["value"] == expected["value"]


@pytest.mark.parametrize("wake_up_count", [0, 4, 700])
def test_wake_up_bytes(wake_up_count):
    rows = list(decode_stream(b"\xfe" * wake_up_count + GOOD, {}))
    assert rows[-1]["error"] is None
