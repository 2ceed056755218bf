"""The register map of a device: rows of `registers.toml`, merged into as few requests as they need."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.protocols.modbus.pdu import REGISTERS_MAX
from wattkeeper.protocols.modbus.registers import REGISTER_COUNTS, WordOrder

GAP_MAX_REGISTERS = 4
DEFAULT_MAP = "wattkeeper"


@dataclass(frozen=True, slots=True)
class Row:
    """One value: where it stands, how it is written, what it is."""

    address: int
    kind: str
    reading_type: str
    scale: Decimal

    @property
    def end(self) -> int:
        """The address after its last register."""
        return self.address + REGISTER_COUNTS[self.kind]


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """What a device family keeps where; None for what it does not keep."""

    name: str
    function: int
    word_order: WordOrder
    rows: tuple[Row, ...]
    serial: tuple[int, int] | None
    clock_address: int | None
    relay_coil: int | None
    log_row: Row | None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that one request reads."""

    address: int
    count: int
    rows: tuple[Row, ...]


def keeps_log(settings: Mapping[str, object]) -> bool:
    """Whether a device with such settings keeps an interval log.

    :raises WattkeeperError: ``modbus_energy.unknown-map``
    """
    return load_map(str(settings.get("map", DEFAULT_MAP)), 3).log_row is not None


def load_map(name: str, phases_count: int) -> RegisterMap:
    """
    Return a map of `registers.toml`; with one phase, without the rows of L2 and L3.

    :raises WattkeeperError: ``modbus_energy.unknown-map``
    """
    maps = _maps()
    if name not in maps:
        raise WattkeeperError("modbus_energy.unknown-map", map=name, known=", ".join(maps))
    table = maps[name]
    rows = tuple(_row(entry) for entry in table["value"])
    if phases_count == 1:
        rows = tuple(row for row in rows if "_l2_" not in row.reading_type and "_l3_" not in row.reading_type)
    log = table.get("log")
    return RegisterMap(
        name=name,
        function=table["function"],
        word_order=WordOrder(table["word_order"]),
        rows=rows,
        serial=(table["serial"]["address"], table["serial"]["count"]) if "serial" in table else None,
        clock_address=table["clock"]["address"] if "clock" in table else None,
        relay_coil=table.get("relay_coil"),
        log_row=Row(0, "u32", log["reading_type"], Decimal(log["scale"])) if log else None,
    )


def plan_blocks(rows: Sequence[Row]) -> list[Block]:
    """Return the requests that read `rows`: neighbours together, small gaps read along."""
    blocks: list[Block] = []
    group: list[Row] = []
    for row in sorted(rows, key=lambda each: each.address):
        too_far = group and row.address - group[-1].end > GAP_MAX_REGISTERS
        if group and (too_far or row.end - group[0].address > REGISTERS_MAX):
            blocks.append(_block(group))
            group = []
        group.append(row)
    if group:
        blocks.append(_block(group))
    return blocks


def split_block(block: Block) -> list[Block]:
    """Return a request a row, for a block that was refused as a whole; none for a single row."""
    return [_block([row]) for row in block.rows] if len(block.rows) > 1 else []


def _block(rows: list[Row]) -> Block:
    return Block(rows[0].address, max(row.end for row in rows) - rows[0].address, tuple(rows))


def _row(entry: dict[str, Any]) -> Row:
    return Row(entry["address"], entry["type"], entry["reading_type"], Decimal(entry["scale"]))


@cache
def _maps() -> dict[str, Any]:
    text = files(__package__).joinpath("registers.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
