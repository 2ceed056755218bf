"""What each data identifier holds: quantity, unit, digits. The table is `identifiers.toml`."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.resources import files
from typing import NamedTuple

from wattkeeper.protocols.dlt645.bcd import decode_bcd, decode_digits, encode_bcd, is_absent
from wattkeeper.protocols.dlt645.errors import ContentError

RATES = 4
SETTLEMENTS = 12
FREEZES = 62


@dataclass(frozen=True, slots=True)
class Identifier:
    """One value. `kind`: number, digits, text or bits; `block`: quantities of repeated values, if any."""

    di: str
    quantity: str
    unit: str
    size_bytes: int
    decimals: int = 0
    is_signed: bool = False
    kind: str = "number"
    block: tuple[str, ...] = ()


class Value(NamedTuple):
    """One decoded value: a number, a text, or None where the meter has FF."""

    di: str
    quantity: str
    unit: str
    value: Decimal | str | None


def get_identifier(di: str) -> Identifier | None:
    """Return what `di` (eight or four upper-case hexadecimal digits) holds, or None if unknown."""
    return _TABLE.get(di)


def decode_values(di: str, data: bytes) -> list[Value]:
    """
    Return the values of the identifier or block `di`; a block of FF in DI1 or DI0 gives one value an item.

    :raises ContentError: if the identifier is unknown, digits are not decimal or the length does not fit
    """
    identifier = _TABLE.get(di)
    if identifier is not None and not identifier.block:
        if len(data) != identifier.size_bytes:
            raise ContentError("dlt645.bad-length", di=di, bytes=len(data))
        return [_decode_value(identifier, data)]
    items = _block_items(di, identifier)
    size_bytes = items[0].size_bytes
    if len(data) % size_bytes or not data or len(data) > size_bytes * len(items):
        raise ContentError("dlt645.bad-length", di=di, bytes=len(data))
    parts = (data[i : i + size_bytes] for i in range(0, len(data), size_bytes))
    return [_decode_value(item, part) for item, part in zip(items, parts, strict=False)]


def encode_value(di: str, value: Decimal | str | None) -> bytes:
    """
    Return the data of one value; None becomes FF.

    :raises ContentError: if the identifier is unknown or the value has more digits than the meter
    """
    identifier = _TABLE.get(di)
    if identifier is None:
        raise ContentError("dlt645.unknown-identifier", di=di)
    if value is None:
        return b"\xff" * identifier.size_bytes
    if identifier.kind == "number":
        counts = Decimal(value).scaleb(identifier.decimals)
        if counts != int(counts):
            raise ContentError("dlt645.out-of-range", value=str(value), di=di)
        return encode_bcd(int(counts), identifier.size_bytes, is_signed=identifier.is_signed)
    return _encode_text(identifier, str(value))


def _encode_text(identifier: Identifier, text: str) -> bytes:
    if identifier.kind == "text":
        octets = text.encode("ascii", "replace").ljust(identifier.size_bytes, b"\0")
    else:
        octets = _hex_octets(identifier, text)
    if len(octets) != identifier.size_bytes:
        raise ContentError("dlt645.out-of-range", value=text, di=identifier.di)
    return octets[::-1]


def _hex_octets(identifier: Identifier, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ContentError("dlt645.out-of-range", value=text, di=identifier.di) from error


def _decode_value(identifier: Identifier, octets: bytes) -> Value:
    value: Decimal | str | None
    if is_absent(octets):
        value = None
    elif identifier.kind == "number":
        value = Decimal(decode_bcd(octets, is_signed=identifier.is_signed)).scaleb(-identifier.decimals)
    elif identifier.kind == "digits":
        value = decode_digits(octets)
    elif identifier.kind == "text":
        value = octets[::-1].decode("ascii", "replace").strip("\0 ")
    else:
        value = octets[::-1].hex()
    return Value(identifier.di, identifier.quantity, identifier.unit, value)


def _block_items(di: str, identifier: Identifier | None) -> list[Identifier]:
    """Return the items of a block in wire order: current before past, total before rates, L1 before L3."""
    if identifier is not None:
        return [replace(identifier, quantity=quantity) for quantity in identifier.block]
    items: list[Identifier] = []
    if len(di) == 8 and di[6:] == "FF" and di[4:6] != "FF":
        items = [_TABLE[k] for n in range(SETTLEMENTS + 1) if (k := f"{di[:6]}{n:02X}") in _TABLE]
    elif len(di) == 8 and di[4:6] == "FF" and di[6:] != "FF":
        items = [_TABLE[k] for n in range(RATES + 1) if (k := f"{di[:4]}{n:02X}{di[6:]}") in _TABLE]
    elif len(di) == 4 and di[3] == "F":
        items = [_TABLE[k] for n in range(10) if (k := f"{di[:3]}{n}") in _TABLE]
    if not items:
        raise ContentError("dlt645.unknown-identifier", di=di)
    return items


def _spread(row: Identifier, spread: list[str]) -> Iterator[Identifier]:
    """Yield the rows that one row of the table stands for."""
    if not spread:
        yield replace(row, quantity=row.quantity.replace("@", ""))
        return
    rows = [row]
    for name in spread:
        rows = [made for one in rows for made in _SPREADS[name](one)]
    for one in rows:
        yield replace(one, quantity=one.quantity.replace("@", ""))


def _with(row: Identifier, byte: int, number: int, suffix: str) -> Identifier:
    """Return `row` with hexadecimal byte `byte` of its identifier (0 = DI3) set to `number`."""
    di = row.di[: byte * 2] + f"{number:02X}" + row.di[byte * 2 + 2 :]
    return replace(row, di=di, quantity=row.quantity.replace("@", suffix) if suffix else row.quantity)


def _rates_1997(row: Identifier) -> Iterator[Identifier]:
    for n in range(RATES + 1):
        quantity = row.quantity.replace("@", f"_t{n}" if n else "")
        yield replace(row, di=f"{row.di[:3]}{n}", quantity=quantity)


_SPREADS = {
    "rates": lambda row: [_with(row, 2, n, f"_t{n}" if n else "") for n in range(RATES + 1)],
    "settlements": lambda row: [_with(row, 3, n, "") for n in range(SETTLEMENTS + 1)],
    "freezes": lambda row: [_with(row, 3, n, "") for n in range(1, FREEZES + 1)],
    "phases": lambda row: [_with(row, 2, n, f"_l{n}") for n in (1, 2, 3)],
    "total_and_phases": lambda row: [_with(row, 2, n, f"_l{n}" if n else "") for n in (0, 1, 2, 3)],
    "status_words": lambda row: [_with(row, 3, n, str(n)) for n in range(1, 8)],
    "settlement_days": lambda row: [_with(row, 3, n, str(n)) for n in (1, 2, 3)],
    "rates_1997": lambda row: list(_rates_1997(row)),
}


def _load() -> dict[str, Identifier]:
    text = files(__package__).joinpath("identifiers.toml").read_text(encoding="utf-8")
    table: dict[str, Identifier] = {}
    for entry in tomllib.loads(text)["identifier"]:
        quantity: str = entry["quantity"]
        row = Identifier(
            di=entry["di"],
            quantity=quantity,
            unit=entry.get("unit", ""),
            size_bytes=entry["bytes"],
            decimals=entry.get("decimals", 0),
            is_signed=entry.get("signed", False),
            kind=entry.get("kind", "number"),
            block=tuple(quantity.replace("@", suffix) for suffix in entry.get("block", ())),
        )
        table |= {made.di: made for made in _spread(row, entry.get("spread", []))}
    return table


_TABLE = _load()
