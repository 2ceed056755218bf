"""The lists that meters push: which value belongs to which OBIS code, with which scaler and unit.

Written by many hands, so there are many shapes; all are told apart by what they hold:

    [obis, value, [scaler, unit]] each in a structure of its own     Aidon, EMBRIQ
    obis, value, obis, value ...  in one structure                   Kamstrup, Kaifa (Sweden), L+G E450
    obis, value, [scaler, unit] ... in one structure                 Austria
    descriptor (untagged), value  each in a structure of its own     Czechia
    values alone, in the order of the published list KFM_001         Kaifa in Norway
    values alone, otherwise                                          shown without OBIS code
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from wattkeeper.protocols.dlms import axdr
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.errors import ApduDamaged
from wattkeeper.protocols.dlms.obis import Obis

ScalerUnit = tuple[int, int]
CLOCK = Obis(0, 0, 1, 0, 0)
LIST_VERSION = Obis(1, 1, 0, 2, 129)
METER_NUMBER = Obis(0, 0, 96, 1, 0)
METER_TYPE = Obis(0, 0, 96, 1, 7)
_WH, _VARH, _W, _VAR, _A, _V = 30, 32, 27, 29, 33, 35


class Entry(NamedTuple):
    """One value of a list. `obis`, `scaler_unit` None: the list does not say."""

    obis: Obis | None
    value: Value
    scaler_unit: ScalerUnit | None = None


_POWERS = [Obis(1, 0, c, 7, 0) for c in (1, 2, 3, 4)]
_CURRENTS = [Obis(1, 0, c, 7, 0) for c in (31, 51, 71)]
_VOLTAGES = [Obis(1, 0, c, 7, 0) for c in (32, 52, 72)]
_ENERGIES = [CLOCK] + [Obis(1, 0, c, 8, 0) for c in (1, 2, 3, 4)]
_KFM_HEAD = [LIST_VERSION, METER_NUMBER, METER_TYPE, *_POWERS]
_KFM_ONE_PHASE = [*_KFM_HEAD, _CURRENTS[0], _VOLTAGES[0]]
_KFM_THREE_PHASES = [*_KFM_HEAD, *_CURRENTS, *_VOLTAGES]

# KFM_001: number of values -> their order (HAN interface description of Norwegian meters, Kaifa)
_KFM_LISTS = {
    1: _POWERS[:1],
    9: _KFM_ONE_PHASE,
    13: _KFM_THREE_PHASES,
    14: _KFM_ONE_PHASE + _ENERGIES,
    18: _KFM_THREE_PHASES + _ENERGIES,
}

# Scaler and unit that a list's maker fixed in its description: list version -> (C group or D group 8) -> pair
_CURRENT_GROUPS, _VOLTAGE_GROUPS = (31, 51, 71), (32, 52, 72)


def _fixed_pair(maker: str, obis: Obis) -> ScalerUnit | None:
    if maker not in ("KFM", "Kam"):
        return None
    is_kaifa = maker == "KFM"
    is_active = obis.c % 20 in (1, 2)
    if obis.c in _CURRENT_GROUPS:
        return (-3 if is_kaifa else -2, _A)
    if obis.c in _VOLTAGE_GROUPS:
        return (-1 if is_kaifa else 0, _V)
    if obis.d == 8:
        return (0 if is_kaifa else 1, _WH if is_active else _VARH)
    if obis.d == 7:
        return (0, _W if is_active else _VAR)
    return None


def entries(value: Value) -> list[Entry]:
    """
    Return the entries of a pushed list; of a list that names no OBIS code, its plain values.
    """
    items = value if isinstance(value, list) else [value]
    if len(items) == 2 and isinstance(items[0], int) and isinstance(items[1], list):
        items = items[1]
    if items and all(isinstance(item, list) for item in items):
        found: list[Entry] = []
        for item in items:
            assert isinstance(item, list)
            entry = _triple(item)
            found += [entry] if entry else _flat(item, "")
        return found
    maker = _text(items[0])[:3] if items else ""
    order = _KFM_LISTS.get(len(items))
    is_power = len(items) == 1 and type(items[0]) is int
    if order is not None and (maker == "KFM" or is_power) and not any(map(_is_obis, items)):
        return [Entry(obis, item, _fixed_pair("KFM", obis)) for obis, item in zip(order, items, strict=True)]
    if not any(map(_is_obis, items)):
        return [Entry(None, item) for item in items if not isinstance(item, list)]
    if maker != "Kam" and len(items) > 1:
        maker = _text(items[1])[:3]  # Kaifa writes the code of the list's version before it
    return list(_flat(items, maker))


def _triple(items: list[Value]) -> Entry | None:
    """Return the entry of the commonest structure, {obis, number, {scaler, unit}}, None if it is not that."""
    if len(items) != 3 or type(items[0]) is not bytes or len(items[0]) != 6:
        return None
    pair = _pair(items[2])
    return Entry(_obis(items[0]), items[1], pair) if pair else None


@lru_cache(maxsize=4096)
def _obis(octets: bytes) -> Obis:
    return Obis.from_bytes(octets)


def _flat(items: Sequence[Value], maker: str) -> Iterator[Entry]:
    """Yield the entries of codes, values and pairs in a row. A text alone is the version or the number."""
    at, is_first = 0, True
    while at < len(items):
        item = items[at]
        at += 1
        if _is_obis(item) and at < len(items):
            assert isinstance(item, bytes)
            obis, value = _obis(item), items[at]
            pair = _pair(items[at + 1]) if at + 1 < len(items) else None
            at += 2 if pair else 1
            yield Entry(obis, value, pair or (_fixed_pair(maker, obis) if isinstance(value, int) else None))
        elif isinstance(item, bytes) and len(item) == 12 and not item.isdigit():
            yield Entry(CLOCK, item)
        elif isinstance(item, (bytes, str)):
            yield Entry(LIST_VERSION if is_first else METER_NUMBER, item)
        is_first = False


def _is_obis(item: Value) -> bool:
    return isinstance(item, bytes) and len(item) == 6 and item[5] == 0xFF


def _pair(item: Value) -> ScalerUnit | None:
    if type(item) is list and len(item) == 2:
        scaler, unit = item
        if type(scaler) is int and type(unit) is int and -128 <= scaler <= 127:
            return scaler, unit
    return None


def _text(item: Value) -> str:
    return item.decode("latin-1") if isinstance(item, bytes) else item if isinstance(item, str) else ""


def decode_body(body: bytes) -> list[Entry]:
    """
    Return the entries of the body of a push, as it is on the wire.

    Takes two malformed bodies seen in the field besides sound ones: untagged attribute descriptors, and octet
    strings of six bytes whose tag and length are swapped (06 09).

    :raises ApduDamaged: if it is none of these
    """
    if body[:3] == b"\x02\x02\x16" and body[4:5] == b"\x01" and body[6:9] == b"\x02\x02\x00":
        return _untagged(body)
    try:
        return entries(axdr.decode(body))
    except ApduDamaged:
        if b"\x02\x03\x06\x09" not in body:
            raise
    return entries(axdr.decode(body.replace(b"\x02\x03\x06\x09", b"\x02\x03\x09\x06")))


def _untagged(body: bytes) -> list[Entry]:
    """Decode {enum, array of {class (2), OBIS (6), attribute (1), value}}."""
    found, at = [], 6
    for _ in range(body[5]):
        if body[at : at + 2] != b"\x02\x02" or at + 11 > len(body):
            raise ApduDamaged("dlms.data-cut")
        obis = Obis.from_bytes(body[at + 4 : at + 10])
        value, at = axdr.decode_from(body, at + 11)
        found.append(Entry(obis, value))
    if at != len(body):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(body) - at)
    return found
