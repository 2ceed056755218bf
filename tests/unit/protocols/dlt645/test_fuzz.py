"""Many mutated frames with mended checksums: nothing but the protocol's own error, and never slow."""

import random

import pytest

from cpu_time import Slowest, slowed
from wattkeeper.protocols.dlt645.bcd import LocalTime
from wattkeeper.protocols.dlt645.describe import decode_stream
from wattkeeper.protocols.dlt645.frame import encode_frame
from wattkeeper.protocols.dlt645.records import LoadRecord, encode_record
from wattkeeper.protocols.dlt645.services import Answer, Read, encode_answer, encode_read

SLOWEST_RATIO = 1  # of the time that counting to a million takes


def seeds():
    record = encode_record(LoadRecord(LocalTime(2026, 11, 22, 8, 15), {"00010000": 5, "02010100": 2200}))
    for answer in (
        Answer(0x11, "00010000", bytes(4)),
        Answer(0x11, "0001FF00", bytes(20)),
        Answer(0x11, "06040001", record * 3),
        Answer(0x12, "06040001", record, has_more=True, sequence=1),
        Answer(0x01, "9010", bytes(4)),
    ):
        yield encode_frame(encode_answer("000000000161", answer))
    yield encode_frame(encode_read("000000000161", Read("06040001", 6, LocalTime(2026, 11, 22, 8, 15))))
    yield bytes.fromhex("68111111111111681c1033333333333333334d3357744845384b5516")


def mutate(dice, octets):
    mutated = bytearray(octets)
    for _ in range(dice.randint(1, 5)):
        kind, at = dice.randrange(3), dice.randrange(8, len(mutated) - 2)
        if kind == 0:
            mutated[at] = dice.randrange(256)
        elif kind == 1:
            mutated.insert(at, dice.randrange(256))
        elif len(mutated) > 14:
            del mutated[at]
    mutated[9] = (len(mutated) - 12) & 0xFF
    mutated[-2] = sum(mutated[:-2]) & 0xFF
    return bytes(mutated)


def decode_all(octets):
    return list(decode_stream(octets, {}))


def run(count, decode_all=decode_all):
    dice = random.Random(645)
    frames = list(seeds())
    slowest, decoded_count = Slowest(), 0
    for _ in range(count):
        octets = mutate(dice, dice.choice(frames))
        rows = slowest.did(decode_all, octets)
        decoded_count += rows[0]["address"] is not None
    return slowest.ratio(), decoded_count


def test_a_few():
    slowest_ratio, decoded_count = run(3000)
    assert decoded_count > 2900
    assert slowest_ratio < SLOWEST_RATIO


def test_a_slow_decoder_would_be_caught():
    slowest_ratio, _ = run(3, slowed(decode_all))
    assert slowest_ratio > SLOWEST_RATIO


@pytest.mark.soak
def test_many():
    slowest_ratio, decoded_count = run(200_000)
    assert decoded_count > 198_000
    assert slowest_ratio < SLOWEST_RATIO
