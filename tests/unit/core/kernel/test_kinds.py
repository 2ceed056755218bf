"""Kinds of rows against a whole-row sort."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.kinds import find_kinds

Rows = st.lists(st.tuples(*[st.sampled_from((-(2**60), 0, 1, 2**60))] * 3), max_size=12)


@given(Rows)
def test_kinds_are_those_of_whole_rows_in_their_order(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    firsts, kind_of = find_kinds(np.ascontiguousarray(table.T))
    assert [rows[first] for first in firsts.tolist()] == sorted(set(rows))
    assert [rows.index(row) for row in rows] == [int(firsts[kind]) for kind in kind_of.tolist()]
