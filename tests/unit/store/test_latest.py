"""The table of latest reads: the newest stays in any order, half-written ones are seen, so are deaths."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.store import latest as latest_module
from wattkeeper.store.api import LatestRead, RawBatch
from wattkeeper.store.latest import LatestTable
from wattkeeper.store.mixing import mix_columns, mix_row
from wattkeeper.store.newest import Newest, newest_of
from wattkeeper.store.ranges import StoreOutOfRange

INT64 = st.integers(-(2**63), 2**63 - 1)
READ = st.tuples(
    st.integers(1, 2),
    st.integers(-2, 3),
    st.integers(0, 3),
    st.integers(-2, 2),
    st.integers(0, 2),
    st.integers(0, 2),
)
Row = tuple[int, int, int, int, int, int]


def batches_of(rows: list[Row]) -> list[RawBatch]:
    """One batch a tenant: rows are tenant, channel, instant, value, flags, source."""
    batches = []
    for tenant_id in sorted({row[0] for row in rows}):
        own = np.array([row for row in rows if row[0] == tenant_id], np.int64)
        columns = [own[:, index].copy() for index in range(1, 6)] + [np.zeros(len(own), np.int64)]
        channel_id, at_s, value, flags, source, frame_index = columns
        batches.append(RawBatch(tenant_id, 1, 1, channel_id, at_s, value, flags, source, frame_index))
    return batches


def expected(rows: list[Row]) -> set[Row]:
    best: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for tenant_id, channel_id, at_s, value, flags, source in rows:
        key = (at_s, source, -value, -flags)
        best[tenant_id, channel_id] = max(best.get((tenant_id, channel_id), key), key)
    return {(*ids, at_s, -value, -flags, source) for ids, (at_s, source, value, flags) in best.items()}


def rows_of(newest: Newest) -> set[Row]:
    return set(zip(*(getattr(newest, name).tolist() for name in Newest.__slots__), strict=True))


def whole_table(path: Path) -> LatestTable:
    table = LatestTable(path)
    table.declare_whole(table.start_anew())
    return table


def one(channel_id: int, at_s: int, value: int = 1) -> Newest:
    return newest_of(batches_of([(1, channel_id, at_s, value, 0, 0)]))


@given(st.lists(READ, max_size=30))
def test_the_newest_of_each_channel(rows: list[Row]) -> None:
    assert rows_of(newest_of(batches_of(rows))) == expected(rows)


@given(st.lists(READ, max_size=40).map(sorted))
def test_the_newest_of_sorted_reads(rows: list[Row]) -> None:
    assert rows_of(newest_of(batches_of(rows))) == expected(rows)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(READ, max_size=12), max_size=6))
def test_taken_in_any_order_the_newest_stays(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[Row]]
) -> None:
    rows = [row for group in groups for row in group]
    for order in (groups, groups[::-1], groups + groups):
        table = whole_table(tmp_path_factory.mktemp("latest") / "t")
        for group in order:
            table.take(newest_of(batches_of(group)))
        assert rows_of(table.everything()) == expected(rows)
        for tenant_id in (1, 2):
            found, unsure = table.find(tenant_id, range(-3, 4))
            assert not unsure
            assert {
                (tenant_id, *(getattr(read, name) for name in LatestRead.__slots__))
                for read in found.values()
            } == {row for row in expected(rows) if row[0] == tenant_id}


@given(st.lists(INT64, min_size=6, max_size=6))
def test_a_row_mixes_as_columns_do(numbers: list[int]) -> None:
    columns = [np.array([number, 0], np.int64) for number in numbers]
    assert mix_row(numbers) == int(mix_columns(columns)[0])


def test_it_grows_and_other_readers_follow(tmp_path: Path) -> None:
    writer, reader = whole_table(tmp_path / "t"), LatestTable(tmp_path / "t")
    for start in range(0, 50_000, 10_000):
        ids = np.arange(start, start + 10_000)
        columns = [np.full(10_000, 1), ids, ids + 7, -ids, ids % 3, ids % 5]
        writer.take(Newest(*(column.astype(np.int64) for column in columns)))
    found, unsure = reader.find(1, [0, 12_345, 49_999, 50_000])
    assert not unsure
    assert found[12_345] == LatestRead(12_345, 12_352, -12_345, 12_345 % 3, 0)
    assert sorted(found) == [0, 12_345, 49_999]
    assert len(reader.everything().channel_id) == 50_000


def test_a_table_that_is_not_whole_answers_nothing(tmp_path: Path) -> None:
    table = LatestTable(tmp_path / "t")
    assert table.find(1, [5]) == ({}, [5])
    doubts_count = table.start_anew()
    table.take(one(5, 10))
    assert table.find(1, [5]) == ({}, [5])
    table.declare_whole(doubts_count)
    assert table.find(1, [5, 6])[0].keys() == {5}


def test_another_boot_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_table(tmp_path / "t").take(one(5, 10))
    assert LatestTable(tmp_path / "t").is_whole
    monkeypatch.setattr(latest_module, "_boot", lambda: 7)
    assert not LatestTable(tmp_path / "t").is_whole


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 8192, b"x" * 8192])
def test_a_file_that_is_no_table_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    assert not LatestTable(tmp_path / "t").is_whole
    assert whole_table(tmp_path / "t").is_whole


def test_a_failed_insert_is_a_doubt_and_a_refused_one_is_not(tmp_path: Path) -> None:
    table = whole_table(tmp_path / "t")
    with pytest.raises(StoreOutOfRange), table.storing():
        raise StoreOutOfRange("store.out-of-range")
    assert table.is_whole
    with pytest.raises(KeyError), table.storing():
        raise KeyError
    assert not table.is_whole


def test_a_doubt_during_a_rebuild_is_not_forgotten(tmp_path: Path) -> None:
    table = LatestTable(tmp_path / "t")
    doubts_count = table.start_anew()
    with pytest.raises(KeyError), table.storing():
        raise KeyError
    table.declare_whole(doubts_count)
    assert not table.is_whole


def test_who_dies_while_storing_leaves_a_doubt(tmp_path: Path) -> None:
    table = whole_table(tmp_path / "t")
    code = "import sys, time; from pathlib import Path; from wattkeeper.store.latest import LatestTable\n"
    code += "with LatestTable(Path(sys.argv[1])).storing(): print('in', flush=True); time.sleep(60)"
    dying = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "t")], stdout=subprocess.PIPE, text=True
    )
    assert dying.stdout is not None
    dying.stdout.readline()
    with table.storing():
        pass
    assert table.is_whole
    dying.kill()
    dying.wait()
    assert not table.is_whole, "before anybody stores again"
    assert table.find(1, [7]) == ({}, [7])
    with table.storing():
        assert not table.is_whole


@pytest.mark.parametrize("word", range(8))
def test_a_half_written_record_is_unsure(tmp_path: Path, word: int) -> None:
    table = whole_table(tmp_path / "t")
    table.take(one(5, 10))
    assert table._view is not None
    (slot,) = np.flatnonzero(table._view.records[:, 0])
    table._view.records[slot, word] += 1
    assert table.find(1, [5]) == ({}, [5])
    assert not len(table.everything().channel_id)


def test_writing_again_mends_a_half_written_record(tmp_path: Path) -> None:
    table = whole_table(tmp_path / "t")
    table.take(one(5, 10))
    assert table._view is not None
    (slot,) = np.flatnonzero(table._view.records[:, 0])
    table._view.records[slot, 0] += 1
    table.take(one(5, 11))
    assert table.find(1, [5])[0][5].measured_at_s == 11


WRITE_FOR_EVER = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from wattkeeper.store.latest import LatestTable
from wattkeeper.store.newest import Newest
table = LatestTable(Path(sys.argv[1]))
ids = np.arange(200, dtype=np.int64)
first = Newest(np.ones(200, np.int64), ids, ids, ids, ids, ids)
for at_s in range(1_000_000_000):
    table.take(replace(first, measured_at_s=ids * 0 + at_s, value=ids + at_s, flags=ids * 0 + at_s % 997))
"""


def test_readers_never_see_two_reads_mixed(tmp_path: Path) -> None:
    table = whole_table(tmp_path / "t")
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "t")])
    try:
        seen: set[int] = set()
        ends_at_s = time.monotonic() + 120
        while len(seen) < 300 and time.monotonic() < ends_at_s:
            for id_, read in table.find(1, range(0, 200, 17))[0].items():
                assert (read.value, read.flags) == (id_ + read.measured_at_s, read.measured_at_s % 997)
                seen.add(read.measured_at_s)
    finally:
        writer.kill()
        writer.wait()
    assert len(seen) > 100


BUSY = """
import mmap, sys
import numpy as np
with open(sys.argv[1], "r+b") as file:
    words = np.frombuffer(mmap.mmap(file.fileno(), 0), np.int64)
while True:
    words[3] = 1
    words[3] = 0
"""


def test_who_looks_while_others_begin_and_end_to_store_sees_whole_words(tmp_path: Path) -> None:
    """The planted fault: to search the words themselves, which numpy gives up where their number changes."""
    (tmp_path / "words").write_bytes(bytes(8 * 256))
    words = np.memmap(tmp_path / "words", np.int64, "r+")
    other = subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path / "words")])
    try:
        failed_count, deadline_s = 0, time.monotonic() + 120
        while failed_count < 3:
            assert time.monotonic() < deadline_s, "nobody writes"
            latest_module._dead_among(words)
            try:
                np.flatnonzero(words)
            except RuntimeError:
                failed_count += 1
    finally:
        other.kill()
        other.wait()
