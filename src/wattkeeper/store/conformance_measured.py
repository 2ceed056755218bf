"""What every engine promises about derived values and their runs."""

from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.quality import NO_INTERVAL, Flag, Method, Provenance
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.conformance_data import ALWAYS, INT64_MAX, MONTH_START_S, batch, measured


def check_a_correction_keeps_the_original(store: ReadingStore) -> None:
    """The highest run is current; as of an earlier one, the earlier value stands."""
    store.insert_measurements(20, measured([(1, MONTH_START_S, 100, 5), (1, MONTH_START_S + 900, 200, 5)]))
    store.insert_measurements(20, measured([(1, MONTH_START_S, 111, 9)]))
    now = store.measurements(20, [1], *ALWAYS)
    then = store.measurements(20, [1], *ALWAYS, as_of_run_id=8)
    assert (now.value_milliwh.tolist(), now.run_id.tolist()) == ([111, 200], [9, 5])
    assert then.value_milliwh.tolist() == [100, 200]
    assert not len(store.measurements(20, [1], *ALWAYS, as_of_run_id=4).value_milliwh)


def check_what_is_no_interval_any_more_is_given_back_as_of_before(store: ReadingStore) -> None:
    """Where a later run says that none begins, nothing is found, until one begins there again."""
    first = measured([(1, MONTH_START_S, 100, 5), (1, MONTH_START_S + 900, 200, 5)])
    gone = measured([(1, MONTH_START_S + 900, 0, 9)])
    store.insert_measurements(25, first)
    store.insert_measurements(25, replace(gone, provenance=gone.flags, flags=gone.flags + NO_INTERVAL))
    assert store.measurements(25, [1], *ALWAYS).value_milliwh.tolist() == [100]
    assert store.measurements(25, range(1, 41), *ALWAYS).value_milliwh.tolist() == [100]
    assert store.measurements(25, [1], *ALWAYS, as_of_run_id=8).value_milliwh.tolist() == [100, 200]
    assert store.daily_energy(25, [1], [MONTH_START_S, MONTH_START_S + 86_400]) == {1: [100]}
    store.insert_measurements(25, measured([(1, MONTH_START_S + 900, 7, 11)]))
    assert store.measurements(25, [1], *ALWAYS).value_milliwh.tolist() == [100, 7]


def check_the_highest_run_wins_whenever_it_arrives(store: ReadingStore) -> None:
    """An older run stored later does not come to the top."""
    store.insert_measurements(21, measured([(1, MONTH_START_S, 2, 20)]))
    store.insert_measurements(21, measured([(1, MONTH_START_S, 1, 10)]))
    assert store.measurements(21, [1], *ALWAYS).value_milliwh.tolist() == [2]


def check_values_come_in_order_of_few_series_and_of_many(store: ReadingStore) -> None:
    """Whatever came last: by series and start, the highest run of each, however many are asked for."""
    month_s = 31 * 86_400
    for run_id in (3, 2, 1):
        for at_s in (MONTH_START_S + month_s, MONTH_START_S + 900, MONTH_START_S):
            rows = [(series_id, at_s, 10 * series_id + run_id, run_id) for series_id in (10_002, 40, 2, 1)]
            store.insert_measurements(79, measured(rows))
    for asked in ([2, 1], range(1, 41), range(1, 10_003)):
        found = store.measurements(79, list(asked), *ALWAYS)
        held = [series_id for series_id in (1, 2, 40, 10_002) if series_id in asked]
        starts_s = [MONTH_START_S, MONTH_START_S + 900, MONTH_START_S + month_s]
        assert found.series_id.tolist() == [series_id for series_id in held for _ in starts_s]
        assert found.starts_at_s.tolist() == starts_s * len(held)
        assert found.value_milliwh.tolist() == [10 * series_id + 3 for series_id in found.series_id.tolist()]


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
    assert store.raw_reads(23, [1], *ALWAYS).value.tolist() == [1]
    assert store.latest(24, [1])[1].value == 2
    assert not len(store.measurements(24, [1], *ALWAYS).value_milliwh)
    assert store.counts(24).measurements == 0


def check_empty_inserts(store: ReadingStore) -> None:
    """Nothing is nothing."""
    store.insert_raw([])
    store.insert_raw([batch([], tenant_id=26)])
    store.insert_measurements(26, measured([]))
    assert store.counts(26).raw_reads == 0


def check_a_value_comes_back_whole(store: ReadingStore) -> None:
    """Quality, the largest and the smallest value survive."""
    values = replace(
        measured([(1, MONTH_START_S, INT64_MAX, 2**62), (1, MONTH_START_S + 900, -INT64_MAX - 1, 1)]),
        provenance=np.array([Provenance.ESTIMATED, Provenance.EDITED], np.int64),
        flags=np.array([Flag.REGISTER_BRACKETED | Flag.ROLLOVER, 2**31 - 1], np.int64),
        method=np.array([Method.LIKE_DAY, Method.EXCHANGE], np.int64),
    )
    store.insert_measurements(34, values)
    back = store.measurements(34, [1], *ALWAYS)
    for name in type(values).__slots__:
        assert getattr(back, name).tolist() == getattr(values, name).tolist(), name


def check_the_same_run_twice_changes_nothing(store: ReadingStore) -> None:
    """A run that is stored again after a crash counts once."""
    for _ in range(2):
        store.insert_measurements(35, measured([(1, MONTH_START_S, 7, 3), (2, MONTH_START_S, 8, 3)]))
    assert store.measurements(35, [2, 1, 2], *ALWAYS).value_milliwh.tolist() == [7, 8]
    assert store.daily_energy(35, [1], [MONTH_START_S, MONTH_START_S + 900]) == {1: [7]}
    assert store.counts(35).measurements == 2


def check_series_are_found_by_the_methods_of_their_values(store: ReadingStore) -> None:
    """Any run counts, superseded or not; other series, times and methods do not."""
    rows = [(1, MONTH_START_S, 1, 1), (2, MONTH_START_S, 1, 1), (3, MONTH_START_S + 900, 1, 1)]
    methods = np.array([Method.LIKE_DAY, Method.LINEAR, Method.LIKE_DAY], np.int64)
    store.insert_measurements(37, replace(measured(rows), method=methods))
    store.insert_measurements(37, measured([(1, MONTH_START_S, 2, 2)]))
    span = (MONTH_START_S, MONTH_START_S + 900)
    assert store.series_with_methods(37, [3, 2, 1], *span, [Method.LIKE_DAY]).tolist() == [1]
    assert store.series_with_methods(37, [2], *ALWAYS, [Method.LIKE_DAY, Method.EVEN_SPREAD]).tolist() == []
    assert store.series_with_methods(37, [1, 3], *ALWAYS, [Method.LIKE_DAY]).tolist() == [1, 3]


def check_a_peak_is_the_first_highest_current_value(store: ReadingStore) -> None:
    """Of the provenances asked for, within uneven bounds; what a later run lowered is no peak any more."""
    rows = [(1, MONTH_START_S + 900 * place, value, 1) for place, value in enumerate((3, 9, 9, -7, 8, 5))]
    store.insert_measurements(
        38, measured([*rows, (2, MONTH_START_S + 900, -4, 1), (3, MONTH_START_S, 1, 1)])
    )
    store.insert_measurements(38, measured([(1, MONTH_START_S + 4500, 50, 2)]))
    store.insert_measurements(38, measured([(1, MONTH_START_S + 4500, 4, 3)]))
    estimate = measured([(1, MONTH_START_S + 3600, 80, 2), (1, MONTH_START_S + 5400, 7, 2)])
    provenance = np.array([Provenance.ESTIMATED, Provenance.EDITED], np.int64)
    store.insert_measurements(38, replace(estimate, provenance=provenance))
    bounds = [MONTH_START_S, MONTH_START_S + 2700, MONTH_START_S + 3600, MONTH_START_S + 5401]
    found = store.peaks(38, [2, 1], bounds, [Provenance.MEASURED, Provenance.EDITED])
    assert [getattr(found, name).tolist() for name in type(found).__slots__] == [
        [1, 1, 1, 2],
        [bounds[0], bounds[1], bounds[2], bounds[0]],
        [MONTH_START_S + 900, bounds[1], MONTH_START_S + 5400, MONTH_START_S + 900],
        [9, -7, 7, -4],
    ]
    assert not len(store.peaks(38, [], bounds, [Provenance.MEASURED]).series_id)


def check_sums_are_exact_within_uneven_bounds(store: ReadingStore) -> None:
    """Days of 23 and 25 hours, and sums that no 64-bit number holds."""
    hours = [(1, MONTH_START_S + 3600 * index, 2**62, 1) for index in range(48)]
    store.insert_measurements(36, measured([*hours, (1, MONTH_START_S - 1, 1, 1)]))
    bounds = [MONTH_START_S, MONTH_START_S + 23 * 3600, MONTH_START_S + 48 * 3600]
    assert store.daily_energy(36, [1], bounds) == {1: [23 * 2**62, 25 * 2**62]}
