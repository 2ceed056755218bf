"""AEMO's quality letters and methods to provenance, flags and method, and what a quality must carry with it.

AEMO Meter Data File Format v2.6 (effective 2024-09-29): QualityMethod, ReasonCode.
"""

import re
from dataclasses import dataclass

from wattkeeper.core.kernel.quality import Flag, Method, Provenance

VARIABLE = b"V"
_QUALITY = re.compile(rb"([AEFNS])(\d\d)?")
_REASON = re.compile(rb"\d{1,3}")
_REASON_MOST = 109
_METHOD_NUMBERS = frozenset([*range(11, 26), *range(51, 60), *range(61, 70), *range(71, 76)])
_METHODS = {
    14: Method.LIKE_DAY,
    15: Method.AVERAGE_LIKE_DAY,
    17: Method.LINEAR,
    20: Method.LIKE_DAY,
    22: Method.AVERAGE_LIKE_DAY,
    23: Method.LIKE_DAY,
    51: Method.LIKE_DAY,
    54: Method.LINEAR,
    61: Method.LIKE_DAY,
    69: Method.LINEAR,
}


@dataclass(frozen=True, slots=True)
class Quality:
    """Ours of one AEMO quality."""

    provenance: Provenance
    flags: Flag
    method: Method


def parse_quality(code: bytes, reason: bytes) -> Quality | str:
    """Return our quality, or the code of what is wrong.

    A is measured, N missing, E a forward estimate (projected), S a substitute (estimated), F a final
    substitute: estimated where its method is one of ours, else edited. S and F carry a method and a reason, E
    a method.
    """
    match = _QUALITY.fullmatch(code)
    if match is None:
        return "nem12.quality-unknown"
    letter, number = match.group(1), int(match.group(2) or 0)
    if number and number not in _METHOD_NUMBERS:
        return "nem12.method-unknown"
    if reason and (not _REASON.fullmatch(reason) or int(reason) > _REASON_MOST):
        return "nem12.reason-unknown"
    if letter in b"EFS" and not number:
        return "nem12.method-missing"
    if letter in b"FS" and not reason:
        return "nem12.reason-missing"
    return Quality(_provenance(letter, number), Flag.NONE, _METHODS.get(number, Method.NONE))


def _provenance(letter: bytes, number: int) -> Provenance:
    if letter == b"F" and number not in _METHODS:
        return Provenance.EDITED
    return {
        b"A": Provenance.MEASURED,
        b"N": Provenance.MISSING,
        b"E": Provenance.PROJECTED,
        b"S": Provenance.ESTIMATED,
        b"F": Provenance.ESTIMATED,
    }[letter]
