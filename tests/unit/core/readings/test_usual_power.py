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


@pytest.mark.parametrize(("share_pct", "wrong"), [(100, 10**12), (0, 0)], ids=["the highest", "the lowest"])
def test_who_goes_by_a_wrong_interval_is_caught(
    share_pct: int, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usual_power, "USUAL_PCT", share_pct)
    assert carried_beside(wrong) != 4 * 1000


def test_a_broken_watt_is_a_whole_one() -> None:
    assert carried_w(np.array([1], dtype=np.int64), 900) == 4
