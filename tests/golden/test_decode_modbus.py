"""Modbus answers by the register map, against the scales that another project publishes for that meter."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import wattkeeper
from shared import shared_path
from wattkeeper.interfaces.cli.main import app

MAPS = Path(wattkeeper.__file__).parent / "drivers" / "modbus_energy" / "registers.toml"
PUBLISHED = json.loads(shared_path("vectors/modbus/acrel_dtsd1352.json").read_text())["registers"]
BYTES = {"u16": 2, "i16": 2, "u32 big-endian words": 4, "i32 big-endian words": 4}
THOUSANDFOLD = {"kW": "W", "kvar": "var", "kVA": "VA"}
UNIT_ID = 7


def framed(octets: bytes) -> str:
    """Return a line of hexadecimal text with the check sum of Modbus RTU, worked out bit by bit."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return (octets + crc.to_bytes(2, "little")).hex(" ")


def exchange(address: int, octets: bytes) -> str:
    asked = bytes((UNIT_ID, 3)) + address.to_bytes(2, "big") + (len(octets) // 2).to_bytes(2, "big")
    return f"TX {framed(asked)}\nRX {framed(bytes((UNIT_ID, 3, len(octets))) + octets)}\n"


def raw_of(register: dict[str, Any]) -> int:
    """Return a number that fills the register; negative where it may be."""
    size_bytes = BYTES[register["type"]]
    return -(register["address"] * 29 + 5) if register["type"].startswith("i") else 2 ** (8 * size_bytes) - 7


def wrong(map_path: Path) -> list[str]:
    """Return the registers that the map reads otherwise than published."""
    found = []
    for name, register in PUBLISHED.items():
        raw, size_bytes = raw_of(register), BYTES[register["type"]]
        text = exchange(register["address"], raw.to_bytes(size_bytes, "big", signed=raw < 0))
        arguments = ["decode", "modbus", "--map", f"{map_path}#acrel_dtsd1352"]
        result = CliRunner().invoke(app, arguments, input=text)
        assert result.exit_code == 0
        row = json.loads(result.stdout.splitlines()[1])
        assert (row["address"], row["service"]) == (str(UNIT_ID), "read-holding-answer")
        scale = Decimal(register["scale"].split("*")[0])
        unit = register["unit"]
        wanted = (
            raw * scale * (1000 if unit in THOUSANDFOLD else 1),
            THOUSANDFOLD.get(unit, unit) or "ratio",
        )
        told = [(Decimal(reading["value"]), reading["unit"]) for reading in row["readings"]]
        if told and told != [wanted]:
            found.append(name)
        assert told or name in NOT_IN_OUR_MAP
    return found


NOT_IN_OUR_MAP = {
    *("voltage_ab", "voltage_bc", "voltage_ca", "apparent_power"),
    *("active_power_a", "active_power_b", "active_power_c"),
}


def test_our_map_reads_what_is_published() -> None:
    assert wrong(MAPS) == []


@pytest.mark.parametrize(
    ("sound", "faulty"),
    [
        ('reading_type = "frequency_hz", scale = "0.01"', 'reading_type = "frequency_hz", scale = "0.1"'),
        ('address = 383, type = "i16"', 'address = 383, type = "u16"'),
        ('word_order = "big"', 'word_order = "little"'),
    ],
)
def test_a_wrong_map_is_noticed(sound: str, faulty: str, tmp_path: Path) -> None:
    head, ours = MAPS.read_text().split("[acrel_dtsd1352]")
    path = tmp_path / "registers.toml"
    path.write_text(f"{head}[acrel_dtsd1352]{ours.replace(sound, faulty)}")
    assert wrong(path)
