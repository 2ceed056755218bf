import json

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared import shared_path
from wattkeeper.interfaces.cli.language import choose_language
from wattkeeper.interfaces.cli.tools import decode as tool
from wattkeeper.protocols.dlms import security
from wattkeeper.protocols.dlms.security import Keys
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
        (("dlms", "-", "--key", "master=00"), b"68", "decode.unknown-key"),
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


PUSH = bytes.fromhex("0f0000000100020209060100010800ff0600003039")
TITLE, GUEK, GAK = b"WTK00001", bytes(range(16)), bytes(range(16, 32))


def ciphered(control=0x30):
    keys = Keys(GUEK, GAK)
    text = security.protect(PUSH, keys=keys, system_title=TITLE, counter=1, security_control=control)
    return security.wrap_general(TITLE, text).hex()


@pytest.mark.parametrize("name", ["guek", "GUEK", "key", "ek", "encryption-key"])
def test_the_names_of_keys(name):
    code, (row,), _ = run("dlms", "--key", f"{name}={GUEK.hex(':')}", stdin=ciphered().encode())
    assert (code, row["readings"][0]["value"]) == (0, "12345")


def test_a_wrong_authentication_key_is_noticed():
    keys = ("--key", f"guek={GUEK.hex()}", "--key", f"gak={bytes(16).hex()}")
    code, (row,), _ = run("dlms", *keys, stdin=ciphered().encode())
    assert (code, row["error"]["code"]) == (1, "dlms.wrong-key")


def test_a_wrong_key_is_noticed_where_no_tag_tells():
    code, (row,), _ = run("dlms", "--key", "guek=" + "5a" * 16, stdin=ciphered(0x20).encode())
    assert (code, row["error"]["code"], row["readings"]) == (1, "dlms.wrong-key", [])


def test_keys_beside_the_bytes_count_unless_others_are_given():
    line = json.dumps({"hex": ciphered(), "guek": GUEK.hex(), "gak": GAK.hex()}).encode()
    meta = json.dumps({"meta": {"guek": GUEK.hex()}}).encode()
    assert run("dlms", stdin=line)[0] == 0
    assert run("dlms", stdin=meta + b"\n" + json.dumps({"hex": ciphered()}).encode())[0] == 0
    code, (row,), _ = run("dlms", "--key", f"guek={bytes(16).hex()}", stdin=line)
    assert (code, row["error"]["code"]) == (1, "dlms.wrong-key")


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "The checksum does not fit: the frame is damaged."), ("zh", "校验和不符：帧已损坏。")],
)
def test_errors_in_the_language_of_the_reader(language, sentence):
    choose_language(language)
    try:
        _, (row,), _ = run("dlt645", stdin=f"{GOOD[:-4]}0016".encode())
        stderr = run("dlt645", "/nowhere")[2]
    finally:
        choose_language("")
    assert row["error"]["message"].startswith(sentence)
    assert list(row["error"]) == ["code", "message"]
    assert stderr.startswith("decode.unreadable: ")
    assert ("无法读取" in stderr) == (language == "zh")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(tool.PROTOCOLS),
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=120).map(bytes.hex).map(str.encode),
        st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace")),
    ),
)
def test_nothing_is_a_stack_trace(protocol, content):
    code, rows, stderr = run(protocol, "--key", f"guek={GUEK.hex()}", stdin=content)
    assert code == (2 if stderr else int(any(row["error"] for row in rows)))
    assert "Traceback" not in stderr
