"""What every engine promises, as checks that anybody can run against theirs.

Call `check_all(store)` with an empty store, or each `check_...` with a store of its own. A check raises
`AssertionError` where the promise is broken.
"""

from collections.abc import Sequence

import numpy as np

from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.store.api import Measurements, RawBatch, RawFrame, ReadingStore

MONTH_START_S = 1_772_323_200  # 2026-03-01T00:00Z
_INT64_MAX = 2**63 - 1
_PROFILE = (int(Source.PROFILE),)


def batch(
    rows: Sequence[tuple[int, int, int]],
    *,
    tenant_id: int,
    batch_id: int = 1,
    frames: tuple[RawFrame, ...] = (),
) -> RawBatch:
    """Return a batch of profile reads (channel_id, measured_at_s, value)."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    count = len(table)
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=batch_id,
        received_at_s=MONTH_START_S,
        channel_id=table[:, 0].copy(),
        measured_at_s=table[:, 1].copy(),
        value=table[:, 2].copy(),
        flags=np.zeros(count, np.int64),
        source=np.full(count, Source.PROFILE, np.int64),
        frame_index=np.full(count, 0 if frames else -1, np.int64),
        frames=frames,
    )


def measured(rows: Sequence[tuple[int, int, int, int]]) -> Measurements:
    """Return measured values (series_id, starts_at_s, value_milliwh, run_id)."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    zeros = np.zeros(len(table), np.int64)
    return Measurements(
        series_id=table[:, 0].copy(),
        starts_at_s=table[:, 1].copy(),
        value_milliwh=table[:, 2].copy(),
        provenance=np.full(len(table), Provenance.MEASURED, np.int64),
        flags=zeros,
        method=zeros,
        run_id=table[:, 3].copy(),
    )


def check_a_late_read_takes_its_place(store: ReadingStore) -> None:
    """Order of arrival does not show."""
    store.insert_raw([batch([(1, MONTH_START_S + 1800, 30)], tenant_id=11)])
    store.insert_raw(
        [batch([(1, MONTH_START_S, 10), (1, MONTH_START_S + 900, 20)], tenant_id=11, batch_id=2)]
    )
    assert store.raw_reads(11, [1], 0, 2**32 - 1).value.tolist() == [10, 20, 30]


def check_the_same_batch_twice_changes_nothing(store: ReadingStore) -> None:
    """A re-delivery is not a second read."""
    rows = [(1, MONTH_START_S + 900 * index, index) for index in range(50)]
    for batch_id in (1, 1, 2):
        store.insert_raw([batch(rows, tenant_id=12, batch_id=batch_id)])
    assert store.raw_reads(12, [1], 0, 2**32 - 1).value.tolist() == list(range(50))
    assert store.counts(12).raw_reads == 50


def check_conflicting_values_are_both_kept(store: ReadingStore) -> None:
    """Two values for one instant are two reads."""
    store.insert_raw([batch([(1, MONTH_START_S, 7)], tenant_id=13)])
    store.insert_raw([batch([(1, MONTH_START_S, 8)], tenant_id=13, batch_id=2)])
    assert store.raw_reads(13, [1], 0, 2**32 - 1).value.tolist() == [7, 8]


def check_windows_are_half_open(store: ReadingStore) -> None:
    """The start belongs to a window, its end does not."""
    store.insert_raw([batch([(1, MONTH_START_S - 900, 1), (1, MONTH_START_S, 2)], tenant_id=14)])
    assert store.raw_reads(14, [1], MONTH_START_S - 900, MONTH_START_S).value.tolist() == [1]
    assert store.raw_reads(14, [1], MONTH_START_S, MONTH_START_S + 1).value.tolist() == [2]
    assert store.raw_reads(14, [], 0, 2**32 - 1).value.tolist() == []
    assert store.raw_reads(14, [2], 0, 2**32 - 1).value.tolist() == []


def check_int64_comes_back_whole(store: ReadingStore) -> None:
    """The largest and smallest values survive."""
    rows = [(1, MONTH_START_S, _INT64_MAX), (1, MONTH_START_S + 1, -_INT64_MAX - 1)]
    store.insert_raw([batch(rows, tenant_id=15)])
    assert store.raw_reads(15, [1], 0, 2**32 - 1).value.tolist() == [_INT64_MAX, -_INT64_MAX - 1]


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
    held = store.stamps_held(18, [1, 2, 3], 0, 2**32 - 1, sources=_PROFILE)
    assert {key: stamps.tolist() for key, stamps in held.items()} == {
        1: [MONTH_START_S],
        2: [MONTH_START_S + 900],
        3: [],
    }


def check_frames_come_back(store: ReadingStore) -> None:
    """A read leads to the very bytes it came in."""
    frame = RawFrame(3, 4, MONTH_START_S, bytes(range(256)))
    store.insert_raw([batch([(1, MONTH_START_S, 5)], tenant_id=19, batch_id=77, frames=(frame,))])
    read = store.raw_reads(19, [1], 0, 2**32 - 1)
    key = (int(read.batch_id[0]), int(read.frame_index[0]))
    assert store.frames(19, [key, (78, 0)]) == {key: frame}


def check_a_correction_keeps_the_original(store: ReadingStore) -> None:
    """The highest run is current; as of an earlier one, the earlier value stands."""
    store.insert_measurements(20, measured([(1, MONTH_START_S, 100, 5), (1, MONTH_START_S + 900, 200, 5)]))
    store.insert_measurements(20, measured([(1, MONTH_START_S, 111, 9)]))
    now = store.measurements(20, [1], 0, 2**32 - 1)
    then = store.measurements(20, [1], 0, 2**32 - 1, as_of_run_id=8)
    assert (now.value_milliwh.tolist(), now.run_id.tolist()) == ([111, 200], [9, 5])
    assert then.value_milliwh.tolist() == [100, 200]
    assert not len(store.measurements(20, [1], 0, 2**32 - 1, as_of_run_id=4).value_milliwh)


def check_the_highest_run_wins_whenever_it_arrives(store: ReadingStore) -> None:
    """An older run stored later does not come to the top."""
    store.insert_measurements(21, measured([(1, MONTH_START_S, 2, 20)]))
    store.insert_measurements(21, measured([(1, MONTH_START_S, 1, 10)]))
    assert store.measurements(21, [1], 0, 2**32 - 1).value_milliwh.tolist() == [2]


def check_daily_energy_counts_corrections_once(store: ReadingStore) -> None:
    """Sums rest on current values only and respect their bounds."""
    day_s = 86_400
    rows = [(1, MONTH_START_S + 900 * index, 10, 1) for index in range(192)]
    store.insert_measurements(22, measured(rows))
    store.insert_measurements(22, measured([(1, MONTH_START_S, 1010, 2)]))
    bounds = [MONTH_START_S, MONTH_START_S + day_s, MONTH_START_S + 2 * day_s]
    assert store.daily_energy(22, [1, 2], bounds) == {1: [1960, 960], 2: [0, 0]}
    assert store.daily_energy(22, [1], bounds[:1]) == {1: []}


def check_tenants_never_mix(store: ReadingStore) -> None:
    """The same ids of another tenant are other things."""
    store.insert_raw(
        [batch([(1, MONTH_START_S, 1)], tenant_id=23), batch([(1, MONTH_START_S, 2)], tenant_id=24)]
    )
    store.insert_measurements(23, measured([(1, MONTH_START_S, 1, 1)]))
    assert store.raw_reads(23, [1], 0, 2**32 - 1).value.tolist() == [1]
    assert store.latest(24, [1])[1].value == 2
    assert not len(store.measurements(24, [1], 0, 2**32 - 1).value_milliwh)
    assert store.counts(24).measurements == 0


def check_a_large_batch(store: ReadingStore) -> None:
    """A hundred thousand reads of many channels come back, each once."""
    rows = [(index % 50, MONTH_START_S + 900 * (index // 50), index) for index in range(100_000)]
    store.insert_raw([batch(rows, tenant_id=25)])
    read = store.raw_reads(25, range(50), 0, 2**32 - 1)
    assert np.array_equal(np.sort(read.value), np.arange(100_000))
    assert np.array_equal(np.lexsort((read.measured_at_s, read.channel_id)), np.arange(100_000))


def check_empty_inserts(store: ReadingStore) -> None:
    """Nothing is nothing."""
    store.insert_raw([])
    store.insert_raw([batch([], tenant_id=26)])
    store.insert_measurements(26, measured([]))
    assert store.counts(26).raw_reads == 0


CHECKS = tuple(value for name, value in list(globals().items()) if name.startswith("check_"))


def check_all(store: ReadingStore) -> None:
    """Run every check; each works under a tenant of its own."""
    for check in CHECKS:
        check(store)
