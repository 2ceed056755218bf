"""What a file takes of the memory: bytes an interval, and no second copy of all of them on the way."""

import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import tables
from wattkeeper.formats.api import ErrorList, IntervalBlock
from wattkeeper.formats.csv_intervals import read_csv
from wattkeeper.formats.intervals import IntervalCollector
from wattkeeper.formats.mapping import Mapping, Place, ValueColumn
from wattkeeper.formats.nem12 import read_nem12
from wattkeeper.formats.table_rows import Part

HELD_BYTES = 20  # two of eight, one of four
DAYS = [f"2026{month:02d}{day:02d}" for month in range(1, 13) for day in range(1, 29)]
BY_DAY = Mapping(
    time=("day",),
    time_format="YYYYMMDD",
    zone="UTC",
    interval_s=Place(constant="900"),
    usage_point=Place("point"),
    values=(
        ValueColumn(
            "V1", Place(constant="E1"), Place(constant="kWh"), behind=tuple(f"V{k}" for k in range(2, 97))
        ),
    ),
)


def nem12(points_count: int, qualities: Sequence[str], days: Sequence[str]) -> bytes:
    """Return a file of 5 minutes: for each usage point some days, what is behind their values in turn."""
    records = [b"100,NEM12,202603020000,MDP,RET"]
    for point in range(points_count):
        records.append(b"200,%010d,E1,1,E1,N1,METER1,kWh,5," % point)
        for at, day in enumerate(days):
            tail = qualities[at % len(qualities)]
            records.append(f"300,{day},{'1.234,' * 288}{tail}".encode())
    return b"\n".join([*records, b"900", b""])


def held_bytes(blocks: list[IntervalBlock]) -> float:
    """Return the bytes that the arrays of blocks take, an interval."""
    arrays = [array for one in blocks for array in (one.starts_at_s, one.value_milli, one.kind_index)]
    return sum(array.nbytes for array in arrays) / sum(len(one.starts_at_s) for one in blocks)


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most that some work had allocated at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("qualities", "days"),
    [(["A,,,,"], DAYS), (["A,,,,", "E52,,,,"], DAYS[::-1]), (["V,,,,\n400,1,288,A,,"], DAYS[::-1])],
    ids=["in order", "in no order", "ranges"],
)
def test_a_nem12_file_is_held_once(qualities: Sequence[str], days: Sequence[str]) -> None:
    """An interval is 20 bytes, and at the peak little more, with all that a chunk takes."""
    content = nem12(8, qualities, days)
    count = 8 * len(DAYS) * 288
    found = read_nem12(content)
    assert (found.errors, held_bytes(found.blocks)) == ([], HELD_BYTES)
    del found
    assert peak_bytes(lambda: read_nem12(content)) < 22 * count + 4_000_000


@pytest.mark.parametrize("is_in_order", [True, False])
def test_a_table_is_put_in_order_a_column_at_a_time(*, is_in_order: bool) -> None:
    reader = tables.TableReader(BY_DAY, ErrorList())
    reader.take([(1, ["point", "day", *(f"V{k}" for k in range(1, 97))])])
    count = 100_000
    at_s = np.arange(count) * 900
    zeros = np.zeros(count, dtype=np.int64)
    tracemalloc.start()
    try:
        reader._held.keys["P", "", "E1", "Wh", 900] = 0
        reader._held.kinds[Quality(Provenance.MEASURED), ""] = 0
        part = Part(zeros, zeros, at_s if is_in_order else at_s[::-1], zeros, at_s, zeros)
        reader._held.take(part, zeros == 0)
        tracemalloc.reset_peak()
        (block,) = reader.finish().blocks
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (held_bytes([block]), np.array_equal(block.starts_at_s, at_s)) == (HELD_BYTES, True)
    assert peak < 70 * count


def test_a_table_in_no_order_is_read_as_in_order() -> None:
    head = ",".join(["point", "day", *(f"V{k}" for k in range(1, 97))])
    rows = [f"P{p},{day}," + ",".join(str(k) for k in range(96)) for p in range(2) for day in DAYS[:5]]
    first, second = (read_csv("\n".join([head, *each]).encode(), BY_DAY) for each in (rows, rows[::-1]))
    assert (first.errors, second.errors) == ([], [])
    by_name = {block.usage_point: block for block in second.blocks}
    for block in first.blocks:
        other = by_name[block.usage_point]
        assert np.array_equal(block.starts_at_s, other.starts_at_s)
        assert np.array_equal(block.value_milli, other.value_milli)


def test_gathered_intervals_are_no_objects() -> None:
    """An interval of a message: 25 bytes and its text."""
    collector = IntervalCollector(ErrorList())
    key, kind = ("UP", "", "E1", "Wh", 900), (Quality(Provenance.MEASURED), "")
    count = 20_000

    def gather() -> None:
        for at in range(count):
            collector.add(key, at, 900 * at, str(at), 3, kind)

    assert peak_bytes(gather) < 45 * count
    (block,) = collector.blocks("mscons.value-twice")
    assert np.array_equal(block.value_milli, 1000 * np.arange(count))


def test_of_wrong_rows_only_those_at_hand_are_remembered() -> None:
    """Two columns of values tell a row's error once, and a file of wrong rows fills no memory."""
    values = tuple(ValueColumn(name, Place(constant=name), Place(constant="kWh")) for name in ("a", "b"))
    mapping = Mapping(
        time=("at",), values=values, interval_s=Place(constant="900"), usage_point=Place("point")
    )
    errors = ErrorList()
    reader = tables.TableReader(mapping, errors)
    reader.take([(1, ["point", "at", "a", "b"])])
    for line in range(2, 40, 2):
        reader.take([(one, ["P", "never", "1", "2"]) for one in (line, line + 1)])
    assert [error.line for error in errors.sorted()] == list(range(2, 40))
    assert len(reader._told) == 2
