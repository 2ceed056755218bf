"""From COSEM values to readings: exact decimals in the unit of the reading type, flags, texts."""

from decimal import Decimal

from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reading_types import ReadingType
from wattkeeper.drivers.api import AnswerDamaged
from wattkeeper.protocols.dlms.axdr import BitString, Value
from wattkeeper.protocols.dlms.date_time import STATUS_DOUBTFUL, STATUS_INVALID

ScalerUnit = tuple[int, int]

# (unit of the reading type, unit of IEC 62056-6-2) -> power of ten between them
_EXPONENTS = {
    ("kWh", 30): -3,
    ("kvarh", 32): -3,
    ("W", 27): 0,
    ("var", 29): 0,
    ("A", 33): 0,
    ("V", 35): 0,
    ("Hz", 44): 0,
    ("ratio", 255): 0,
}

# Bits of the profile status (DLMS UA companion specifications, "AMR profile status")
_STATUS_FLAGS = (
    (0x01, Flag.SUSPECT),
    (0x02, Flag.CLOCK_INVALID),
    (0x04, Flag.SUSPECT),
    (0x20, Flag.CLOCK_ADJUSTED),
    (0x80, Flag.POWER_LOST),
)


def scaler_unit_of(value: Value) -> ScalerUnit:
    """
    Return the scaler and unit in a register's attribute 3.

    :raises AnswerDamaged: if it is not a pair of integers
    """
    if isinstance(value, list) and len(value) == 2:
        scaler, unit = value
        if isinstance(scaler, int) and isinstance(unit, int) and -128 <= scaler <= 127:
            return scaler, unit
    raise AnswerDamaged("drivers.bad-scaler", is_permanent=False)


def scaled(value: int, scaler_unit: ScalerUnit, reading_type: ReadingType) -> Decimal:
    """
    Return `value` exactly, in the unit of `reading_type`.

    :raises AnswerDamaged: ``drivers.unit-mismatch`` if the meter counts something else
    """
    scaler, unit = scaler_unit
    exponent = _EXPONENTS.get((reading_type.unit, unit))
    if exponent is None:
        raise AnswerDamaged("drivers.unit-mismatch", reading_type=reading_type.code, unit=unit)
    return Decimal(value).scaleb(scaler + exponent)


def status_flags(status: Value) -> Flag:
    """Return the flags of a record's status word; what is no number says nothing."""
    word = status.value if isinstance(status, BitString) else status
    flags = Flag.NONE
    if isinstance(word, int):
        for bit, flag in _STATUS_FLAGS:
            flags |= flag if word & bit else Flag.NONE
    return flags


def clock_flags(octets: bytes) -> Flag:
    """Return the flags of a date-time's clock status."""
    is_doubtful = octets[11] != 0xFF and octets[11] & (STATUS_INVALID | STATUS_DOUBTFUL)
    return Flag.CLOCK_INVALID if is_doubtful else Flag.NONE


def text_of(value: Value) -> str:
    """Return a name or serial number as text, without padding."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip("\0 ") if isinstance(value, str) else str(value)
