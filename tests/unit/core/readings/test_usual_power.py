"""What a service may carry: far from what it usually carries, and from one that is wrong."""

import numpy as np
import pytest

from wattkeeper.core.readings import usual_power
from wattkeeper.core.readings.usual_power import carried_w


def carried_beside(wrong: int) -> int:
    """Return what a service of 1 kW may carry that was read wrong once."""
    return carried_w(np.array([250_000] * 40 + [wrong], dtype=np.int64), 900)


@pytest.mark.parametrize("wrong", [0, 10**12])
def test_one_wrong_interval_changes_nothing(wrong: int) -> None:
    assert carried_beside(wrong) == 4 * 1000


@pytest.mark.parametrize(("share_pct", "wrong"), [(100, 10**12), (0, 1)], ids=["the highest", "the lowest"])
def test_who_goes_by_a_wrong_interval_is_caught(
    share_pct: int, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual_power, "USUAL_PCT", share_pct)
    assert carried_beside(wrong) != 4 * 1000


def carried_by_a_pump() -> int:
    """Return what a service may carry that uses 180 kW for four hours of a month, and nothing else."""
    return carried_w(np.array([0] * 2960 + [45_000_000] * 16, dtype=np.int64), 900)


def test_what_rests_most_of_the_time_carries_what_it_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the planted fault, all intervals asked: nothing at all, and its energy is doubted as a whole."""
    assert carried_by_a_pump() == 4 * 180_000
    monkeypatch.setattr(usual_power, "USED_LEAST_COUNT", 10**6)
    assert carried_by_a_pump() == 0


def test_a_wrong_interval_among_none_is_still_wrong() -> None:
    assert carried_w(np.array([0] * 2960 + [10**12], dtype=np.int64), 900) == 0


def test_a_broken_watt_is_a_whole_one() -> None:
    assert carried_w(np.array([1], dtype=np.int64), 900) == 4
