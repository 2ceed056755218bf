"""Many mutated frames with mended checksums and lengths: nothing but the protocol's own error, never slow."""

import random
import time

import pytest
from fastcrc import crc16

from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.describe import decode_stream

SLOWEST_S = 0.5
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


def run(count):
    dice = random.Random(502)
    slowest_s, decoded_count = 0.0, 0
    for _ in range(count):
        octets = mutate(dice, dice.choice(SEEDS))
        started_s = time.perf_counter()
        rows = list(decode_stream(octets, {}))
        slowest_s = max(slowest_s, time.perf_counter() - started_s)
        assert b"".join(bytes.fromhex(row["frame"]) for row in rows) == octets
        decoded_count += rows[0]["error"] is None
    return slowest_s, decoded_count


def test_a_few():
    slowest_s, decoded_count = run(3000)
    assert decoded_count > 300
    assert slowest_s < SLOWEST_S


@pytest.mark.soak
def test_many():
    slowest_s, _ = run(200_000)
    assert slowest_s < SLOWEST_S
