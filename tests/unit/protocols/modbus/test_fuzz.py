"""Many mutated frames with mended checksums and lengths: nothing but the protocol's own error, never slow."""

import random

import pytest
from fastcrc import crc16

from cpu_time import Slowest, slowed
from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.describe import decode_stream

SLOWEST_RATIO = 1  # of the time that counting to a million takes
SEEDS = (
    pdu.encode_request(pdu.ReadRegisters(3, 0, 8)),
    pdu.encode_answer(pdu.Registers(3, bytes(range(16)))),
    pdu.encode_answer(pdu.Bits(1, b"\x05")),
    pdu.encode_request(pdu.WriteRegisters(110, bytes(4))),
    pdu.encode_request(pdu.ReadFile((pdu.FileSpan(1, 0, 4), pdu.FileSpan(2, 0, 4)))),
    pdu.encode_answer(pdu.FileRecords((bytes(8), bytes(8)))),
    pdu.encode_answer(pdu.Refused(3, 2)),
)


def mutate(dice, octets):
    mutated = bytearray(b"\x05" + octets)
    for _ in range(dice.randint(1, 4)):
        kind, at = dice.randrange(3), dice.randrange(1, len(mutated))
        if kind == 0:
            mutated[at] = dice.randrange(256)
        elif kind == 1:
            mutated.insert(at, dice.randrange(256))
        elif len(mutated) > 3:
            del mutated[at]
    body = bytes(mutated)
    if dice.random() < 0.5:
        return body + crc16.modbus(body).to_bytes(2, "little")
    return b"\x00\x07\x00\x00" + len(body).to_bytes(2, "big") + body


def decode_all(octets):
    return list(decode_stream(octets, {}))


def run(count, decode_all=decode_all):
    dice = random.Random(502)
    slowest, decoded_count = Slowest(), 0
    for _ in range(count):
        octets = mutate(dice, dice.choice(SEEDS))
        rows = slowest.did(decode_all, octets)
        assert b"".join(bytes.fromhex(row["frame"]) for row in rows) == octets
        decoded_count += rows[0]["error"] is None
    return slowest.ratio(), decoded_count


def test_a_few():
    slowest_ratio, decoded_count = run(3000)
    assert decoded_count > 300
    assert slowest_ratio < SLOWEST_RATIO


def test_a_slow_decoder_would_be_caught():
    slowest_ratio, _ = run(3, slowed(decode_all))
    assert slowest_ratio > SLOWEST_RATIO


@pytest.mark.soak
def test_many():
    slowest_ratio, _ = run(200_000)
    assert slowest_ratio < SLOWEST_RATIO
