"""Which of several reads of one instant stands: the better told, whatever the order, whatever the value."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.quality_codes import parse_quality_name
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import settle
from wattkeeper.core.readings.settle import settle_reads
from wattkeeper.core.readings.told import Told, find_corrected, mark_correction, mark_told

RANKS = [  # best first
    ["verified", "valid+suspect"],
    ["valid"],
    ["raw", "raw+late", "raw+power_lost"],
    ["edited", "est.linear+validated", "derived+validated"],
    ["est.linear", "est", "derived"],
    ["forecast", "forecast.like_day"],
    ["suspect", "est.linear+suspect", "edited+suspect"],
]
PAIRS = [
    (better, worse)
    for at, names in enumerate(RANKS)
    for worse in [name for later in RANKS[at + 1 :] for name in later]
    for better in names
]


def flags_of(name: str) -> int:
    quality = parse_quality_name(name)
    assert quality is not None
    return int(mark_told(Told(*(np.array([int(part)]) for part in quality)))[0])


def kept(*reads: tuple[int, int, Source]) -> int:
    """Return the value that stands of (value, flags, source) at one instant, the same for every order."""
    found = set()
    for order in permutations(reads):
        rows = [(60, value, flags, int(source)) for value, flags, source in order]
        settled, _findings = settle_reads(1, ReadColumns.of(rows), interval_s=900)
        assert len(settled) == 1
        found.add(int(settled.value[0]))
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(("better", "worse"), PAIRS)
def test_the_better_told_stands(better: str, worse: str) -> None:
    """The smaller value: of equally good ones the larger would stand."""
    for value in (3, 5, 7):
        assert kept((3, flags_of(better), Source.FILE), (value, flags_of(worse), Source.FILE)) == 3


def test_what_was_once_accepted_and_is_doubted_again_is_less_than_valid() -> None:
    for name in ("raw+accepted", "raw"):
        assert kept((100, flags_of("valid"), Source.FILE), (120, flags_of(name), Source.FILE)) == 100
    assert kept((100, flags_of("verified"), Source.FILE), (120, flags_of("valid"), Source.FILE)) == 100


def test_what_was_measured_at_the_meter_gives_way_to_no_estimate_and_a_better_source_decides() -> None:
    for name in ("edited", "est.linear", "forecast", "suspect"):
        assert kept((3, 0, Source.PROFILE), (5, flags_of(name), Source.FILE)) == 3
    assert kept((3, 0, Source.FIELD), (5, flags_of("valid"), Source.FILE)) == 3
    assert kept((3, int(Flag.SUSPECT), Source.FIELD), (5, flags_of("est"), Source.FILE)) == 5


def test_a_correction_takes_the_place_of_what_an_earlier_release_kept_as_suspect() -> None:
    """It stored what a file called estimated as SUSPECT alone; the same file again says what it was."""
    old = (5, int(Flag.SUSPECT), Source.FILE)
    for name in ("raw", "est.linear", "forecast"):
        again = (5, flags_of(name), Source.FILE)
        rows = [(60, value, flags, int(source)) for value, flags, source in (old, again)]
        settled, _findings = settle_reads(1, ReadColumns.of(rows), interval_s=900)
        assert settled.flags.tolist() == [again[1]]


@pytest.mark.parametrize(
    ("better", "worse"), [("edited", "forecast"), ("edited", "est.linear"), ("est.linear", "suspect")]
)
def test_the_planted_fault_all_but_the_actual_is_one(
    monkeypatch: pytest.MonkeyPatch, better: str, worse: str
) -> None:
    monkeypatch.setattr(settle, "rank_told", lambda flags: flags & Flag.SUSPECT)
    with pytest.raises(AssertionError):
        test_the_better_told_stands(better, worse)


def test_a_corrected_read_counts_nowhere_whatever_its_value_and_order() -> None:
    field, file = Source.FIELD, Source.FILE
    assert kept((9, 0, field), (5, mark_correction(1), field)) == 5
    assert kept((9, 0, field), (5, mark_correction(2), field), (7, mark_correction(1), field)) == 5
    assert kept((9, 0, file), (5, mark_correction(1), file), (3, 0, field)) == 3
    assert kept((1, mark_correction(63), field), (2, mark_correction(62), field)) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 3), st.sampled_from((6, 7))),
        max_size=12,
    )
)
def test_corrections_are_those_of_one_instant_and_teller(rows: list[tuple[int, int, int, int]]) -> None:
    columns = ReadColumns.of([(at_s, value, mark_correction(i), source) for at_s, value, i, source in rows])
    expected = [i < max(c for b, _, c, t in rows if (b, t) == (at_s, source)) for at_s, _, i, source in rows]
    assert find_corrected(columns.measured_at_s, columns.flags, columns.source).tolist() == expected
