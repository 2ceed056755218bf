"""COSEM date-time: deviation and its sign, unspecified fields, repeated hours."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.dlms.date_time import deviation, encode, local_time, to_utc_s
from wattkeeper.protocols.dlms.errors import ApduDamaged

OCTETS = bytes.fromhex("07e5091b01092f0f00ff8880")  # 2021-09-27 09:47:15, deviation -120


def seconds(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[misc]


def test_a_negative_deviation_is_east_of_utc() -> None:
    assert deviation(OCTETS) == -120
    assert to_utc_s(OCTETS) == seconds(2021, 9, 27, 7, 47, 15)


def test_the_sign_is_an_option() -> None:
    assert to_utc_s(OCTETS, is_deviation_inverted=True) == seconds(2021, 9, 27, 11, 47, 15)


@given(st.integers(0, 4_000_000_000), st.integers(-720, 720))
def test_round_trip(at_s: int, deviation_min: int) -> None:
    octets = encode(at_s, deviation_min=deviation_min)
    assert to_utc_s(octets) == at_s
    assert to_utc_s(octets[:9] + b"\x80\x00\x00") is None


def test_without_deviation_the_zone_decides_and_the_status_the_repeated_hour() -> None:
    octets = bytes.fromhex("07e70a1d07021e0000800080")  # 2023-10-29 02:30 in Berlin, summer time
    zone = ZoneInfo("Europe/Berlin")
    assert to_utc_s(octets) is None
    assert to_utc_s(octets, zone=zone) == seconds(2023, 10, 29, 0, 30)
    assert to_utc_s(octets[:11] + b"\x00", zone=zone) == seconds(2023, 10, 29, 1, 30)


def test_unspecified_fields() -> None:
    assert local_time(b"\xff\xff" + OCTETS[2:]) is None
    assert to_utc_s(OCTETS[:7] + b"\xff" + OCTETS[8:]) == seconds(2021, 9, 27, 7, 47, 0)


@pytest.mark.parametrize("octets", [b"", OCTETS[:-1], b"\x07\xe5\x02\x1e" + OCTETS[4:], bytes(12)])
def test_what_is_no_date(octets: bytes) -> None:
    with pytest.raises(ApduDamaged):
        to_utc_s(octets)


@given(st.binary(min_size=12, max_size=12))
def test_random_octets_raise_only_the_protocols_error(octets: bytes) -> None:
    with contextlib.suppress(ApduDamaged):
        assert isinstance(to_utc_s(octets, zone=UTC), int | None)
