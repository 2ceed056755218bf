"""Which way energy goes in a channel that a file has named, of which rate it is, and whether it is all of it.

OBIS codes (IEC 62056-6-1), as MSCONS has them: C.D.E with the medium electricity (1) and a channel before
them or without, F behind them or not; all six in dots as DLMS writes them. C is 1 and 2 for active energy
imported and exported, 3 and 4 for reactive, other numbers for single phases, quadrants and net sums; behind a
D of 8 (what a register shows) or 9 (of a billing period) E is the rate, 0 for all of them. D is a time
integral, of which 8 alone never begins again, or else a demand, a mean, what an instant has; F counts billing
periods, 255 is none of them: the value now. In codes of other media, such as gas and heat, the groups mean
something else.

Of a Green Button or IEC 61968-9 reading whose direction is neither forward nor reverse the channel is named
by it (espi.py): both directions together, their difference, a quadrant. One phase is named by `of_phase`, a
register of one rate by `of_rate`, what is no electricity, a demand, a loss, a maximum, a mean and the like by
`of_type`.
"""

import re

from wattkeeper.formats.commodity_words import names_other_commodity

_NEM12_EXPORT = re.compile(r"[BK][0-9A-Z]?", re.ASCII | re.IGNORECASE)  # not "Bezug", which is import
_RATE = re.compile(r"(.+) T([1-4])", re.ASCII)
_ONE_PHASE = (
    "128",
    "129",
    "136",
    "64",
    "65",
    "72",
    "32",
    "33",
    "40",
    "512",
    "528",
    "256",
    "272",
)  # A, B, C, S
_USUAL = {  # codes of a reading type that need no word: all of it is energy, of electricity
    "commodity": ("", "1", "2", "26"),  # none; electricity, before the transformer, of transmission
    "kind": ("", "12"),  # none, energy
    "accumulation": ("", *"1234", "9", "13", "14"),  # all but indicating, delayed and instantaneous
    "period": ("", *map(str, range(1, 16)), *map(str, range(17, 78))),  # all but the previous cycle
    "harmonic": ("",),
    "statistic": ("", "12", "26"),  # none, normal, a sum
}
_SAID = {
    word: re.compile(rf".+-{word}-(\d+)(?:-(?:{'|'.join(_USUAL)}|phase)-\d+)*(?: .+)?", re.ASCII)
    for word in (*_USUAL, "phase")
}
_UNKNOWN_CODE = "255"
_ENERGIES = ("Wh", "varh", "VAh")
_OF_ENERGY = ("kind", "accumulation", "period", "harmonic")  # words that others, as volts, do without
_OTHER_MEDIUM = re.compile(
    r"0{0,2}(?:[4-9]|1[5-9])[-.]\d{1,3}[:.]\d{1,3}\.\d{1,3}\.\d{1,3}(?:[*&.]\d{1,3})?", re.ASCII
)  # heat, cold, gas, water, oil, air
_OTHER_RATE = re.compile(r".+ (?:tou|cpp|tier)-.+")
_OBIS = re.compile(
    r"(?P<stream>(?P<medium>0{0,2}1[-.]\d{1,3}[:.])?(?P<c>\d{1,3})\.(?P<d>\d{1,3})\.)(?P<e>\d{1,3})"
    r"(?:[*&](?P<f>\d{1,3})|(?(medium)\.(?P<g>\d{1,3})|\.255))?",  # "10.0.0.1" is a name
    re.ASCII,
)
_RATED = (8, 9)
_EVER = (8,)
_INTEGRALS = (*_EVER, 9, 10, 17, 18, 19, 20, 29, 30, 58)
_NOW = ("", "255")
_EXPORT_CODES = (2, 4, 10)
_TOTALS = {"Wh": (1, 2), "varh": (3, 4), "VAh": (9, 10)}
_MIXED = re.compile(r"(net|both|direction-[1-9]\d?)(?:-.*?)?(?: T[1-4])?", re.ASCII | re.IGNORECASE)
_REACTIVE_IMPORT, _REACTIVE_EXPORT = "direction-5", "direction-13"  # quadrants 1 and 2, 3 and 4
_EXPORT_WORDS = re.compile(r"export|einspeis|feed-?in|反向|上网", re.IGNORECASE)


def split_rate(channel: str) -> tuple[str, str]:
    """Return the stream of a channel and the rate that it counts alone; "" for all.

    E1 and 2 of ``E1 T2``, 1-0:1.8.0 and 2 of ``1-0:1.8.2``.
    """
    code = _OBIS.fullmatch(channel)
    if code and int(code["d"]) in _RATED and int(code["e"]):
        return f"{code['stream']}0", str(int(code["e"]))
    found = _RATE.fullmatch(channel)
    return (found[1], found[2]) if found else (channel, "")


def of_rate(channel: str, tou: str, cpp: str = "", tier: str = "") -> str:
    """Return what a register is called that counts one time of use, one critical peak or one tier of
    consumption alone; "" and "0" are all of them.
    """
    rate = tou.lstrip("0")
    name = f"{channel} T{rate}"
    name = name if _RATE.fullmatch(name) else f"{channel} tou-{rate}" if rate else channel
    return name + "".join(
        f" {word}-{code}" for word, code in (("cpp", cpp), ("tier", tier)) if code.strip("0")
    )


def of_type(channel: str, unit: str, **codes: str) -> str:
    """Return what is called so that by its reading type is not all energy of electricity up to now.

    `codes`: ``commodity`` (CommodityKind), ``kind`` (MeasurementKind: a demand, a loss), ``accumulation`` (of
    an interval), ``period`` (of a register: the previous cycle's), ``harmonic``, ``statistic``
    (DataQualifierKind: a maximum, a mean). A usual one needs no word, nor does one that the name has.
    """
    for word, usual in _USUAL.items():
        code = _plain(codes.get(word, ""))
        is_told = code in usual or said_of(channel, word) or (word in _OF_ENERGY and unit not in _ENERGIES)
        channel = channel if is_told else f"{channel}-{word}-{code}"
    return channel


def said_of(channel: str, word: str) -> str:
    """Return the code that `of_type` or `of_phase` named a channel by; "" for a usual one."""
    found = _SAID[word].fullmatch(channel)
    return found[1] if found else ""


def type_codes(channel: str) -> dict[str, str]:
    """Return all codes but the phase that a channel's name says."""
    return {word: code for word in _USUAL if (code := said_of(channel, word))}


def is_electricity_code(commodity: str) -> bool:
    """Whether a CommodityKind is one of electricity, or says nothing."""
    return _plain(commodity) in _USUAL["commodity"]


def _plain(code: str) -> str:
    """Return a code without zeros before it; none is the code 0."""
    return code.lstrip("0") if not code or (code.isascii() and code.isdecimal()) else _UNKNOWN_CODE


def is_electricity(channel: str) -> bool:
    """Whether nothing in a channel's name says that it is of gas, heat or water, by a code or in words."""
    is_other = said_of(channel, "commodity") or _OTHER_MEDIUM.fullmatch(channel)
    return not is_other and not names_other_commodity(channel)


def of_phase(channel: str, phase: str) -> str:
    """Return what is measured of one phase: the only one there is, or one of several (PhaseCodeKind)."""
    return f"{channel}-phase-{phase}" if phase in _ONE_PHASE else channel


def phase_of(channel: str) -> str:
    """Return the phase that `of_phase` named a channel by; "" for all."""
    return said_of(channel, "phase")


def is_export(channel: str) -> bool:
    """Whether a channel's name says export: NEM12's B, B1 ... or, reactive, K ...; an OBIS code; a word."""
    code = _OBIS.fullmatch(channel)
    if code:
        return int(code["c"]) in _EXPORT_CODES
    mixed = _MIXED.fullmatch(channel)
    if mixed:
        return mixed[1].lower() == _REACTIVE_EXPORT
    return bool(_NEM12_EXPORT.fullmatch(channel) or _EXPORT_WORDS.search(channel))


def is_part(channel: str, unit: str) -> bool:
    """Whether a channel's OBIS code or direction says that it is not all energy of one way: see above."""
    if mixed := _MIXED.fullmatch(channel):
        return unit != "varh" or mixed[1].lower() not in (_REACTIVE_IMPORT, _REACTIVE_EXPORT)
    code = _OBIS.fullmatch(channel)
    is_of_phase = code is not None and int(code["c"]) not in _TOTALS.get(unit, ())
    return is_of_phase or bool(_OTHER_RATE.fullmatch(channel) or said_of(channel, "harmonic"))


def is_counted_now(channel: str, *, is_register: bool) -> bool:
    """Whether a channel's OBIS code, where it is one, is of the energy of intervals, or of a register up to
    now: neither that of one billing period nor up to the end of an earlier one; no maximum, mean or demand.
    """
    if any(said_of(channel, word) for word in ("kind", "accumulation", "period", "statistic")):
        return False
    code = _OBIS.fullmatch(channel)
    kinds = _EVER if is_register else _INTEGRALS
    return code is None or (int(code["d"]) in kinds and (code["f"] or code["g"] or "") in _NOW)
