"""Captures described: mixed links, garbage, damage, missing keys, anything at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import hdlc, mbus, security, services, wrapper
from wattkeeper.protocols.dlms.apdus import Descriptor
from wattkeeper.protocols.dlms.date_time import encode as encode_date_time
from wattkeeper.protocols.dlms.describe import decode_chunks, decode_stream, learn
from wattkeeper.protocols.dlms.encoding import (
    array,
    double_long_unsigned,
    enum,
    integer,
    octet_string,
    structure,
    visible_string,
)
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.security import Keys

ENERGY = Obis(1, 0, 1, 8, 0)
LIST = array(
    structure(
        octet_string(ENERGY.to_bytes()), double_long_unsigned(123_456), structure(integer(-1), enum(30))
    )
)
PUSH = services.data_notification(1, LIST, encode_date_time(1_700_000_000, deviation_min=-60))
KEYS = {"guek": bytes(range(16)), "gak": bytes(range(0xD0, 0xE0))}
TITLE = b"WTK00001"


def ciphered(counter: int = 1) -> bytes:
    text = security.protect(
        PUSH,
        keys=Keys(KEYS["guek"], KEYS["gak"]),
        system_title=TITLE,
        counter=counter,
        security_control=0x30,
    )
    return security.wrap_general(TITLE, text)


LINKS = {
    "hdlc": hdlc.encode_frame(1, 5, 0x13, b"\xe6\xe7\x00" + PUSH),
    "wrapper": wrapper.encode_frame(5, 103, PUSH),
    "mbus": mbus.encode_frame(5, 0, PUSH, is_last=True),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_push_in_every_link(link: str) -> None:
    (row,) = decode_stream(LINKS[link], {})
    assert row["frame"] == LINKS[link].hex()
    assert (row["protocol"], row["address"], row["service"]) == ("dlms", "5", "data-notification")
    assert row["error"] is None
    assert row["readings"] == [
        {
            "id": "1-0:1.8.0",
            "quantity": "energy_import",
            "value": "12345.6",
            "unit": "Wh",
            "measured_at": "2023-11-14T22:13:20Z",
        }
    ]


def test_links_mixed_with_garbage_between() -> None:
    data = b"\xff\xfe".join(LINKS.values()) + b"\xff"
    codes = [row["error"] and row["error"]["code"] for row in decode_stream(data, {})]
    assert codes == [None, "dlms.garbage", None, "dlms.garbage", None, "dlms.garbage"]
    assert "".join(row["frame"] for row in decode_stream(data, {})) == data.hex()


@pytest.mark.parametrize("data", [PUSH, b"\xe6\xe7\x00" + PUSH, LINKS["hdlc"][1:-1], LIST, PUSH * 3])
def test_bare_forms(data: bytes) -> None:
    rows = list(decode_stream(data, {}))
    assert [row["error"] for row in rows] == [None] * (3 if data == PUSH * 3 else 1)
    assert all(row["readings"][0]["value"] == "12345.6" for row in rows)


def test_segments_join() -> None:
    information = b"\xe6\xe7\x00" + PUSH
    data = hdlc.encode_frame(1, 5, 0x10, information[:20], is_segmented=True)
    data += hdlc.encode_frame(1, 5, 0x12, information[20:])
    rows = list(decode_stream(data, {}))
    assert [(row["service"], len(row["readings"])) for row in rows] == [
        ("segment", 0),
        ("data-notification", 1),
    ]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (KEYS, None),
        ({"guek": KEYS["guek"]}, None),
        ({}, "dlms.no-key"),
        (KEYS | {"guek": bytes(16)}, "dlms.wrong-key"),
        (KEYS | {"gak": bytes(16)}, "dlms.wrong-key"),
        ({"guek": b"short", "gak": KEYS["gak"]}, "dlms.key-length"),
    ],
)
def test_keys(keys: dict[str, bytes], code: str | None) -> None:
    (row,) = decode_stream(ciphered(), keys)
    assert (row["error"] and row["error"]["code"]) == code
    assert row["address"] == TITLE.hex()
    assert len(row["readings"]) == (0 if code else 1)


@pytest.mark.parametrize("link", LINKS)
def test_a_changed_byte_is_always_an_error_or_shown(link: str) -> None:
    good = LINKS[link]
    for position in range(1, len(good) - 1):
        data = bytearray(good)
        data[position] ^= 0x10
        rows = list(decode_stream(bytes(data), {}))
        clean = [row for row in rows if row["error"] is None]
        if link != "wrapper":
            assert not clean
        assert rows != list(decode_stream(good, {}))


def test_a_damaged_frame_is_shown_with_its_error() -> None:
    data = bytearray(LINKS["hdlc"])
    data[-2] ^= 1
    (row,) = decode_stream(bytes(data), {})
    assert row["error"] is not None
    assert row["error"]["code"] == "dlms.frame-check"
    assert row["readings"][0]["value"] == "12345.6"


def test_an_answer_is_named_by_its_request_and_scaled_by_what_was_read() -> None:
    scaler_unit = structure(integer(1), enum(30))
    chunks = [
        services.get_request(0xC1, Descriptor(3, ENERGY, 3)),
        services.get_response(0xC1, scaler_unit),
        services.get_request(0xC2, Descriptor(3, ENERGY, 2)),
        services.get_response(0xC2, double_long_unsigned(7)),
    ]
    rows = list(decode_chunks([wrapper.encode_frame(1, 16, chunk) for chunk in chunks], {}))
    assert [row["error"] for row in rows] == [None] * 4
    assert [(r["id"], r["value"], r["unit"]) for row in rows for r in row["readings"]] == [
        ("1-0:1.8.0", "70", "Wh")
    ]


def test_a_cut_frame_is_called_cut() -> None:
    for frame in (*LINKS.values(), ciphered()):
        (row,) = decode_stream(frame[: len(frame) - 3], KEYS)
        assert row["error"] is not None
        assert row["error"]["code"] == "dlms.cut-short"


def test_values_without_a_code_are_kept() -> None:
    push = services.data_notification(1, structure(visible_string("hello"), integer(-3)))
    (row,) = decode_stream(push, {})
    assert [(r["id"], r["value"]) for r in row["readings"]] == [("", "hello"), ("", "-3")]


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([*LINKS.values(), PUSH, LIST, ciphered()])),
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_anything_is_described_and_no_byte_is_lost(parts: list[bytes]) -> None:
    data = b"".join(parts)
    rows = list(decode_stream(data, KEYS))
    shown = "".join(row["frame"] for row in rows)
    assert len(shown) <= 2 * len(data)
    assert shown.replace("7e", "") == data.hex().replace("7e", "") or b"\x7e" in data


def test_much_garbage_is_quick() -> None:
    for pattern in (b"\x00\x01", b"\x7e\xa0", b"\x68\x05\x05\x68", b"\xdb\x08"):
        rows = list(decode_stream(pattern * 20_000, {}))
        assert all(row["error"] is not None for row in rows)


REQUEST, ANSWER = "c001c1%s00", "c401c1%s"
SCALER = (REQUEST % "00030100010800ff03", ANSWER % "0002020f02161e")
VALUE = (REQUEST % "00030100010800ff02", ANSWER % "000600003039")


def exchanged(*pairs: tuple[str, str]) -> list[bytes]:
    return [bytes.fromhex(text) for pair in pairs for text in pair]


def told(chunks: list[bytes]) -> list[tuple[str | None, str]]:
    rows = list(decode_chunks(chunks, {}, learn(chunks, {})))
    assert not any(row["error"] for row in rows)
    return [(r["value"], r["unit"]) for row in rows for r in row["readings"]]


def test_a_scaler_read_after_its_value_still_scales_it() -> None:
    chunks = exchanged(VALUE, SCALER)
    assert told(chunks) == [("1234500", "Wh")]
    assert [r["value"] for row in decode_chunks(chunks, {}) for r in row["readings"]] == ["12345"]


def test_scalers_that_contradict_each_other_scale_only_what_follows() -> None:
    other = (SCALER[0], ANSWER % "0002020f01161e")
    assert told(exchanged(VALUE, SCALER, VALUE, other, VALUE)) == [
        ("12345", ""),
        ("1234500", "Wh"),
        ("123450", "Wh"),
    ]


def test_another_meters_scaler_scales_nothing() -> None:
    aares = [
        bytes.fromhex("6135a109060760857405080101a203020100a305a103020100a40a0408")
        + title
        + bytes.fromhex("be10040e0800065f1f040000001002000007")
        for title in (b"AAA00001", b"AAA00002")
    ]
    chunks = [aares[0], *exchanged(SCALER, VALUE), aares[1], *exchanged(VALUE)]
    assert told(chunks) == [("1234500", "Wh"), ("12345", "")]
