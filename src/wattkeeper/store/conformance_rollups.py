"""What every engine promises about days and months."""

import numpy as np

from wattkeeper.core.readings.rollups import DAY, MONTH, RollUpRows
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.conformance_data import ALWAYS, INT64_MAX, MONTH_START_S

_DAY_S = 86_400


def check_the_newest_roll_up_is_current(store: ReadingStore) -> None:
    """The highest run is current whenever it arrives; as of an earlier one, the earlier figures stand."""
    store.insert_roll_ups(40, 7, _rows((DAY, 1, MONTH_START_S, 96, 50, 95, 1)))
    store.insert_roll_ups(40, 3, _rows((DAY, 1, MONTH_START_S, 96, 40, 90, 6)))
    assert _plain(store.roll_ups(40, [1], [ALWAYS])) == [(DAY, 1, MONTH_START_S, 96, 50, 95, 1, 0, 0, 0, 7)]
    then = store.roll_ups(40, [1], [ALWAYS], as_of_run_id=6)
    assert then.energy_milliwh.tolist() == [40]
    assert not len(store.roll_ups(40, [1], [ALWAYS], as_of_run_id=2))


def check_days_and_months_are_asked_apart(store: ReadingStore) -> None:
    """Days by half-open spans, months by their start; other series and tenants are other things."""
    rows = [(DAY, 1, MONTH_START_S + _DAY_S * index, 96, index, 96, 0) for index in range(4)]
    store.insert_roll_ups(
        41, 1, _rows(*rows, (MONTH, 1, MONTH_START_S, 2976, 6, 384, 0), (DAY, 2, 0, 1, 9, 1, 0))
    )
    days = store.roll_ups(
        41, [1], [(MONTH_START_S, MONTH_START_S + _DAY_S), (MONTH_START_S + 2 * _DAY_S, 2**32)]
    )
    assert days.energy_milliwh.tolist() == [0, 2, 3]
    assert store.roll_ups(41, [1, 2], [], [MONTH_START_S]).energy_milliwh.tolist() == [6]
    assert store.roll_ups(41, [2, 1], [ALWAYS], [MONTH_START_S]).series_id.tolist() == [1, 1, 1, 1, 2, 1]
    assert not len(store.roll_ups(42, [1], [ALWAYS], [MONTH_START_S]))
    assert not len(store.roll_ups(41, [], [ALWAYS]))


def check_days_are_summed_once(store: ReadingStore) -> None:
    """Current days only, between bounds, without the spans left out."""
    rows = [(DAY, 1, MONTH_START_S + _DAY_S * index, 96, 10, 95, 1) for index in range(4)]
    for run_id in (1, 1, 2):
        store.insert_roll_ups(43, run_id, _rows(*rows))
    store.insert_roll_ups(43, 3, _rows((DAY, 1, MONTH_START_S, 96, 110, 96, 0)))
    bounds = [MONTH_START_S, MONTH_START_S + 3 * _DAY_S, MONTH_START_S + 4 * _DAY_S]
    assert _plain(store.sum_days(43, [1, 2], bounds)) == [
        (MONTH, 1, bounds[0], 288, 130, 286, 2, 0, 0, 0, 3),
        (MONTH, 1, bounds[1], 96, 10, 95, 1, 0, 0, 0, 2),
    ]
    without = [(MONTH_START_S, MONTH_START_S + 1), (MONTH_START_S + 2 * _DAY_S, 2**32)]
    assert store.sum_days(43, [1], bounds, without).energy_milliwh.tolist() == [10]


def check_roll_ups_come_back_whole(store: ReadingStore) -> None:
    """Every column survives, with the largest energy; nothing is nothing."""
    store.insert_roll_ups(44, 2**62, _rows())
    row = (DAY, 5, MONTH_START_S, 3000, INT64_MAX, 1, 2, 3, 4, 5, 2**62)
    store.insert_roll_ups(44, 2**62, RollUpRows(*(np.array([value]) for value in row)))
    assert _plain(store.roll_ups(44, [5], [ALWAYS])) == [row]


def _rows(*rows: tuple[int, ...]) -> RollUpRows:
    table = np.array([(*row, 0, 0, 0, 0) for row in rows], np.int64).reshape(-1, 11)
    return RollUpRows(*(np.ascontiguousarray(column) for column in table.T))


def _plain(rows: RollUpRows) -> list[tuple[int, ...]]:
    return sorted(zip(*(getattr(rows, name).tolist() for name in RollUpRows.__slots__), strict=True))
