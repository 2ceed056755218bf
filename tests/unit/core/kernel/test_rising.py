"""Ids, each once and rising, whatever is given."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.rising import rising


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_they_are_what_sorting_the_set_makes(ids: list[int]) -> None:
    assert rising(ids).tolist() == sorted(set(ids))
    assert rising(rising(ids)).tolist() == sorted(set(ids))


def test_what_rises_is_not_copied() -> None:
    ids = np.array([1, 5, 9])
    assert rising(ids) is ids
