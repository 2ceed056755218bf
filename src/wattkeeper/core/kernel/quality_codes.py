"""The one table between our quality and the codes of AEMO, ESPI, IEC 61968-9, MSCONS and the UK.

A quality is a provenance, flags and a method. Its name (``raw``, ``est.linear+power_lost``) is total and one
to one; so is its list of IEC 61968-9 codes. The other standards say less: what they can't say is folded into
the nearest thing they can, and decoding what was encoded never changes it a second time; files say the rest
in words beside the codes (formats.quality_words).

Sources: AEMO Meter Data File Format v2.6 (QualityMethod); NAESB REQ.21 ESPI 4.0 (QualityOfReading); IEC
61968-9 annex of reading quality codes (system.category.index); EDI@Energy MSCONS (QTY 6063 and STS 9013);
Elexon half-hourly actual and estimated.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from wattkeeper.core.kernel.quality import Flag, Method, Provenance


class Quality(NamedTuple):
    """What is stored beside a value."""

    provenance: Provenance
    flags: Flag = Flag.NONE
    method: Method = Method.NONE


class Row(NamedTuple):
    """One line of the table: how each standard says a quality."""

    name: str
    quality: Quality
    aemo: str
    espi: tuple[int, ...]
    iec: tuple[str, ...]
    mscons: tuple[str, ...]
    uk: str


_VERIFIED = Flag.VALIDATED | Flag.ACCEPTED
_GRADES = {_VERIFIED: "verified", Flag.VALIDATED: "valid", Flag.SUSPECT: "suspect", Flag.NONE: "raw"}


def _measured(grade: Flag, aemo: str, espi: int, iec: str, mscons: tuple[str, ...], uk: str) -> Row:
    return Row(_GRADES[grade], Quality(Provenance.MEASURED, grade), aemo, (espi,), (iec,), mscons, uk)


def _estimated(method: Method, aemo: str, espi: int, *statuses: str, also_iec: tuple[str, ...] = ()) -> Row:
    name = "est" if method is Method.NONE else f"est.{method.name.lower()}"
    iec = (f"3.8.{int(method)}", *also_iec)
    return Row(
        name, Quality(Provenance.ESTIMATED, Flag.NONE, method), aemo, (espi,), iec, ("67", *statuses), "E"
    )


_SCALED = Quality(Provenance.ESTIMATED, Flag.REGISTER_BRACKETED)
ROWS: tuple[Row, ...] = (
    _measured(Flag.NONE, "A", 14, "1.0.0", ("220",), "A"),
    _measured(Flag.VALIDATED, "A", 17, "3.0.1", ("220",), "A"),
    _measured(_VERIFIED, "A", 18, "3.10.1", ("220", "Z86"), "A"),
    _measured(Flag.SUSPECT, "N", 10, "3.5.258", ("20",), ""),
    Row("missing", Quality(Provenance.MISSING), "N", (), ("3.5.259",), ("Z30",), ""),
    _estimated(Method.NONE, "S18", 8),
    _estimated(Method.LINEAR, "S17", 9, "Z92"),
    _estimated(Method.LIKE_DAY, "S14", 8, "Z95"),
    _estimated(Method.AVERAGE_LIKE_DAY, "S15", 8, "Z95"),
    _estimated(Method.PREVIOUS_YEAR, "S23", 8, "Z95"),
    Row("est+register_bracketed", _SCALED, "S24", (11,), ("3.8.0", "3.11.0"), ("67", "Z90"), "E"),
    _estimated(Method.EVEN_SPREAD, "S24", 11, "Z90"),
    _estimated(Method.EXCHANGE, "S18", 8),
    _estimated(Method.FLAT_LINE, "S18", 8, "Z93"),
    _estimated(Method.DAILY_AVERAGE, "S25", 8),
    _estimated(Method.CHECK_METER, "S11", 11, "Z88"),
    _estimated(Method.NETWORK_BALANCE, "S12", 11, "Z94", also_iec=("3.11.0",)),
    _estimated(Method.KNOWN_ZERO, "S19", 8, "Z84"),
    _estimated(Method.CLASS_PROFILE, "S57", 8, "ZJ2"),
    _estimated(Method.UNFILLED, "S18", 8),  # of no estimate: here so that every quality has a line
    Row("edited", Quality(Provenance.EDITED), "F55", (7,), ("3.7.0",), ("67",), "E"),
    Row("derived", Quality(Provenance.DERIVED), "S12", (11,), ("3.11.0",), ("79",), "E"),
    Row("forecast", Quality(Provenance.PROJECTED), "E52", (12,), ("3.12.0",), ("187",), "E"),
)
_BY_QUALITY = {row.quality: row for row in ROWS}
_NAMED = {
    "missing": Provenance.MISSING,
    "est": Provenance.ESTIMATED,
    "edited": Provenance.EDITED,
    "derived": Provenance.DERIVED,
    "forecast": Provenance.PROJECTED,
}
_ALSO_NAMED = {"measured": "raw", "estimated": "est", "projected": "forecast"}
_NAMES = {provenance: name for name, provenance in _NAMED.items()}


def _grade_of(flags: Flag) -> Flag:
    """Return the flags that grade a measured value; others stand beside them."""
    return next(grade for grade in _GRADES if grade in flags)


@cache
def row_of(quality: Quality) -> Row:
    """Return the line of the table nearest to a quality: for every quality there is one."""
    provenance, flags, method = quality
    if provenance is Provenance.MEASURED:
        return _BY_QUALITY[Quality(provenance, _grade_of(flags))]
    if provenance is not Provenance.ESTIMATED:
        return _BY_QUALITY[Quality(provenance)]
    if method is Method.NONE and Flag.REGISTER_BRACKETED in flags:
        return _BY_QUALITY[_SCALED]
    return _BY_QUALITY[Quality(provenance, Flag.NONE, method)]


@cache
def quality_name(quality: Quality) -> str:
    """Return the name of a quality: ``base[.method][+flag...]``, another one for every other quality."""
    provenance, flags, method = quality
    if provenance is Provenance.MEASURED:
        grade = _grade_of(flags)
        base, rest = _GRADES[grade], flags & ~grade
    else:
        base, rest = _NAMES[provenance], flags
    tail = "" if method is Method.NONE else f".{method.name.lower()}"
    return base + tail + "".join(f"+{flag.name.lower()}" for flag in Flag if flag in rest if flag.name)


@cache
def parse_quality_name(text: str) -> Quality | None:
    """Return the quality of a name, in any case, or of a letter of the UK, ``A`` or ``E``; else None."""
    if text.strip() in ("A", "E"):
        return decode_uk(text.strip())
    head, *flag_names = text.strip().lower().split("+")
    base, _, method_name = head.partition(".")
    base = _ALSO_NAMED.get(base, base)
    grade = next((flag for flag, name in _GRADES.items() if name == base), None)
    provenance = Provenance.MEASURED if grade is not None else _NAMED.get(base)
    try:
        method = Method[method_name.upper()] if method_name else Method.NONE
        flags = grade if grade is not None else Flag.NONE
        for name in flag_names:
            flags |= Flag[name.upper()]
    except KeyError:
        return None
    return None if provenance is None else Quality(provenance, flags, method)


# AEMO: one letter, and for E, F and S two digits.

_AEMO_ESTIMATES = {
    11: Method.CHECK_METER,
    12: Method.NETWORK_BALANCE,
    13: Method.NETWORK_BALANCE,
    14: Method.LIKE_DAY,
    15: Method.AVERAGE_LIKE_DAY,
    17: Method.LINEAR,
    19: Method.KNOWN_ZERO,
    20: Method.LIKE_DAY,
    22: Method.AVERAGE_LIKE_DAY,
    23: Method.PREVIOUS_YEAR,
    25: Method.DAILY_AVERAGE,
    51: Method.PREVIOUS_YEAR,
    54: Method.LINEAR,
    57: Method.CLASS_PROFILE,
    58: Method.KNOWN_ZERO,
    61: Method.PREVIOUS_YEAR,
    63: Method.CLASS_PROFILE,
    65: Method.DAILY_AVERAGE,
    68: Method.KNOWN_ZERO,
    69: Method.LINEAR,
}
_AEMO_OTHERS = (18, 21, 52, 59, 62, 71, 72, 73, 75)  # estimates by methods we have no name for
_AEMO_EDITS = (16, 53, 55, 56, 64, 66, 67, 74)  # agreed, revised or read by the customer
_AEMO_SCALED = 24
_AEMO_FORECASTS = {
    Method.PREVIOUS_YEAR: 51,
    Method.CLASS_PROFILE: 57,
    Method.KNOWN_ZERO: 58,
    Method.DAILY_AVERAGE: 65,
}
AEMO_METHODS = frozenset([*_AEMO_ESTIMATES, *_AEMO_OTHERS, *_AEMO_EDITS, _AEMO_SCALED])


@cache
def encode_aemo(quality: Quality) -> str:
    """Return AEMO's QualityMethod. A suspect value is kept back (N); a validated substitute is final (F)."""
    code = row_of(quality).aemo
    if quality.provenance is Provenance.PROJECTED:
        return f"E{_AEMO_FORECASTS.get(quality.method, 52)}"
    is_final = Flag.VALIDATED in quality.flags and Flag.SUSPECT not in quality.flags
    return "F" + code[1:] if code[0] == "S" and is_final else code


@cache
def decode_aemo(code: str) -> Quality | None:
    """Return the quality of a QualityMethod (``A``, ``N``, ``S17`` ...), None where there is no such code.

    A method that an actual or null value names changes nothing.
    """
    letter, digits = code[:1], code[1:]
    if digits and (len(digits) != 2 or not digits.isascii() or not digits.isdigit()):
        return None
    number = int(digits or 0)
    if number and number not in AEMO_METHODS:
        return None
    if letter in ("A", "N"):
        return Quality(Provenance.MEASURED if letter == "A" else Provenance.MISSING)
    if letter not in ("E", "F", "S") or not number:
        return None
    method = _AEMO_ESTIMATES.get(number, Method.NONE)
    if letter == "E":
        return Quality(Provenance.PROJECTED, Flag.NONE, method)
    if number in _AEMO_EDITS:
        return Quality(Provenance.EDITED)
    flags = Flag.REGISTER_BRACKETED if number == _AEMO_SCALED else Flag.NONE
    return Quality(Provenance.ESTIMATED, flags | (Flag.VALIDATED if letter == "F" else Flag.NONE), method)


# ESPI: any number of QualityOfReading codes.

_ESPI_PROVENANCES = (
    (7, Quality(Provenance.EDITED)),
    (9, Quality(Provenance.ESTIMATED, method=Method.LINEAR)),
    (8, Quality(Provenance.ESTIMATED, method=Method.LIKE_DAY)),
    (13, Quality(Provenance.ESTIMATED)),
    (12, Quality(Provenance.PROJECTED)),
    (11, Quality(Provenance.DERIVED)),
    (15, Quality(Provenance.DERIVED)),
)
_ESPI_FLAGS = {
    0: Flag.VALIDATED,
    10: Flag.SUSPECT,
    17: Flag.VALIDATED,
    18: _VERIFIED,
    19: Flag.VALIDATED,
}
ESPI_CODES = frozenset([0, *range(7, 20)])


@cache
def encode_espi(quality: Quality) -> tuple[int, ...]:
    """Return the QualityOfReading codes of a quality; none for a missing value, which ESPI leaves out."""
    codes = row_of(quality).espi
    if quality.provenance in (Provenance.MEASURED, Provenance.MISSING):
        return codes
    grades = {_VERIFIED: (18,), Flag.VALIDATED: (17,), Flag.SUSPECT: (10,), Flag.NONE: ()}
    return codes + grades[_grade_of(quality.flags)]


def decode_espi(codes: Iterable[int]) -> Quality | None:
    """Return the quality of some QualityOfReading codes (none: raw), None where one is unknown."""
    found = set(codes)
    if not found <= ESPI_CODES:
        return None
    base = next((q for code, q in _ESPI_PROVENANCES if code in found), Quality(Provenance.MEASURED))
    return base._replace(flags=_union(_ESPI_FLAGS.get(code, Flag.NONE) for code in found))


# IEC 61968-9: any number of codes system.category.index. Methods beyond the standard's list stand as
# estimates of our own index, flags without a code under system 5 (externally specified).

_IEC_FLAGS = {
    "1.1.9": Flag.CLOCK_INVALID,
    "3.4.9": Flag.CLOCK_ADJUSTED,
    "3.2.32": Flag.POWER_LOST,
    "3.4.259": Flag.DST_AMBIGUOUS,
    "3.4.1": Flag.ROLLOVER,
    "5.4.128": Flag.LATE,
    "5.4.256": Flag.DUPLICATE,
    "5.4.512": Flag.REGISTER_BRACKETED,
    "5.4.1024": Flag.ACCEPTED,
}
_IEC_READ_FLAGS = {
    (1, 9): Flag.CLOCK_INVALID,
    (4, 9): Flag.CLOCK_ADJUSTED,
    (4, 64): Flag.CLOCK_ADJUSTED,
    (4, 128): Flag.CLOCK_ADJUSTED,
    (2, 32): Flag.POWER_LOST,
    (4, 259): Flag.DST_AMBIGUOUS,
    (4, 1): Flag.ROLLOVER,
    (5, 256): Flag.SUSPECT,
    (5, 257): Flag.SUSPECT,
    (5, 258): Flag.SUSPECT,
    (7, 3): Flag.SUSPECT,
    (10, 0): Flag.SUSPECT,
    (10, 1): _VERIFIED,
    (0, 1): Flag.VALIDATED,
}
_IEC_PROVENANCES = {
    7: Provenance.EDITED,
    8: Provenance.ESTIMATED,
    12: Provenance.PROJECTED,
    11: Provenance.DERIVED,
}
_EXTERNAL = 5
_METHODS_BY_INDEX = {int(method): method for method in Method}


@cache
def encode_iec(quality: Quality) -> tuple[str, ...]:
    """Return the reading quality codes of a quality: other codes for every other quality."""
    provenance, flags, method = quality
    codes = row_of(quality).iec
    if provenance is Provenance.MEASURED:
        flags &= ~_grade_of(flags)
    codes += ("3.0.1",) * (Flag.VALIDATED in flags) + ("3.5.258",) * (Flag.SUSPECT in flags)
    if provenance is Provenance.PROJECTED:
        codes = (f"3.12.{int(method)}", *codes[1:])
    elif provenance is not Provenance.ESTIMATED and method is not Method.NONE:
        codes += (f"5.8.{int(method)}",)
    return codes + tuple(code for code, flag in _IEC_FLAGS.items() if flag in flags)


def decode_iec(codes: Iterable[str]) -> Quality | None:
    """Return the quality of some reading quality codes (none: raw), None where one is not three numbers.

    Codes that say nothing about a value's worth (a low battery, a read by hand) change nothing.
    """
    flags, provenances, methods = Flag.NONE, set(), [Method.NONE]
    for code in codes:
        parts = code.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
            return None
        system, category, index = map(int, parts)
        if system == _EXTERNAL:
            flags |= _IEC_FLAGS.get(code, Flag.NONE)
        else:
            flags |= _iec_flags(system, category, index)
        if category == 8 or (category == 12 and system != _EXTERNAL):
            methods.append(_METHODS_BY_INDEX.get(index, Method.NONE))
        if (category, index) == (5, 259):
            provenances.add(Provenance.MISSING)
        elif system != _EXTERNAL and category in _IEC_PROVENANCES:
            provenances.add(_IEC_PROVENANCES[category])
    order = (Provenance.MISSING, *_IEC_PROVENANCES.values())
    provenance = next((one for one in order if one in provenances), Provenance.MEASURED)
    return Quality(provenance, flags, max(methods))


def _iec_flags(system: int, category: int, index: int) -> Flag:
    if (category, index) == (0, 0):
        return Flag.VALIDATED if system == 3 else Flag.NONE
    if category == 6:
        return Flag.SUSPECT
    return _IEC_READ_FLAGS.get((category, index), Flag.NONE)


# MSCONS: the qualifier of a QTY and any number of STS status codes.

_MSCONS_QUALIFIERS = {
    "220": Quality(Provenance.MEASURED),
    "67": Quality(Provenance.ESTIMATED),
    "20": Quality(Provenance.MEASURED, Flag.SUSPECT),
    "Z30": Quality(Provenance.MISSING),
    "187": Quality(Provenance.PROJECTED),
    "201": Quality(Provenance.PROJECTED),
    "Z18": Quality(Provenance.ESTIMATED),
    "79": Quality(Provenance.DERIVED),
}
_MSCONS_METHODS = {
    "Z84": Method.KNOWN_ZERO,
    "Z88": Method.CHECK_METER,
    "Z89": Method.CHECK_METER,
    "Z92": Method.LINEAR,
    "Z93": Method.FLAT_LINE,
    "Z94": Method.NETWORK_BALANCE,
    "Z95": Method.LIKE_DAY,
    "ZJ2": Method.CLASS_PROFILE,
}
_MSCONS_FLAGS = {"Z76": Flag.POWER_LOST, "Z85": Flag.ROLLOVER, "ZA0": Flag.CLOCK_ADJUSTED}
_MSCONS_READ_FLAGS = {**_MSCONS_FLAGS, "Z77": Flag.POWER_LOST, "ZA1": Flag.SUSPECT}
_REBUILT = ("Z90", "Z91")  # from calibrated and uncalibrated values
_PLAUSIBLE = ("Z86", "Z87")


@cache
def encode_mscons(quality: Quality) -> tuple[str, ...]:
    """Return the QTY qualifier of a quality, then its STS codes; a suspect measured value's is 20."""
    is_implausible = quality.provenance is not Provenance.MEASURED and Flag.SUSPECT in quality.flags
    flags = tuple(code for code, flag in _MSCONS_FLAGS.items() if flag in quality.flags)
    return row_of(quality).mscons + flags + ("ZA1",) * is_implausible


def decode_mscons(qualifier: str, statuses: Iterable[str] = ()) -> Quality | None:
    """Return the quality of a QTY qualifier and its STS codes, None where the qualifier is unknown.

    STS codes that say nothing about a value's worth (no access, device exchanged) change nothing.
    """
    base = _MSCONS_QUALIFIERS.get(qualifier)
    if base is None:
        return None
    found = list(statuses)
    flags = base.flags | _union(_MSCONS_READ_FLAGS.get(code, Flag.NONE) for code in found)
    if base.provenance is Provenance.MEASURED and any(code in _PLAUSIBLE for code in found):
        flags |= _VERIFIED
    if base.provenance is not Provenance.ESTIMATED:
        return base._replace(flags=flags)
    if any(code in _REBUILT for code in found):
        flags |= Flag.REGISTER_BRACKETED
    return Quality(base.provenance, flags, _first(_MSCONS_METHODS.get, found))


# UK half-hourly: A and E.


@cache
def encode_uk(quality: Quality) -> str:
    """Return ``A`` or ``E``, or nothing for a value that is kept back."""
    return row_of(quality).uk


def decode_uk(letter: str) -> Quality | None:
    """Return the quality of ``A``, ``E`` or nothing, None for any other letter."""
    found = {"A": Provenance.MEASURED, "E": Provenance.ESTIMATED, "": Provenance.MISSING}.get(letter)
    return None if found is None else Quality(found)


def _union(flags: Iterable[Flag]) -> Flag:
    found = Flag.NONE
    for flag in flags:
        found |= flag
    return found


def _first(get: Callable[[str], Method | None], codes: Iterable[str]) -> Method:
    return next((method for method in map(get, codes) if method is not None), Method.NONE)
