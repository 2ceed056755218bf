"""What every engine promises about raw reads and their frames."""

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.readings.told import WITHDRAWN_COUNT, mark_correction
from wattkeeper.store.api import RawBatch, RawFrame, ReadingStore
from wattkeeper.store.conformance_data import ALWAYS, INT64_MAX, MONTH_START_S, batch
from wattkeeper.store.ranges import INSTANT_MAX_S, StoreOutOfRange
from wattkeeper.store.standing import (
    as_corrected,
    best_reads,
    latest_standing,
    nearest_standing,
    standing_reads,
)

_PROFILE = (int(Source.PROFILE),)
_YEAR_S = 365 * 86_400


def check_a_late_read_takes_its_place(store: ReadingStore) -> None:
    """Order of arrival does not show."""
    store.insert_raw([batch([(1, MONTH_START_S + 1800, 30)], tenant_id=11)])
    store.insert_raw(
        [batch([(1, MONTH_START_S, 10), (1, MONTH_START_S + 900, 20)], tenant_id=11, batch_id=2)]
    )
    assert store.raw_reads(11, [1], *ALWAYS).value.tolist() == [10, 20, 30]


def check_the_same_batch_twice_changes_nothing(store: ReadingStore) -> None:
    """A re-delivery is not a second read."""
    rows = [(1, MONTH_START_S + 900 * index, index) for index in range(50)]
    for batch_id in (1, 1, 2):
        store.insert_raw([batch(rows, tenant_id=12, batch_id=batch_id)])
    assert store.raw_reads(12, [1], *ALWAYS).value.tolist() == list(range(50))
    assert store.counts(12).raw_reads == 50


def check_conflicting_values_are_both_kept(store: ReadingStore) -> None:
    """Two values for one instant are two reads."""
    store.insert_raw([batch([(1, MONTH_START_S, 7)], tenant_id=13)])
    store.insert_raw([batch([(1, MONTH_START_S, 8)], tenant_id=13, batch_id=2)])
    assert store.raw_reads(13, [1], *ALWAYS).value.tolist() == [7, 8]


def check_windows_are_half_open(store: ReadingStore) -> None:
    """The start belongs to a window, its end does not."""
    store.insert_raw([batch([(1, MONTH_START_S - 900, 1), (1, MONTH_START_S, 2)], tenant_id=14)])
    assert store.raw_reads(14, [1], MONTH_START_S - 900, MONTH_START_S).value.tolist() == [1]
    assert store.raw_reads(14, [1], MONTH_START_S, MONTH_START_S + 1).value.tolist() == [2]
    assert store.raw_reads(14, [], *ALWAYS).value.tolist() == []
    assert store.raw_reads(14, [2], *ALWAYS).value.tolist() == []


def check_int64_comes_back_whole(store: ReadingStore) -> None:
    """The largest and smallest values survive."""
    rows = [(1, MONTH_START_S, INT64_MAX), (1, MONTH_START_S + 1, -INT64_MAX - 1)]
    store.insert_raw([batch(rows, tenant_id=15)])
    assert store.raw_reads(15, [1], *ALWAYS).value.tolist() == [INT64_MAX, -INT64_MAX - 1]


def check_nearest_reads(store: ReadingStore) -> None:
    """The newest before and the oldest at or after, per channel, over a month's border."""
    rows = [(1, MONTH_START_S - 900, 1), (1, MONTH_START_S + 900, 2), (2, MONTH_START_S, 3)]
    store.insert_raw([batch(rows, tenant_id=16)])
    before = store.nearest_reads(16, [1, 2], MONTH_START_S, before=True, sources=_PROFILE)
    after = store.nearest_reads(16, [1, 2], MONTH_START_S, before=False, sources=_PROFILE)
    assert (before.channel_id.tolist(), before.value.tolist()) == ([1], [1])
    assert (after.channel_id.tolist(), after.value.tolist()) == ([1, 2], [2, 3])
    assert not len(store.nearest_reads(16, [1], 0, before=False, sources=(int(Source.FILE),)).value)


def check_latest(store: ReadingStore) -> None:
    """The newest read per channel that has one."""
    store.insert_raw([batch([(1, MONTH_START_S, 5), (1, MONTH_START_S - 900, 9)], tenant_id=17)])
    found = store.latest(17, [1, 2])
    assert set(found) == {1}
    assert (found[1].measured_at_s, found[1].value) == (MONTH_START_S, 5)


def check_stamps_held(store: ReadingStore) -> None:
    """Each held instant once, per channel."""
    store.insert_raw(
        [batch([(1, MONTH_START_S, 5), (1, MONTH_START_S, 6), (2, MONTH_START_S + 900, 1)], tenant_id=18)]
    )
    held = store.stamps_held(18, [1, 2, 3], *ALWAYS, sources=_PROFILE)
    assert {key: stamps.tolist() for key, stamps in held.items()} == {
        1: [MONTH_START_S],
        2: [MONTH_START_S + 900],
        3: [],
    }


def check_frames_come_back(store: ReadingStore) -> None:
    """A read leads to the very bytes it came in."""
    frame = RawFrame(3, 4, MONTH_START_S, bytes(range(256)))
    store.insert_raw([batch([(1, MONTH_START_S, 5)], tenant_id=19, batch_id=77, frames=(frame,))])
    read = store.raw_reads(19, [1], *ALWAYS)
    key = (int(read.batch_id[0]), int(read.frame_index[0]))
    assert store.frames(19, [key, (78, 0)]) == {key: frame}
    lean = store.raw_reads(19, [1], *ALWAYS, has_origins=False)
    assert (lean.batch_id.tolist(), lean.frame_index.tolist()) == ([0], [-1])
    assert (lean.channel_id.tolist(), lean.value.tolist(), lean.flags.tolist()) == ([1], [5], [0])


def check_a_large_batch(store: ReadingStore) -> None:
    """A hundred thousand reads of many channels come back, each once."""
    rows = [(index % 50, MONTH_START_S + 900 * (index // 50), index) for index in range(100_000)]
    store.insert_raw([batch(rows, tenant_id=25)])
    read = store.raw_reads(25, range(50), *ALWAYS)
    assert np.array_equal(np.sort(read.value), np.arange(100_000))
    assert np.array_equal(np.lexsort((read.measured_at_s, read.channel_id)), np.arange(100_000))


def check_many_years_in_one_batch(store: ReadingStore) -> None:
    """A file of fifteen years is stored whole, though each month lies apart."""
    rows = [(1, MONTH_START_S - 30 * 86_400 * index, index) for index in range(180)]
    store.insert_raw([batch(rows, tenant_id=27)])
    assert sorted(store.raw_reads(27, [1], *ALWAYS).value.tolist()) == list(range(180))


def check_what_does_not_fit_is_refused(store: ReadingStore) -> None:
    """A stamp outside the engine's instants is refused, not wrapped around; nothing of the call is stored."""
    whole = batch([(1, MONTH_START_S, 1)], tenant_id=28)
    for stamp in (-1, INSTANT_MAX_S + 1, 2**32 + MONTH_START_S):
        assert _is_refused(store, [whole, batch([(1, stamp, 1)], tenant_id=28)])
    assert _is_refused(store, [whole, batch([(1, MONTH_START_S, 2)], tenant_id=28, source=300)])
    assert _is_refused(store, [whole, batch([(1, MONTH_START_S, 2)], tenant_id=28, flags=2**31)])
    assert store.counts(28).raw_reads == 0
    store.insert_raw([batch([(1, 0, 1), (1, INSTANT_MAX_S, 2)], tenant_id=28)])
    assert store.raw_reads(28, [1], *ALWAYS).measured_at_s.tolist() == [0, INSTANT_MAX_S]


def check_source_and_flags_are_part_of_a_read(store: ReadingStore) -> None:
    """What differs in source or flags is another read, and comes back so; the highest source is nearest."""
    row = [(1, MONTH_START_S, 5)]
    for source, flags in ((Source.PUSH, 0), (Source.FIELD, 0), (Source.PUSH, Flag.SUSPECT | Flag.LATE)):
        store.insert_raw([batch(row, tenant_id=29, source=int(source), flags=int(flags))])
    read = store.raw_reads(29, [1], *ALWAYS)
    assert list(zip(read.source.tolist(), read.flags.tolist(), strict=True)) == [(2, 0), (2, 130), (7, 0)]
    assert store.latest(29, [1])[1].source == Source.FIELD
    found = store.nearest_reads(29, [1], MONTH_START_S, before=False, sources=(1, 2))
    assert (found.source.tolist(), found.flags.tolist()) == ([2], [0])
    assert store.stamps_held(29, [1], *ALWAYS, sources=(1, 3))[1].tolist() == []


def check_a_withdrawn_read_is_told_first_and_stands_no_more(store: ReadingStore) -> None:
    """Of its instant a withdrawal is nearest and newest, so that who asks sees it; noted again, it stands."""
    at_s, noted = MONTH_START_S + 60, int(Source.FIELD)
    store.insert_raw([batch([(1, MONTH_START_S, 5), (1, MONTH_START_S + 900, 7)], tenant_id=61)])
    for index, count in enumerate((6, WITHDRAWN_COUNT, 8)):
        flags = mark_correction(index, is_withdrawal=count == WITHDRAWN_COUNT)
        rows = [(channel, at_s, count) for channel in (1, 2)]
        store.insert_raw([batch(rows, tenant_id=61, source=noted, flags=flags)])
        found = [nearest_standing(store, 61, [1, 2], MONTH_START_S + 1, before=False)]
        found += [nearest_standing(store, 61, [1, 2], MONTH_START_S + 900, before=True)]
        there = standing_reads(store, 61, [1, 2], at_s, at_s + 1)
        if count == WITHDRAWN_COUNT:
            assert [reads.value.tolist() for reads in (*found, there)] == [[7], [5], []]
            assert sorted(latest_standing(store, 61, [1, 2])) == [1]
        else:
            assert [reads.measured_at_s.tolist() for reads in found] == [[at_s] * 2] * 2
            assert best_reads(there).value.tolist() == [count, count]
            assert as_corrected(store, 61, latest_standing(store, 61, [2]))[2].value == count


def check_ids_in_any_order_and_number(store: ReadingStore) -> None:
    """Answers are in order of channel, each read once, however and however many channels are named."""
    store.insert_raw([batch([(id_, MONTH_START_S, id_) for id_ in (1, 2, 25_000)], tenant_id=30)])
    assert store.raw_reads(30, [2, 1, 2], *ALWAYS).value.tolist() == [1, 2]
    assert store.raw_reads(30, range(30_000, 0, -1), *ALWAYS).value.tolist() == [1, 2, 25_000]
    assert sorted(store.latest(30, range(30_000))) == [1, 2, 25_000]
    held = store.stamps_held(30, [2, 7, 1], *ALWAYS, sources=_PROFILE)
    assert [len(held[id_]) for id_ in (1, 2, 7)] == [1, 1, 0]


def check_nearest_reads_of_other_years(store: ReadingStore) -> None:
    """The newest and oldest are found however far away, among channels that are near, far and silent."""
    rows = [(1, MONTH_START_S - 900, 1), (2, MONTH_START_S - 3 * _YEAR_S, 2), (2, 900, 3)]
    rows += [(1, MONTH_START_S + 900, 4), (2, MONTH_START_S + 5 * _YEAR_S, 5), (2, INSTANT_MAX_S, 6)]
    store.insert_raw([batch(rows, tenant_id=31)])
    before = store.nearest_reads(31, [3, 2, 1], MONTH_START_S, before=True, sources=_PROFILE)
    after = store.nearest_reads(31, [3, 2, 1], MONTH_START_S, before=False, sources=_PROFILE)
    assert (before.channel_id.tolist(), before.value.tolist()) == ([1, 2], [1, 2])
    assert (after.channel_id.tolist(), after.value.tolist()) == ([1, 2], [4, 5])
    assert {id_: read.value for id_, read in store.latest(31, [1, 2, 3]).items()} == {1: 4, 2: 6}


def check_frames_belong_to_their_batch(store: ReadingStore) -> None:
    """Frames are told apart by batch and place, empty and re-delivered ones too; other tenants see none."""
    frames = (RawFrame(1, 2, MONTH_START_S, b""), RawFrame(1, 3, MONTH_START_S, b"\x00'\\\n"))
    for _ in range(2):
        store.insert_raw([batch([(1, MONTH_START_S, 5)], tenant_id=32, batch_id=8, frames=frames)])
    store.insert_raw([batch([], tenant_id=32, batch_id=9, frames=frames[:1])])
    assert store.frames(32, [(8, 0), (8, 1), (9, 0), (9, 1), (8, 0)]) == {
        (8, 0): frames[0],
        (8, 1): frames[1],
        (9, 0): frames[0],
    }
    assert store.frames(33, [(8, 0)]) == store.frames(32, []) == {}
    assert store.counts(32).frames == 3


def _is_refused(store: ReadingStore, batches: list[RawBatch]) -> bool:
    try:
        store.insert_raw(batches)
    except StoreOutOfRange as error:
        return error.code == "store.out-of-range" and error.is_permanent
    return False
