"""What a fuzzer starts from: one whole example of each kind that a decoder reads."""

import numpy as np

from unit.formats.test_nem13 import GOOD
from unit.formats.test_nem13 import file as nem13
from unit.protocols.dlt645.test_fuzz import seeds as seeds_645
from unit.protocols.modbus.test_fuzz import SEEDS as SEEDS_MODBUS
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import LossList
from wattkeeper.formats.blocks import make_block
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import write_file
from wattkeeper.headend.carry_parcel import pack_parcels
from wattkeeper.protocols.dlms import hdlc, wrapper
from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.batch_codec import encode_batch

MARKET_MIDNIGHT_S = 1_772_287_200  # 2026-03-01 in market time, UTC+10
DAY_COUNT = 48  # a file of that market has whole days
FEW_COUNT = 2

VALUES = [
    bytes.fromhex(each)
    for each in (
        "06000004d2",
        "0203090601000108 00ff0600001000020 20f00161e".replace(" ", ""),
        "0102020209060100010800ff120005020209060100020800ff120007",
        "090c07ea03010700000000ff8000",
        "13020215000600000001",
    )
]
DLMS_APDUS = [
    bytes.fromhex(each)
    for each in (
        "c001c100030100010800ff0200",
        "c401c10006000004d2",
        "c402c1000000000100" + "06" + "000204" + "d2",
        "601da109060760857405080101be10040e01000000065f1f0400007e1f04b0",
        "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400001e1d04c80007",
        "0f000000010c07ea0301070000000000800002020906010001080 0ff06000004d2".replace(" ", ""),
        "db0841424344454647480e3000000001" + 9 * "00",
        "c8" + "0e3000000001" + 9 * "00",
        "e0c00001000002c401",
        "d80103",
        "6203800100",
        "0e010106",
    )
]
DLMS_FRAMES = [
    bytes.fromhex("7ea0070321930f017e"),
    *(wrapper.encode_frame(1, 16, apdu) for apdu in DLMS_APDUS),
    *(b"\x7e" + hdlc.encode_frame(1, 16, 0x13, b"\xe6\xe7\x00" + apdu) + b"\x7e" for apdu in DLMS_APDUS),
]


def frames_645() -> list[bytes]:
    return list(seeds_645())


def pdus() -> list[bytes]:
    """Return what stands between unit and checksum, the unit before it."""
    return [b"\x05" + each for each in SEEDS_MODBUS]


def batches() -> tuple[bytes, bytes]:
    """Return a batch as it lies in the spool, and a parcel as it travels."""
    columns = [np.arange(4, dtype=np.int64) * step for step in (1, 900, 7, 0, 0, 1)]
    batch = RawBatch(1, 2, 3, *columns, frames=(RawFrame(1, 2, 3, b"frame"),))
    return encode_batch(batch), pack_parcels([batch], 10**6)[0].content


def files(form: Format) -> list[bytes]:
    """Return a small file of one meter: its day, a few of its values, or its register."""
    if form == "nem13":
        return [nem13(GOOD, "550,N,,A,")]
    count = DAY_COUNT if form == "nem12" else FEW_COUNT
    block = make_block(
        ("ABCDEFGHIJ", "M1", "E1", "Wh", 1800),
        [MARKET_MIDNIGHT_S + 1800 * place for place in range(count)],
        list(range(1000, 1000 + count)),
        [(Quality(Provenance.MEASURED), ""), (Quality(Provenance.ESTIMATED), "")],
        [place % 2 for place in range(count)],
    )
    return [b"".join(write_file(form, [block], LossList()))]
