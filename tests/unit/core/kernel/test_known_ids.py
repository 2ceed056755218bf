"""Ids that were seen before, in pages."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.known_ids import KnownIds

IDS = st.sets(st.one_of(st.integers(0, 300), st.integers(65_500, 65_600), st.integers(0, 2**62)), max_size=40)


@given(st.lists(IDS, max_size=6))
def test_an_id_is_fresh_once(parts: list[set[int]]) -> None:
    known, seen = KnownIds(), set()
    for part in parts:
        ids = np.array(sorted(part), dtype=np.int64)
        for _ in range(2):  # to ask changes nothing
            assert known.missing(ids).tolist() == sorted(part - seen)
        known.add(known.missing(ids))
        seen |= part
