"""Binary coded decimals and meter-local times, low byte first (DL/T 645-2007 clause 5.1)."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from wattkeeper.protocols.dlt645.errors import ContentError


def decode_digits(octets: bytes) -> str:
    """
    Return the decimal digits of `octets` (low byte first), most significant first.

    :raises ContentError: if a half byte is no decimal digit
    """
    digits = octets[::-1].hex()
    if not (digits.isascii() and digits.isdigit()):
        raise ContentError("dlt645.not-bcd", hex=octets.hex())
    return digits


def decode_bcd(octets: bytes, *, is_signed: bool = False) -> int:
    """
    Return the whole number in `octets`; with `is_signed` the top bit is the sign.

    :raises ContentError: if a half byte is no decimal digit, or there are no bytes
    """
    if not octets:
        raise ContentError("dlt645.too-short", bytes=0)
    if is_signed and octets[-1] & 0x80:
        return -int(decode_digits(octets[:-1] + bytes((octets[-1] & 0x7F,))))
    return int(decode_digits(octets))


def encode_bcd(value: int, size_bytes: int, *, is_signed: bool = False) -> bytes:
    """
    Return `value` as `size_bytes` bytes, low byte first; with `is_signed` the top bit is the sign.

    :raises ContentError: if it does not fit
    """
    digits = f"{abs(value):0{size_bytes * 2}d}"
    too_big = len(digits) > size_bytes * 2 or (is_signed and digits[0] > "7")
    if too_big or (value < 0 and not is_signed):
        raise ContentError("dlt645.out-of-range", value=value, bytes=size_bytes)
    octets = bytearray(bytes.fromhex(digits)[::-1])
    if value < 0:
        octets[-1] |= 0x80
    return bytes(octets)


def is_absent(octets: bytes) -> bool:
    """Return whether `octets` are all FF: the meter has no such value."""
    return bool(octets) and octets.count(0xFF) == len(octets)


class LocalTime(NamedTuple):
    """A wall-clock time as the meter keeps it: its zone is not on the wire. `year` has four digits."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int = 0

    def to_seconds(self, zone: tzinfo) -> int:
        """
        Return UTC seconds since the epoch; a repeated hour means its first pass.

        :raises ContentError: if there is no such day or hour
        """
        try:
            instant = datetime(*self, tzinfo=zone)
        except ValueError as error:
            raise ContentError("dlt645.no-such-time", time="-".join(map(str, self))) from error
        return int(instant.timestamp())

    @classmethod
    def from_seconds(cls, seconds: int, zone: tzinfo) -> "LocalTime":
        """Return the wall-clock time in `zone` at `seconds` since the epoch."""
        instant = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone)
        return cls(instant.year, instant.month, instant.day, instant.hour, instant.minute, instant.second)


def decode_minute(octets: bytes) -> LocalTime:
    """
    Return the time of five bytes mm hh DD MM YY.

    :raises ContentError: if there are not five or a digit is not decimal
    """
    if len(octets) != 5:
        raise ContentError("dlt645.bad-time", hex=octets.hex())
    digits = decode_digits(octets)
    minute, hour, day, month, year = (int(digits[i : i + 2]) for i in (8, 6, 4, 2, 0))
    return LocalTime(2000 + year, month, day, hour, minute)


def encode_minute(time: LocalTime) -> bytes:
    """Return five bytes mm hh DD MM YY."""
    return bytes(
        encode_bcd(part, 1)[0] for part in (time.minute, time.hour, time.day, time.month, time.year % 100)
    )


def decode_second(octets: bytes) -> LocalTime:
    """
    Return the time of six bytes ss mm hh DD MM YY.

    :raises ContentError: if there are not six or a digit is not decimal
    """
    if len(octets) != 6:
        raise ContentError("dlt645.bad-time", hex=octets.hex())
    return decode_minute(octets[1:])._replace(second=decode_bcd(octets[:1]))


def encode_second(time: LocalTime) -> bytes:
    """Return six bytes ss mm hh DD MM YY."""
    return encode_bcd(time.second, 1) + encode_minute(time)
