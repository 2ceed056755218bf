from collections.abc import Callable
from random import Random

import pytest

from wattkeeper.protocols.dlt645.frame import Frame, encode_frame, find_frame
from wattkeeper.protocols.modbus.frame import Adu, decode_tcp, encode_tcp
from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import Counts, Topic, decode_line, encode_line
from wattkeeper.simulators import faults
from wattkeeper.simulators.faults import LineFaults

FRAME = encode_frame(Frame("260100100001", 0x91, b"\x00\x00\x01\x00\x12\x34\x56\x78"))


def make(per_mille: int, damage: Callable[[bytes, Random], bytes] = faults.damage_anywhere) -> LineFaults:
    return LineFaults(seed=4, link="l", per_mille=per_mille, damage=damage)


def test_a_clean_line_passes_everything_on() -> None:
    line = make(0)
    assert all(line.pass_on(FRAME) == [FRAME] for _ in range(500))
    assert line.counts == {"answers": 500}


def test_faults_come_as_often_as_promised_and_are_counted() -> None:
    line = make(10)
    sent = [line.pass_on(FRAME) for _ in range(20_000)]
    for kind in ("lost", "duplicated", "damaged"):
        assert 120 < line.counts[kind] < 280
    whole = sum(frames.count(FRAME) for frames in sent)
    expected = 20_000 - line.counts["lost"] - line.counts["damaged"] + line.counts["duplicated"]
    assert abs(whole - expected) <= 1  # one may still be late


def test_the_same_seed_brings_the_same_faults() -> None:
    first, second = make(100), make(100)
    assert [first.pass_on(FRAME) for _ in range(500)] == [second.pass_on(FRAME) for _ in range(500)]


def test_a_damaged_dlt645_frame_is_never_a_frame() -> None:
    random = Random(1)
    for _ in range(2000):
        damaged = faults.damage_anywhere(FRAME, random)
        assert damaged != FRAME
        assert find_frame(damaged).frame is None


def test_a_damaged_modbus_frame_never_answers_what_was_asked() -> None:
    frame, random = encode_tcp(Adu(3, b"\x03\x02\x12\x34", 77)), Random(1)
    for _ in range(500):
        damaged = faults.damage_modbus_header(frame, random)
        assert damaged[7:] == frame[7:]
        assert damaged[2:4] != b"\0\0" or decode_tcp(damaged) != decode_tcp(frame)


def test_a_damaged_line_is_no_message() -> None:
    line = encode_line(Topic("S", "P1", "counts"), Counts("P1", 1, ((900, 12345),)))
    random = Random(1)
    for _ in range(500):
        damaged = faults.damage_json_line(line, random)
        assert damaged.endswith(b"\n")
        with pytest.raises(PulseError):
            decode_line(damaged)
