"""The decode command, as a user types it, on every capture whose values its origin publishes."""

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared import shared_path
from wattkeeper.core.kernel.obis import Obis

BIN = Path(sys.executable).parent / "wattkeeper"
DLMS = shared_path("vectors/dlms")
PUSHES = DLMS / "esphome_dlms_parser"
SUITE_KEYS = ("guek=000102030405060708090a0b0c0d0e0f", "gak=d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
UNITS_CORRECTED = {"00440000": "kvarh"}  # reactive energy of the fourth quadrant, phase C (table A.1)


def decode(protocol: str, path: Path, *keys: str) -> tuple[int, list[dict[str, Any]]]:
    options = [part for key in keys for part in ("--key", key)]
    done = subprocess.run(
        [BIN, "decode", protocol, *options, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def keys_beside(path: Path) -> list[str]:
    files = {"guek": path.with_suffix(".key"), "gak": path.with_suffix(".gak")}
    return [f"{name}={file.read_text().strip()}" for name, file in files.items() if file.exists()]


def values_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {reading["id"]: reading["value"] for row in rows for reading in row["readings"]}


def numbers_expected(path: Path) -> dict[str, Decimal]:
    """Return the numbers that the origin expects, by OBIS code."""
    file = PUSHES / "expected" / f"{path.stem.replace('sagecom', 'sagemcom')}.expected.txt"
    found = re.findall(r'\{"([\d.]+)",\s*(-?[\d.]+)f?\}', file.read_text())
    return {str(Obis.parse(obis)): Decimal(value) for obis, value in found}


@pytest.mark.parametrize("path", sorted(PUSHES.glob("*[!d].log")), ids=lambda path: path.stem)
def test_pushes(path: Path) -> None:
    code, rows = decode("dlms", path, *keys_beside(path))
    is_mistyped = path.stem == "hdlc_landis_gyr_zmf100"  # as the origin says: its check sum is wrong
    assert code == int(is_mistyped)
    found = values_of(rows)
    wanted = numbers_expected(path)
    assert len(wanted) >= 4
    assert {obis: Decimal(found[obis]) for obis in wanted} == wanted


@pytest.mark.parametrize("path", sorted(DLMS.glob("transcripts_*/*.*")), ids=lambda path: path.stem)
def test_conversations(path: Path) -> None:
    first = json.loads(path.read_text().splitlines()[0]).get("meta", {}) if path.suffix == ".jsonl" else {}
    keys = [f"{name}={first[name]}" for name in ("guek", "gak") if first.get(name)] or SUITE_KEYS
    code, rows = decode("dlms", path, *keys)
    assert [row["error"] for row in rows if row["error"]] == []
    assert code == 0
    assert rows


@pytest.mark.parametrize("maker", ["aidon", "kaifa", "kamstrup"])
def test_nordic_lists(maker: str) -> None:
    code, rows = decode("dlms", DLMS / f"amshan_test_{maker}.jsonl")
    assert code == 0
    assert all(row["readings"] for row in rows)


def test_dlt645_values_and_units() -> None:
    path = shared_path("vectors/dlt645/frames.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    code, rows = decode("dlt645", path)
    assert code == 1  # two frames of the file are damaged, one holds digits that are none
    assert [row["error"]["code"] for row in rows if row["error"]].count("dlt645.checksum") == sum(
        not line["checksum_ok"] for line in lines
    )
    checked = 0
    for line, row in zip(lines, rows, strict=True):
        expected = line["expected"]
        if row["error"] or not expected or "value" not in expected:
            continue
        (reading,) = row["readings"]
        assert Decimal(reading["value"]) == Decimal(str(expected["value"]))
        assert reading["id"].lower() == expected["di"].lower()
        assert reading["unit"] == UNITS_CORRECTED.get(expected["di"], expected["unit"])
        checked += 1
    assert checked >= 10


def test_another_value_does_not_pass(tmp_path: Path) -> None:
    """The comparison has teeth: one digit changed in the file is another value."""
    path = PUSHES / "raw_egd_example.log"
    changed = tmp_path / path.name
    power = "01 00 01 07 00 FF 02 06 00 00 00 0"
    text = path.read_text()
    assert f"{power}3" in text
    changed.write_text(text.replace(f"{power}3", f"{power}4"))
    found = values_of(decode("dlms", changed)[1])
    wrong = [obis for obis, number in numbers_expected(path).items() if Decimal(found[obis]) != number]
    assert wrong == ["1-0:1.7.0"]
