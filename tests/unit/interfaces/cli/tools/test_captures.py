import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.interfaces.cli.tools.captures import read_capture

DATA = bytes.fromhex("6861010000000068910833333433593333338a16") + b"ab cd|  ef" + bytes(range(40))


def joined(content):
    return b"".join(piece.data for piece in read_capture(content).pieces)


@pytest.mark.parametrize(
    "text",
    [
        "686101",
        "68 61 01",
        "68-61-01",
        "68:61:01",
        "0x68, 0x61, 0x01",
        "0X68 0X61 0X01",
        "TX: 68 61 01",
        "rx 686101",
        "<- 686101",
        "686101 # a comment",
        "68 61 01   <-- opening",
        "# only this\n\n68 6101\n",
        "\ufeff686101",
        "[68 61 01]",
        '{"hex": "686101"}',
        '{"frame": "68 61 01", "other": 1}',
        '{"meta": {}}\n{"hex": "686101"}',
    ],
)
def test_hex_in_any_dress(text):
    assert joined(text.encode()) == b"\x68\x61\x01"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "decode.not-hex"),
        ("686", "decode.not-hex"),
        ("{broken", "decode.not-json"),
        ('{"x": 1}', "decode.no-hex"),
        ('{"hex": 1}', "decode.no-hex"),
        ('{"hex": "zz"}', "decode.not-hex"),
    ],
)
def test_lines_without_bytes_are_named(text, code):
    assert [piece.problem for piece in read_capture(text.encode()).pieces] == [code]


def test_raw_bytes():
    assert joined(DATA) == DATA


def wireshark(data):
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        yield f"{at:04x}  {part[:8].hex(' ')}  {part[8:].hex(' ')}".ljust(56) + f"   {text}"


def hexdump_c(data):
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        yield f"{at:08x}  {part[:8].hex(' ')}  {part[8:].hex(' ')}".ljust(60) + f"|{text}|"
    yield f"{len(data):08x}"


def xxd(data):
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        yield f"{at:08x}: {part.hex(' ', 2)}".ljust(49) + f"  {text}"


@pytest.mark.parametrize("style", [wireshark, hexdump_c, xxd])
@given(data=st.binary(min_size=17, max_size=100))
def test_dumps(style, data):
    assert joined("\n".join(style(data)).encode()) == data


@pytest.mark.parametrize("style", [wireshark, xxd])
def test_two_dumps_are_two_pieces(style):
    text = "\n".join([*style(DATA), *style(DATA[:30])])
    assert [piece.data for piece in read_capture(text.encode()).pieces] == [DATA, DATA[:30]]


@pytest.mark.parametrize("command", [["xxd"], ["hexdump", "-C"], ["od", "-An", "-tx1", "-v"]])
def test_what_the_usual_programs_write(command, tmp_path):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = tmp_path / "data"
    path.write_bytes(DATA)
    text = subprocess.run([*command, str(path)], capture_output=True, check=True).stdout
    assert joined(text) == DATA


def test_lines_of_plain_hex_are_not_taken_for_a_dump():
    assert joined(b"68610000  0102\n68610000  0304") == bytes.fromhex("6861000001026861000003 04")


@given(st.binary(max_size=300))
def test_anything_is_read(content):
    assert all(isinstance(piece.data, bytes) for piece in read_capture(content).pieces)


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    capture = read_capture(text.encode("utf-8", "surrogatepass"))
    assert all(isinstance(piece.data, bytes) for piece in capture.pieces)


def test_a_frame_may_go_on_in_the_middle_of_an_octet():
    capture = read_capture(b"TX 686-\n101 # rest\nTX-APDU 0011\nnothing\n")
    assert [piece.problem for piece in capture.pieces] == ["decode.not-hex"] * 3
    assert [(piece.data, piece.problem) for piece in capture.wrapped] == [
        (b"\x68\x61\x01", ""),
        (b"", "decode.not-hex"),
    ]


@pytest.mark.parametrize("text", ["[", "(a", "12:00:00 ", "b'", '{"a":', "0:", "zz 00 ", "-", "0x", "00   "])
def test_hostile_text_is_read_in_no_time(text):
    started_s = time.process_time()
    read_capture(text.encode() * 30_000)
    assert time.process_time() - started_s < 2
