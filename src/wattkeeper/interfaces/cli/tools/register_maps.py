"""Register maps from a file, in the form of the Modbus drivers' `registers.toml`.

    [name]
    word_order = "big"
    value = [{ address = 0, type = "u32", reading_type = "energy_import_register_kwh", scale = "0.01" }]

Instead of `reading_type` a row may have `quantity` and `unit`. Addresses are 0-based, `scale` decimal text.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reading_types import READING_TYPES
from wattkeeper.protocols.modbus.describe import Meaning
from wattkeeper.protocols.modbus.registers import REGISTER_COUNTS, WordOrder


def read_map(content: bytes, name: str = "") -> dict[int, Meaning]:
    """
    Return the map `name` of a file's content, its only one without a name.

    :raises WattkeeperError: ``decode.bad-map``, ``decode.unknown-map``
    """
    try:
        maps = {
            key: value for key, value in tomllib.loads(content.decode()).items() if isinstance(value, dict)
        }
    except ValueError as error:
        raise WattkeeperError("decode.bad-map", reason=str(error)) from error
    if name not in maps and (name or len(maps) != 1):
        raise WattkeeperError("decode.unknown-map", name=name, names=", ".join(maps))
    table = maps[name] if name else next(iter(maps.values()))
    try:
        order = WordOrder(table.get("word_order", "big"))
        return {int(row["address"]): _meaning(row, order) for row in table["value"]}
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
        raise WattkeeperError("decode.bad-map", reason=f"{type(error).__name__} {error}") from error


def _meaning(row: Mapping[str, Any], order: WordOrder) -> Meaning:
    if row["type"] not in REGISTER_COUNTS:
        raise ValueError(row["type"])
    type_ = READING_TYPES.get(row.get("reading_type", ""))
    return Meaning(
        quantity=str(row["quantity"] if type_ is None else type_.code),
        unit=str(row.get("unit", "") if type_ is None else type_.unit),
        kind=row["type"],
        scale=Decimal(str(row.get("scale", "1"))),
        word_order=order,
    )
