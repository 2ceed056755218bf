import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.interfaces.cli.tools.captures import read_capture
from wattkeeper.interfaces.cli.tools.dumps import read_dump
from wattkeeper.interfaces.cli.tools.packets import payload

DATA = bytes(range(0x30, 0x60)) + bytes(range(0x60, 0x75))


def rows(data, start=0, indent=""):
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        yield f"{indent}{start + at:08x}  {part[:8].hex(' ')}  {part[8:].hex(' ')}".ljust(60) + f"   {text}"


def test_a_followed_stream_keeps_its_sides_and_their_order():
    asked, told = DATA[:20], DATA[20:]
    lines = [
        "=" * 20,
        "Follow: tcp,hex",
        "Node 0: 10.0.0.1:4059",
        *rows(asked),
        *rows(told, indent="    "),
        *rows(asked[:5], start=len(asked)),
        *rows(told[:3], start=len(told), indent="    "),
    ]
    assert read_dump(lines) == [asked, told, asked[:5], told[:3]]


def test_talk_between_dumps_is_passed_over_but_frames_are_not():
    lines = ["No.  Time  Source", *rows(DATA), "Frame 2: 69 bytes on wire", *rows(DATA[:9])]
    assert read_dump(lines) == [DATA, DATA[:9]]
    assert read_dump([*lines, "68 61 01 00 00 00"]) is None


def test_offsets_that_do_not_count_are_no_dump():
    assert read_dump([f"{at:04x}  00 01" for at in (0, 5)]) is None
    assert read_dump(["0000 0102"]) is None
    assert read_dump([]) is None


@pytest.mark.parametrize(
    "command",
    [
        ["od", "-tx1"],
        ["od", "-Ax", "-tx1", "-v"],
        ["od", "-tx1", "-v"],
        ["hexdump"],
        ["xxd", "-g1"],
        ["xxd", "-p"],
        ["xxd", "-i"],
    ],
)
def test_what_the_usual_programs_write(command, tmp_path):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = tmp_path / "data"
    path.write_bytes(DATA)
    text = subprocess.run([*command, str(path)], capture_output=True, check=True).stdout
    capture = read_capture(text)
    pieces = capture.wrapped or capture.pieces
    assert b"".join(piece.data for piece in pieces) == DATA


def ipv4(kind, transport, data):
    head = bytearray(
        struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(transport) + len(data), 1, 0, 64, kind, 0, *HOSTS)
    )
    total = sum(struct.unpack(">10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(head) + transport + data


HOSTS = (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
TCP = struct.pack(">HHIIBBHHH", 4059, 50000, 1, 1, 0x50, 0x18, 1000, 0, 0)
UDP = struct.pack(">HHHH", 4059, 50000, 8 + len(DATA), 0)
ETHERNET = bytes(12) + b"\x08\x00"


@pytest.mark.parametrize(
    "packet",
    [
        ETHERNET + ipv4(6, TCP, DATA) + bytes(4),
        ipv4(17, UDP, DATA),
        bytes(12)
        + b"\x86\xdd\x60\0\0\0"
        + (20 + len(DATA)).to_bytes(2, "big")
        + b"\x06\x40"
        + bytes(32)
        + TCP
        + DATA,
    ],
)
def test_what_a_packet_carries(packet):
    assert payload(packet) == DATA


def test_dumps_of_packets_give_what_they_carry():
    empty = ETHERNET + ipv4(6, TCP, b"")
    lines = [
        *rows(ETHERNET + ipv4(6, TCP, DATA)),
        "Frame 2",
        *rows(empty),
        "Frame 3",
        *rows(ipv4(17, UDP, DATA)),
    ]
    assert read_dump(lines) == [DATA, DATA]


def test_a_frame_is_not_taken_for_a_packet():
    broken = bytearray(ipv4(6, TCP, DATA))
    broken[12] ^= 1
    assert payload(bytes(broken)) is None


@given(st.binary(max_size=120))
def test_any_bytes_are_looked_into(octets):
    found = payload(octets)
    assert found is None or octets.endswith(found) or found in octets


@given(st.lists(st.text("0123456789abcdef: |.\t", max_size=40), max_size=6))
def test_any_lines_are_looked_into(lines):
    found = read_dump(lines)
    assert found is None or all(isinstance(dump, bytes) for dump in found)
