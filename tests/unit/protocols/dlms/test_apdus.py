"""ACSE, initiate and service APDUs: golden bytes, round trips, every cut, random bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import acse, initiate, services
from wattkeeper.protocols.dlms.acse import AssociationRequest, AssociationResponse
from wattkeeper.protocols.dlms.apdus import Access, Descriptor, Result, decode_apdu
from wattkeeper.protocols.dlms.encoding import NULL, octet_string, unsigned
from wattkeeper.protocols.dlms.errors import ApduDamaged
from wattkeeper.protocols.dlms.obis import Obis

ENERGY = Descriptor(3, Obis(1, 0, 1, 8, 0), 2)
DATE = bytes.fromhex("07e5091b01092f0f00ff8880")
EXAMPLES = {
    "get-request-normal": services.get_request(0xC1, ENERGY),
    "get-request-next": services.get_request_next(0xC1, 7),
    "get-request-with-list": services.get_request_with_list(0xC1, [ENERGY, ENERGY]),
    "set-request-normal": services.set_request(0xC1, ENERGY, unsigned(5)),
    "action-request-normal": services.action_request(0xC1, ENERGY, unsigned(5)),
    "get-response-normal": services.get_response(0xC1, unsigned(5)),
    "get-response-with-datablock": services.get_response_block(0xC1, 3, b"abc", is_last=True),
    "get-response-with-list": b"\xc4\x03\xc1" + services.get_results([unsigned(1), 4]),
    "set-response-normal": services.set_response(0xC1, 3),
    "set-response-last-datablock": bytes.fromhex("c503c10000000007"),
    "action-response-normal": services.action_response(0xC1, 0, unsigned(1)),
    "action-response-with-pblock": bytes.fromhex("c702c10100000001020102"),
    "set-request-with-first-datablock": bytes.fromhex("c102c100030100010800ff0200")
    + b"\x00\x00\x00\x00\x01\x01a",
    "event-notification": bytes.fromhex("c200") + bytes.fromhex("00030100010800ff02") + unsigned(9),
    "data-notification": services.data_notification(1, octet_string(b"x"), DATE),
    "exception-response": services.exception_response(1, 6, 99),
    "confirmed-service-error": bytes.fromhex("0e010601"),
}


@pytest.mark.parametrize(("service", "apdu"), EXAMPLES.items())
def test_every_service_decodes_and_every_cut_is_an_error(service: str, apdu: bytes) -> None:
    assert decode_apdu(apdu).service == service
    for end in range(len(apdu)):
        with pytest.raises(ApduDamaged):
            decode_apdu(apdu[:end])
    with pytest.raises(ApduDamaged):
        decode_apdu(apdu + b"\x00\x00")


def test_fields() -> None:
    assert decode_apdu(EXAMPLES["get-request-normal"]).targets == [(ENERGY, None)]
    assert decode_apdu(EXAMPLES["get-response-with-list"]).results == [Result(0, 1), Result(4)]
    assert decode_apdu(EXAMPLES["exception-response"]).error == (1, 6, 99)
    assert decode_apdu(EXAMPLES["action-response-normal"]).results == [Result(0, 1)]
    assert decode_apdu(services.get_response_error(0xC1, 3)).results == [Result(3)]
    ranged = decode_apdu(services.get_request(0xC1, ENERGY, services.entry_access(1, 0)))
    assert ranged.targets[0].access == Access(2, [1, 0, 1, 0])


@pytest.mark.parametrize("head", [b"\x0c" + DATE, b"\x09\x0c" + DATE, b"\x00"])
def test_a_push_writes_its_time_in_three_ways(head: bytes) -> None:
    apdu = decode_apdu(b"\x0f\x00\x00\x00\x07" + head + NULL)
    assert (apdu.invoke, apdu.date_time, apdu.values) == (7, DATE if len(head) > 1 else b"", [None])


@given(st.binary(max_size=120), st.sampled_from([apdu[:3] for apdu in EXAMPLES.values()] + [b""]))
@settings(max_examples=600, deadline=None)
def test_random_bytes_raise_only_the_protocols_error(octets: bytes, head: bytes) -> None:
    decoders = (decode_apdu, acse.decode_request, acse.decode_response, acse.decode_release)
    for decode in (*decoders, initiate.decode_request, initiate.decode_response):
        for data in (head + octets, b"\x60" + octets, b"\x61" + octets, b"\x62" + octets):
            try:
                decode(data)  # type: ignore[operator]
            except ApduDamaged:
                continue


@given(
    st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=64), st.binary(min_size=1, max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_association_round_trip_and_every_cut(title: bytes, secret: bytes, information: bytes) -> None:
    request = AssociationRequest(3, information, 5, title, secret)
    response = AssociationResponse(3, 0, 14, information, 5, title, secret)
    assert acse.decode_request(request.encode()) == request
    assert acse.decode_response(response.encode()) == response
    for end in range(len(request.encode())):
        with pytest.raises(ApduDamaged):
            acse.decode_request(request.encode()[:end])


@given(st.integers(0, 2**24 - 1), st.integers(0, 65535), st.binary(max_size=32))
def test_initiate_round_trip(conformance: int, max_pdu_bytes: int, key: bytes) -> None:
    request = initiate.InitiateRequest(conformance, max_pdu_bytes, key)
    response = initiate.InitiateResponse(conformance, max_pdu_bytes)
    assert initiate.decode_request(request.encode()) == request
    assert initiate.decode_response(response.encode()) == response


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(AssociationRequest(1, b"", 1, b"", b"secret"))
    assert "secret" not in repr(initiate.InitiateRequest(0, 0, b"secret"))
