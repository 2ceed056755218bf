"""COSEM date-time, 12 octets (IEC 62056-6-2 clause 4.1.6.1).

    year (2) | month | day | weekday | hour | minute | second | hundredths | deviation (2, signed) | status

FF in a field and 8000 in the deviation mean "not specified". The deviation is in minutes from local time to
UTC, so FFC4 (-60) is UTC+1; some devices mean the opposite, hence `is_deviation_inverted`.
"""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from wattkeeper.protocols.dlms.errors import ApduDamaged

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_DEVIATION = -0x8000
STATUS_INVALID = 0x01
STATUS_DOUBTFUL = 0x02
STATUS_DAYLIGHT_SAVING = 0x80


def encode(at_s: int, *, deviation_min: int = 0, status: int = 0) -> bytes:
    """Return the 12 octets of the instant `at_s` (UTC seconds) in the local time of `deviation_min`.

    :raises ApduDamaged: if the year does not fit
    """
    try:
        local = _EPOCH + timedelta(seconds=at_s, minutes=-deviation_min)
    except OverflowError:
        raise ApduDamaged("dlms.value-range", value=at_s) from None
    return (
        local.year.to_bytes(2, "big")
        + bytes((local.month, local.day, local.isoweekday(), local.hour, local.minute, local.second, 0))
        + deviation_min.to_bytes(2, "big", signed=True)
        + bytes((status,))
    )


def local_time(octets: bytes) -> datetime | None:
    """
    Return the naive local time as written, or None if year, month, day, hour or minute is not specified.

    :raises ApduDamaged: if these are not twelve octets of a real date and time
    """
    if len(octets) != 12:
        raise ApduDamaged("dlms.bad-date-time", byte_count=len(octets))
    year = octets[0] << 8 | octets[1]
    month, day, _, hour, minute, second = octets[2:8]
    if year == 0xFFFF or 0xFF in (month, day, hour, minute):
        return None
    try:
        return datetime(year, month, day, hour, minute, 0 if second == 0xFF else second)  # noqa: DTZ001
    except ValueError:
        raise ApduDamaged("dlms.bad-date-time", octets=octets.hex()) from None


def deviation(octets: bytes) -> int | None:
    """Return the deviation in minutes (-60 is UTC+1), or None if it is not specified."""
    minutes = int.from_bytes(octets[9:11], "big", signed=True)
    return None if minutes == _NO_DEVIATION else minutes


def to_utc_s(octets: bytes, *, zone: tzinfo | None = None, is_deviation_inverted: bool = False) -> int | None:
    """
    Return the instant in UTC seconds, or None if it is not specified.

    Without a deviation in the octets the local time is taken to be in `zone`; without a zone it is unknown.
    The daylight-saving bit of the status chooses between the two readings of a repeated hour.

    :raises ApduDamaged: if these are not twelve octets of a real date and time
    """
    local = local_time(octets)
    minutes = deviation(octets)
    if local is None:
        return None
    if minutes is not None and abs(minutes) <= 840:
        offset: tzinfo = timezone(timedelta(minutes=minutes if is_deviation_inverted else -minutes))
        return _seconds(local.replace(tzinfo=offset))
    if minutes is not None:
        raise ApduDamaged("dlms.bad-date-time", octets=octets.hex())
    if zone is None:
        return None
    return _seconds(local.replace(tzinfo=zone, fold=0 if octets[11] & STATUS_DAYLIGHT_SAVING else 1))


def _seconds(instant: datetime) -> int:
    try:
        return (instant.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
    except OverflowError:
        raise ApduDamaged("dlms.bad-date-time") from None
