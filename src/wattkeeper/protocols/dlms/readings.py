"""From COSEM values to rows for people: exact decimal text, unit, instant."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TypedDict

from wattkeeper.protocols.dlms import date_time
from wattkeeper.protocols.dlms.axdr import BitString, Value
from wattkeeper.protocols.dlms.errors import ApduDamaged
from wattkeeper.protocols.dlms.notification import Entry
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.quantities import UNITS, is_clock, quantity_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reading(TypedDict):
    """One value: exact decimal text after scaling, or text. `measured_at`: UTC, None if not known."""

    id: str
    quantity: str
    value: str | None
    unit: str
    measured_at: str | None


def to_reading(entry: Entry, measured_at: str | None = None) -> Reading:
    """Return the row of an entry; without scaler and unit the value is as the meter counts."""
    id_, quantity = _names(entry.obis) if entry.obis else ("", "")
    value, unit = value_text(entry.value), ""
    if entry.scaler_unit is not None and isinstance(entry.value, int):
        scaler, unit_code = entry.scaler_unit
        value = format(Decimal(entry.value).scaleb(scaler), "f")
        unit = UNITS.get(unit_code, str(unit_code))
    return Reading(
        id=id_,
        quantity=quantity,
        value=value,
        unit=unit,
        measured_at=measured_at,
    )


@lru_cache(maxsize=4096)
def _names(obis: Obis) -> tuple[str, str]:
    return str(obis), quantity_of(obis)


def list_readings(entries: list[Entry], sent_at: bytes) -> list[Reading]:
    """Return the rows of a pushed list, measured at its own clock or, without one, at `sent_at`."""
    clocks = [entry.value for entry in entries if entry.obis is not None and is_clock(entry.obis)]
    measured_at = instant_text(clocks[0] if clocks else sent_at)
    return [to_reading(entry, measured_at) for entry in entries if entry.value is not None]


def instant_text(octets: Value) -> str | None:
    """Return a date-time as ISO 8601 in UTC, None if it does not say which instant it is."""
    if not isinstance(octets, bytes):
        return None
    try:
        at_s = date_time.to_utc_s(octets)
    except ApduDamaged:
        return None
    return None if at_s is None else (_EPOCH + timedelta(seconds=at_s)).isoformat().replace("+00:00", "Z")


def value_text(value: Value) -> str | None:
    """Return `value` as text: numbers exactly, octets as the text or time they are, else in hexadecimal."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, BitString):
        return format(value.value, f"0{value.bit_count}b") if value.bit_count else ""
    if isinstance(value, bytes):
        return _octets_text(value)
    return value.strip("\0 ") if isinstance(value, str) else str(value)


def _octets_text(octets: bytes) -> str:
    if len(octets) == 12 and not octets.isdigit():
        local = _local_text(octets)
        if local:
            return instant_text(octets) or local
    stripped = octets.rstrip(b"\0 ")
    is_text = stripped.isascii() and stripped.decode("latin-1").isprintable()
    return stripped.decode("ascii") if is_text else octets.hex()


def _local_text(octets: bytes) -> str | None:
    try:
        local = date_time.local_time(octets)
    except ApduDamaged:
        return None
    return local.isoformat() if local is not None and 1990 <= local.year < 2100 else None


def obis_of(octets: Value) -> Obis | None:
    """Return the OBIS code of six octets, or None."""
    return Obis.from_bytes(octets) if isinstance(octets, bytes) and len(octets) == 6 else None
