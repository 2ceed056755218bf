"""One decoder under a fuzzer that is guided by what it reaches: `python fuzz_rig.py TARGET RUNS FOLDER`.

Ends with 0 after so many inputs; otherwise the input that did it lies in the folder. Nothing but the
decoder's own error may leave it, no input may take longer than `SLOWEST_S` of CPU, and memory stays flat.
"""

import contextlib
import hashlib
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import atheris
from fastcrc import crc16

SLOWEST_S = 0.05
MEMORY_MAX_MB = 1024
FRAME_MAX_BYTES, FILE_MAX_BYTES = 300, 4096

with atheris.instrument_imports(include=["wattkeeper"], enable_loader_override=False):
    from conformance.fuzz_seeds import DLMS_APDUS, DLMS_FRAMES, VALUES, batches, files, frames_645, pdus
    from wattkeeper.formats.api import FormatError
    from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
    from wattkeeper.formats.espi import read_espi
    from wattkeeper.formats.iec61968 import read_iec61968
    from wattkeeper.formats.mscons import read_mscons
    from wattkeeper.formats.nem12 import read_nem12
    from wattkeeper.formats.nem13 import read_nem13
    from wattkeeper.headend.carry_parcel import ParcelDamaged, unpack_parcel
    from wattkeeper.protocols.dlms import axdr, describe, hdlc, wrapper
    from wattkeeper.protocols.dlms.apdus import decode_apdu
    from wattkeeper.protocols.dlms.errors import DlmsError
    from wattkeeper.protocols.dlt645 import describe as describe_645
    from wattkeeper.protocols.modbus import describe as describe_modbus
    from wattkeeper.protocols.pulse.errors import PulseError
    from wattkeeper.protocols.pulse.messages import Topic, decode_line, decode_message
    from wattkeeper.store.batch_codec import BatchDamaged, decode_batch

DLMS_KEYS = {"guek": bytes(16), "gak": bytes(16)}


class TooSlow(Exception):
    """An input took longer than `SLOWEST_S`, three times in a row."""


@dataclass(frozen=True)
class Target:
    """What is fed, which errors are its own, what it is fed first, and what mends checksums and lengths."""

    decode: Callable[[bytes], Any]
    own: tuple[type[Exception], ...]
    seeds: list[bytes]
    mend: Callable[[bytes], bytes] = bytes

    @property
    def input_max_bytes(self) -> int:
        """How long an input gets: enough for several frames, for a day of a file."""
        return FILE_MAX_BYTES if FormatError in self.own else FRAME_MAX_BYTES


def mend_645(octets: bytes) -> bytes:
    if len(octets) < 12:
        return octets
    body = octets[:9] + bytes([(len(octets) - 12) & 0xFF]) + octets[10:-2]
    return body + bytes([sum(body) & 0xFF, 0x16])


def modbus_rtu(octets: bytes) -> bytes:
    return octets + crc16.modbus(octets).to_bytes(2, "little")


def modbus_tcp(octets: bytes) -> bytes:
    return b"\x00\x07\x00\x00" + (len(octets) & 0xFFFF).to_bytes(2, "big") + octets


def hdlc_frame(octets: bytes) -> bytes:
    return b"\x7e" + hdlc.encode_frame(1, 16, octets[0] if octets else 0x13, octets[1:2000]) + b"\x7e"


def mend_parcel(octets: bytes) -> bytes:
    body = octets[36:]
    return b"WKP1" + hashlib.sha256(body).digest() + body


def message(octets: bytes) -> object:
    verb = ("counts", "ack", "get", "history")[octets[0] % 4] if octets else "ack"
    return decode_message(Topic("S", "P1", verb), octets[1:])


@atheris.instrument_func  # type: ignore[untyped-decorator]
def planted(octets: bytes) -> None:
    """The planted fault: an error of no kind of ours, four bytes deep, where blind luck never comes."""
    if len(octets) > 3 and octets[0] == 0x57 and octets[1] == 0x41 and octets[2:4] == b"TT":
        raise IndexError("planted")


def slow(octets: bytes) -> None:
    if len(octets) > 20:
        sum(range(10_000_000))


BATCH, PARCEL = batches()
PULSE = [
    b'{"serial": "P1", "seq": 7, "counts": [[1772366400, 5], [1772367300, 9]]}',
    b'{"serial": "P1", "seq": 0, "from": 1, "to": 9, "counts": [[3, 4]]}',
    b'{"seq": 7}',
    b'{"from": 1, "to": 9}',
]
TARGETS = {
    "dlt645": Target(lambda x: list(describe_645.decode_stream(x, {})), (), frames_645(), mend_645),
    "modbus-rtu": Target(lambda x: list(describe_modbus.decode_stream(modbus_rtu(x), {})), (), pdus()),
    "modbus-tcp": Target(lambda x: list(describe_modbus.decode_stream(modbus_tcp(x), {})), (), pdus()),
    "dlms": Target(lambda x: list(describe.decode_stream(x, DLMS_KEYS)), (), DLMS_FRAMES),
    "dlms-hdlc": Target(
        lambda x: list(describe.decode_stream(hdlc_frame(x), DLMS_KEYS)),
        (),
        [b"\x13\xe6\xe7\x00" + apdu for apdu in DLMS_APDUS],
    ),
    "dlms-wrapper": Target(
        lambda x: list(describe.decode_stream(wrapper.encode_frame(1, 16, x), DLMS_KEYS)), (), DLMS_APDUS
    ),
    "dlms-apdu": Target(decode_apdu, (DlmsError,), DLMS_APDUS),
    "dlms-axdr": Target(axdr.decode, (DlmsError,), VALUES),
    "pulse-line": Target(
        decode_line, (PulseError,), [b'{"topic": "pulse/S/P1/counts", ' + each[1:] for each in PULSE]
    ),
    "mqtt": Target(message, (PulseError,), [b"\x00" + PULSE[0], b"\x03" + PULSE[1], b"\x01" + PULSE[2]]),
    "batch": Target(decode_batch, (BatchDamaged,), [BATCH]),
    "parcel": Target(unpack_parcel, (ParcelDamaged, BatchDamaged), [PARCEL], mend_parcel),
    "nem12": Target(read_nem12, (FormatError,), files("nem12")),
    "nem13": Target(read_nem13, (FormatError,), files("nem13")),
    "greenbutton": Target(read_espi, (FormatError,), files("greenbutton")),
    "iec61968": Target(read_iec61968, (FormatError,), files("iec61968")),
    "mscons": Target(read_mscons, (FormatError,), files("mscons")),
    "csv": Target(lambda x: read_csv(x, CsvOptions(zone="Europe/Berlin")), (FormatError,), files("csv")),
    "planted": Target(planted, (), [bytes(16)]),
    "planted-slow": Target(slow, (), [bytes(4)]),
}


def spent_s(decode: Callable[[bytes], Any], octets: bytes, own: tuple[type[Exception], ...]) -> float:
    began_s = time.thread_time()
    with contextlib.suppress(own):
        decode(octets)
    return time.thread_time() - began_s


def main() -> None:
    name, runs_count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    target = TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def test_one(octets: bytes) -> None:
        if spent_s(target.decode, octets, target.own) > SLOWEST_S:
            least_s = min(spent_s(target.decode, octets, target.own) for _ in range(3))
            if least_s > SLOWEST_S:
                raise TooSlow(f"{least_s:.3f} s for {len(octets)} bytes")

    def mutate(octets: bytes, size_max: int, seed: int) -> bytes:
        mutated: bytes = atheris.Mutate(octets, size_max)
        return target.mend(mutated) if random.Random(seed).random() < 0.9 else mutated

    atheris.Setup(
        [
            *("fuzz", str(corpus), f"-atheris_runs={runs_count}", f"-max_len={target.input_max_bytes}"),
            *(
                f"-rss_limit_mb={MEMORY_MAX_MB}",
                f"-artifact_prefix={folder}/",
                "-seed=1",
                "-print_final_stats=1",
            ),
        ],
        test_one,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
