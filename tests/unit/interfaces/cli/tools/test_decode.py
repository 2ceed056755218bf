import json

import pytest
import typer
from typer.testing import CliRunner

from shared import shared_path
from wattkeeper.interfaces.cli.tools import decode as tool
from wattkeeper.protocols.modbus.frame import Adu, encode_tcp

GOOD = "6861010000000068910833333433593333338a16"
KEYS = ["frame", "protocol", "address", "service", "readings", "error"]

app = typer.Typer()
app.command()(tool.decode)


def run(*arguments, stdin=b""):
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(row) == KEYS for row in rows)
    return result.exit_code, rows, result.stderr


def test_one_frame_from_standard_input():
    code, (row,), stderr = run("dlt645", stdin=GOOD.encode())
    assert (code, stderr) == (0, "")
    assert row["readings"][0] == {
        "id": "00010000",
        "quantity": "energy_import_register_kwh",
        "value": "0.26",
        "unit": "kWh",
        "measured_at": None,
    }


def test_a_raw_file(tmp_path):
    path = tmp_path / "capture.bin"
    path.write_bytes(bytes.fromhex(GOOD) * 3)
    code, rows, _ = run("dlt645", str(path))
    assert (code, len(rows)) == (0, 3)


def test_one_bad_frame_makes_exit_1():
    code, rows, _ = run("dlt645", "-", stdin=f"{GOOD}\n{GOOD[:-4]}0016\n{GOOD}\n".encode())
    assert code == 1
    assert [row["error"] and row["error"]["code"] for row in rows] == [None, "dlt645.checksum", None]
    assert rows[1]["error"]["message"]


def test_frames_wrapped_over_lines_are_joined():
    text = f"{GOOD[:16]}\n{GOOD[16:30]}\n{GOOD[30:]}\n"
    code, rows, _ = run("dlt645", stdin=text.encode())
    assert (code, len(rows)) == (0, 1)


def test_a_damaged_line_does_not_spoil_the_next():
    code, rows, _ = run("dlt645", stdin=f"{GOOD[:-6]}\n{GOOD}\nnonsense\n{GOOD}".encode())
    assert code == 1
    assert sum(1 for row in rows if row["error"] is None) == 2
    assert rows[2]["error"]["code"] == "decode.not-hex"


def test_modbus_pairs_over_lines():
    asked = encode_tcp(Adu(1, bytes.fromhex("0300640001"), 1)).hex()
    told = encode_tcp(Adu(1, bytes.fromhex("030200e6"), 1)).hex()
    code, rows, _ = run("modbus", stdin=f"TX {asked}\nRX {told}\n".encode())
    assert code == 0
    assert [(r["id"], r["value"]) for r in rows[1]["readings"]] == [("100", "230")]


def test_the_shared_vectors():
    path = shared_path("vectors/dlt645/frames.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    code, rows, _ = run("dlt645", str(path))
    assert code == 1
    assert [row["frame"] for row in rows] == [line["hex"] for line in lines]
    for row, line in zip(rows, lines, strict=True):
        if line["checksum_ok"] and "value" in (line["expected"] or {}):
            assert row["readings"][0]["value"] == line["expected"]["value"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (("morse",), b"", "decode.unknown-protocol"),
        (("dlt645", "/nowhere/at/all"), b"", "decode.unreadable"),
        (("dlt645", "/"), b"", "decode.unreadable"),
        (("dlt645", "a\0b"), b"", "decode.unreadable"),
        (("dlt645",), b"", "decode.empty"),
        (("dlt645",), b"# nothing\n", "decode.empty"),
        (("dlt645", "-", "--key", "guek"), b"68", "decode.bad-key"),
        (("dlt645", "-", "--key", "guek=xx"), b"68", "decode.bad-key"),
        (("dlt645", "-", "--key", "=00"), b"68", "decode.bad-key"),
    ],
)
def test_wrong_use_is_one_sentence_with_a_code(arguments, stdin, code):
    exit_code, rows, stderr = run(*arguments, stdin=stdin)
    assert (exit_code, rows) == (2, [])
    assert stderr.startswith(f"{code}: ")
    assert stderr.count("\n") == 1


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "INPUT_MAX_BYTES", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(11))
    assert run("dlt645", str(path))[2].startswith("decode.too-large: ")


def test_a_fault_of_a_codec_is_a_row(monkeypatch):
    def broken(chunks, _keys):
        for chunk in chunks:
            if chunk == b"\x01":
                raise IndexError
            yield {
                "frame": chunk.hex(),
                "protocol": "x",
                "address": "",
                "service": "",
                "readings": [],
                "error": None,
            }

    monkeypatch.setattr("wattkeeper.protocols.dlt645.describe.decode_chunks", broken)
    code, rows, _ = run("dlt645", stdin=b'{"hex":"00"}\n{"hex":"01"}\n{"hex":"02"}')
    assert code == 1
    assert [(row["frame"], row["error"] and row["error"]["code"]) for row in rows] == [
        ("00", None),
        ("01", "decode.failed"),
        ("02", None),
    ]
