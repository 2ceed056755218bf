"""Windows hold every stored instant once, nearest first, and few of them are needed."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.store.ranges import INSTANT_MAX_S
from wattkeeper.store.windows import windows

INSTANTS = st.integers(0, INSTANT_MAX_S)


def month_of(instant_s: int) -> int:
    instant = from_seconds(instant_s)
    return instant.year * 100 + instant.month


@given(st.lists(INSTANTS, max_size=40), INSTANTS, INSTANTS, st.booleans())
def test_every_stored_instant_lies_in_one_window(
    stored: list[int], one_s: int, other_s: int, newest_first: bool
) -> None:
    from_s, to_s = sorted((one_s, other_s))
    found = list(windows([*{month_of(at) for at in stored}], from_s, to_s, newest_first=newest_first))
    assert found == sorted(found, reverse=newest_first)
    for at in stored:
        assert sum(start <= at < end for start, end in found) == (from_s <= at < to_s)


def test_a_decade_takes_seven_windows_and_the_first_is_one_month() -> None:
    months = [year * 100 + month for year in range(2017, 2027) for month in range(1, 13)]
    found = list(windows(months, 0, INSTANT_MAX_S + 1, newest_first=True))
    assert len(found) == 7
    assert found[0] == tuple(
        to_seconds(datetime(year, month, 1, tzinfo=UTC)) for year, month in ((2026, 12), (2027, 1))
    )
