"""Sums over what a run wrote: whatever slices they are added up from, and of nothing else."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.store.api import Measurements
from wattkeeper.store.conformance_data import measured
from wattkeeper.store.run_mixes import MIX_MODULUS, MIXED, ROLLED, find_changed, roll_ups_mix, values_mix

ROWS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 2**32 - 1), st.integers(-(2**62), 2**62), st.just(7)),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:2],
)


@given(ROWS, st.data())
def test_slices_in_any_order_come_to_the_whole(rows: list[tuple[int, ...]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = (values_mix(3, measured(part)) for part in (shuffled[:cut], shuffled[cut:]))
    assert sum(parts) % MIX_MODULUS == values_mix(3, measured(rows))


@given(ROWS, st.data())
def test_one_bit_of_any_column_is_another_sum(rows: list[tuple[int, ...]], data: st.DataObject) -> None:
    values = measured(rows)
    name = data.draw(st.sampled_from(["series_id", "starts_at_s", "value_milliwh", "provenance", "flags"]))
    place, bit = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 6))
    assert values_mix(3, _flipped(values, name, place, bit)) != values_mix(3, values)
    assert values_mix(4, values) != values_mix(3, values)


@given(ROWS, st.data())
def test_the_one_value_that_is_another_is_found_by_the_sum_alone(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    values = replace(measured(rows), value_milliwh=np.array([row[2] % 2**37 for row in rows]))
    name = data.draw(st.sampled_from(["series_id", "starts_at_s", "value_milliwh", "provenance", "flags"]))
    place, bit = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 6))
    found = _flipped(values, name, place, bit)
    difference = (values_mix(3, values) - values_mix(3, found)) % MIX_MODULUS
    columns = [np.full(len(rows), 3), *(getattr(found, each) for each in MIXED[1:])]
    assert find_changed(columns, difference).tolist() == [place]


def _flipped(values: Measurements, name: str, place: int, bit: int) -> Measurements:
    column = np.array(getattr(values, name))
    column[place] ^= 1 << bit
    return replace(values, **{name: column})


@given(st.lists(st.tuples(*[st.integers(0, 2**15)] * 10), min_size=1, max_size=20, unique=True), st.data())
def test_the_one_day_that_is_another_is_found_by_the_sum_alone(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    days = RollUpRows(*np.array(rows, dtype=np.int64).T, np.full(len(rows), 7))
    name = data.draw(st.sampled_from(ROLLED[2:]))
    place, bit = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 14))
    column = getattr(days, name).copy()
    column[place] ^= 1 << bit
    found = replace(days, **{name: column})
    assert roll_ups_mix(3, days) != roll_ups_mix(4, days)
    difference = (roll_ups_mix(3, days) - roll_ups_mix(3, found)) % MIX_MODULUS
    columns = [np.full(len(rows), 3), *(getattr(found, each) for each in ROLLED[1:])]
    assert place in find_changed(columns, difference).tolist()
