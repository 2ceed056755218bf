"""How far a read can have moved energy: never less than what leaving it out changes on either side."""

from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.readings.moved import most_moved_counts

COUNTS = st.integers(0, 10**6 - 1)


@given(before=COUNTS, shown=COUNTS, after=COUNTS)
def test_nothing_moves_farther_than_the_longest_way(before: int, shown: int, after: int) -> None:
    most = most_moved_counts([(before, shown), (shown, after)], None)
    if before <= after:  # what stands without the read lies between its neighbours
        assert most >= max(before - shown, shown - after, 0)
        assert most >= abs(shown - (before + after) // 2)
    assert most_moved_counts([], None) == 0


def test_a_register_that_came_round_went_the_short_way() -> None:
    assert most_moved_counts([(999_990, 5)], 10**6) == 15
    assert most_moved_counts([(999_990, 5)], None) == 999_985
