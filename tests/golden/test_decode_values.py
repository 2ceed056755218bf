"""Every number of every shared capture against a second reading of it, and what a planted fault does to that.

The second reading knows nothing of the codecs: regular expressions over the hexadecimal text, what the
recording programs noted of their own conversations, and what the origins of the captures publish.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared import shared_path
from wattkeeper.core.kernel.obis import Obis
from wattkeeper.interfaces.cli.main import app
from wattkeeper.protocols.dlms import notification, readings
from wattkeeper.protocols.dlt645 import identifiers

DLMS = shared_path("vectors/dlms")
PUSHES = DLMS / "esphome_dlms_parser"
FRAMES = shared_path("vectors/dlt645/frames.jsonl")
KEYS = ["--key", f"guek={bytes(range(16)).hex()}", "--key", f"gak={bytes(range(0xD0, 0xE0)).hex()}"]
Rows = list[dict[str, Any]]


def decode(protocol: str, *arguments: str, text: str = "") -> Rows:
    result = CliRunner().invoke(app, ["decode", protocol, *arguments], input=text.encode())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == int(any(row["error"] for row in rows))
    return rows


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(rows: Rows) -> dict[str, Decimal]:
    """Return what is a number, by OBIS code."""
    told = {reading["id"]: reading for row in rows for reading in row["readings"]}
    return {id_: Decimal(reading["value"]) for id_, reading in told.items() if reading["unit"]}


def obis(octets: str) -> str:
    return str(Obis.from_bytes(bytes.fromhex(octets)))


def number(digits: str, exponent: int, *, is_signed: bool = False) -> Decimal:
    return Decimal(int.from_bytes(bytes.fromhex(digits), "big", signed=is_signed)).scaleb(exponent)


SELF_DESCRIBING = re.compile(
    r"020309060?([0-9a-f]{12})(?:06([0-9a-f]{8})|10([0-9a-f]{4})|12([0-9a-f]{4}))02020f([0-9a-f]{2})16"
)
NAMED = re.compile(r"0906([0-9a-f]{10}ff)(?:06([0-9a-f]{8})|12([0-9a-f]{4}))")
KAIFA_ORDER = [*(f"1-0:{c}.7.0" for c in (1, 2, 3, 4))]
KAIFA_PHASES = [f"1-0:{c}.7.0" for c in (31, 51, 71, 32, 52, 72)]
KAIFA_ENERGIES = [f"1-0:{c}.8.0" for c in (1, 2, 3, 4)]


def read_aidon(text: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for code, unsigned_32, signed_16, unsigned_16, scaler in SELF_DESCRIBING.findall(text):
        exponent = int(scaler, 16) - 256 * (int(scaler, 16) > 127)
        digits = unsigned_32 or signed_16 or unsigned_16
        found[obis(code)] = number(digits, exponent, is_signed=bool(signed_16))
    return found


def exponent_of(maker: str, code: str) -> int:
    """Return the power of ten the makers publish for the lists that do not carry it."""
    group, kind = (int(part) for part in code.split(":")[1].split(".")[:2])
    if group in (31, 51, 71):
        return -3 if maker == "kaifa" else -2
    if group in (32, 52, 72):
        return -1 if maker == "kaifa" else 0
    return 1 if kind == 8 and maker == "kamstrup" else 0


def read_named(maker: str, text: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for code, long, short in NAMED.findall(text):
        found[obis(code)] = number(long or short, exponent_of(maker, obis(code)))
    return found


def read_kaifa(text: str) -> dict[str, Decimal]:
    named = read_named("kaifa", text)
    if named:
        return named
    without_clock = re.sub(r"090c[0-9a-f]{24}", "", text[text.index("4d41333034") :])
    values = re.findall(r"06([0-9a-f]{8})", without_clock)
    order = KAIFA_ORDER + KAIFA_PHASES + KAIFA_ENERGIES
    return {
        code: number(digits, exponent_of("kaifa", code)) for code, digits in zip(order, values, strict=False)
    }


READERS: dict[str, Callable[[str], dict[str, Decimal]]] = {
    "aidon": read_aidon,
    "kaifa": read_kaifa,
    "kamstrup": lambda text: read_named("kamstrup", text),
}


def wrong_nordic(maker: str) -> list[str]:
    path = DLMS / f"amshan_test_{maker}.jsonl"
    vectors, rows = lines(path), decode("dlms", str(path))
    assert [row["frame"] for row in rows] == [vector["hex"] for vector in vectors]
    assert not any(row["error"] for row in rows)
    second = [READERS[maker](vector["hex"]) for vector in vectors]
    assert all(second)
    return [v["id"] for v, row, wanted in zip(vectors, rows, second, strict=True) if numbers([row]) != wanted]


@pytest.mark.parametrize("maker", READERS)
def test_every_number_of_the_nordic_lists(maker: str) -> None:
    assert wrong_nordic(maker) == []


def test_a_wrong_scale_of_a_makers_list_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = notification._fixed_pair

    def faulty(maker: str, code: Any) -> Any:
        pair = sound(maker, code)
        return pair and (pair[0] + 1, pair[1])

    monkeypatch.setattr(notification, "_fixed_pair", faulty)
    assert wrong_nordic("kaifa")
    assert wrong_nordic("kamstrup")


def published(name: str) -> dict[str, Decimal]:
    file = PUSHES / "expected" / f"{name.replace('sagecom', 'sagemcom')}.expected.txt"
    found = re.findall(r'\{"([\d.]+)",\s*(-?[\d.]+)f?\}', file.read_text())
    return {str(Obis.parse(code)): Decimal(value) for code, value in found}


def keys_beside(path: Path) -> list[str]:
    files = {"guek": path.with_suffix(".key"), "gak": path.with_suffix(".gak")}
    given = [f"{name}={file.read_text().strip()}" for name, file in files.items() if file.exists()]
    return [part for key in given for part in ("--key", key)]


def wrong_push(path: Path, rows: Rows) -> list[str]:
    told = {reading["id"]: reading["value"] for row in rows for reading in row["readings"]}
    return [code for code, value in published(path.stem).items() if Decimal(told.get(code, "NaN")) != value]


PUSHED = sorted(PUSHES.glob("*[!d].log"))


@pytest.mark.parametrize("path", PUSHED, ids=lambda path: path.stem)
def test_every_number_of_the_pushes(path: Path) -> None:
    rows = decode("dlms", *keys_beside(path), str(path))
    assert wrong_push(path, rows) == []
    scaled = [reading for row in rows for reading in row["readings"] if reading["unit"]]
    assert {reading["unit"] for reading in scaled} <= {"W", "Wh", "var", "varh", "V", "A", ""}


def test_a_wrong_scale_of_a_push_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = readings.to_reading

    def faulty(entry: Any, *rest: Any) -> Any:
        pair = entry.scaler_unit
        return sound(entry._replace(scaler_unit=pair and (pair[0] - 1, pair[1])), *rest)

    monkeypatch.setattr(readings, "to_reading", faulty)
    path = PUSHES / "hdlc_norway_han_3phase.log"
    assert len(wrong_push(path, decode("dlms", str(path)))) >= 5


DRESSES: dict[str, Callable[[bytes], str]] = {
    "log": lambda data: f"2026-11-01 12:00:00,123 DEBUG link[7] recv {len(data)} bytes: {data.hex(' ')}",
    "serial tool": lambda data: f"[16:02:31.123]收←◆{data.hex(' ').upper()} □",
    "tagged": lambda data: f"[12:34:56][V][uart:158]: <<< {data.hex(':')}",
    "array": lambda data: "const uint8_t frame[] = {" + ", ".join(f"0x{octet:02X}" for octet in data) + "};",
    "literal": lambda data: f"data = {data!r}",
    "json": lambda data: json.dumps([{"at": 1, "hex": data.hex()}]),
    "xxd": lambda data: "\n".join(
        f"{at:08x}: {data[at : at + 16].hex(' ', 2)}" for at in range(0, len(data), 16)
    ),
    "wrapped": lambda data: "-\n".join(re.findall(".{1,61}", data.hex())),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("name", ["hdlc_norway_han_3phase", "mbus_netz_noe_p1", "hdlc_landis_gyr_e450"])
def test_the_same_capture_in_another_dress(name: str, dress: str) -> None:
    path = PUSHES / f"{name}.log"
    plain = decode("dlms", *keys_beside(path), str(path))
    data = bytes.fromhex("".join(row["frame"] for row in plain))
    assert decode("dlms", *keys_beside(path), text=DRESSES[dress](data)) == plain


@pytest.mark.parametrize(
    "path", sorted((DLMS / "transcripts_gurux_c_server").iterdir()), ids=lambda p: p.stem
)
def test_what_the_client_noted_of_its_conversation(path: Path) -> None:
    noted = lines(path)[0]["meta"]["results"]
    rows = decode("dlms", str(path))  # its keys are in the file
    assert not any(row["error"] for row in rows)
    told = [(r["id"], r["value"], r["unit"]) for row in rows for r in row["readings"]]
    names = {key.split("(")[0].rsplit("255", 1)[0]: value for key, value in noted.items()}
    if not names.get("get logical device name 1/0.0.42.0.0."):
        assert told == []
        return
    assert told[0] == ("0-0:42.0.0", "GRX0000000123456", "")
    if "get register 3/1.1.21.25.0." in names:
        assert told[1] == ("1-1:21.25.0", "13000", "Wh")
        month, day, year, *time = re.split("[/ ]", names["get clock 8/0.0.1.0.0."])
        assert ("0-0:1.0.0", f"20{year}-{month}-{day}T{time[0]}Z", "") == told[2]
        states = [value for key, value in noted.items() if "output_state" in key]
        assert [value for id_, value, _ in told if id_ == "0-0:96.3.10"] == [str(int(s)) for s in states]


QUARTERS = {f"2024-05-01T{i // 4:02}:{i % 4 * 15:02}:00Z": str(1000 + 7 * i) for i in range(96)}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hdlc_none_profile", QUARTERS),
        ("wrapper_gmac_profile", QUARTERS),
        ("wrapper_none_profile_last4", dict(list(QUARTERS.items())[-4:])),
        ("wrapper_gmac_general-glo_read", {None: "12345678"}),
    ],
)
def test_what_the_simulator_held(name: str, wanted: dict[str | None, str]) -> None:
    rows = decode("dlms", *KEYS, str(DLMS / "transcripts_pydlms_sim" / f"{name}.rec"))
    assert not any(row["error"] for row in rows)
    energies = [r for row in rows for r in row["readings"] if r["id"] == "1-0:1.8.0"]
    assert {r["measured_at"]: r["value"] for r in energies} == wanted
    is_scaler_read = not name.endswith("_profile")
    assert {r["unit"] for r in energies} == {"Wh" if is_scaler_read else ""}


def test_all_suites_in_one_file() -> None:
    rows = decode("dlms", str(DLMS / "general_glo_suites_0_1_2.jsonl"))
    assert [[(r["id"], r["value"]) for r in row["readings"]] for row in rows] == [
        [("1-0:1.8.0", "12345")]
    ] * 6
    wrong = decode("dlms", "--key", "guek=" + "00" * 16, str(DLMS / "general_glo_suites_0_1_2.jsonl"))
    assert {row["error"]["code"] for row in wrong} <= {"dlms.wrong-key", "dlms.key-length"}
    assert not any(row["readings"] for row in wrong)


SERVICES = {
    "TestDecodeAARE": "aare",
    "TestParseAARQ": "aarq",
    "TestActionRequestNormal": "action-request-normal",
    "TestGetRequestNormal": "get-request-normal",
    "TestGetRequestNext": "get-request-next",
    "TestGetResponseNormal": "get-response-normal",
    "TestDataNotification": "data-notification",
    "TestSnrmFrame": "snrm",
    "TestUAFrame": "ua",
    "TestInitiateResponse": "initiate-response",
}


def test_services_of_another_implementation() -> None:
    vectors = lines(DLMS / "pwitab_dlms_cosem.jsonl")
    checked = 0
    for vector in vectors:
        service = SERVICES.get(vector["id"].split(".")[0])
        if service is None or re.search("wrong|inline|const", vector["id"]):
            continue
        (row,) = decode("dlms", text=vector["hex"])
        assert (row["service"], row["error"]) == (service, None), vector["id"]
        checked += 1
    assert checked >= 14


def wrong_dlt645() -> list[str]:
    wrong = []
    for vector, row in zip(lines(FRAMES), decode("dlt645", str(FRAMES)), strict=True):
        wanted = vector["expected"] or {}
        if "value" in wanted and [r["value"] for r in row["readings"]] != [wanted["value"]]:
            wrong.append(vector["hex"])
        if vector["checksum_ok"] and row["address"] != vector["decoded"]["addr"]:
            wrong.append(vector["hex"])
    return wrong


def test_every_value_and_address_of_dlt645() -> None:
    assert wrong_dlt645() == []


def test_a_wrong_scale_of_dlt645_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {di: replace(held, decimals=held.decimals + 1) for di, held in identifiers._TABLE.items()}
    monkeypatch.setattr(identifiers, "_TABLE", table)
    assert len(wrong_dlt645()) >= 10
