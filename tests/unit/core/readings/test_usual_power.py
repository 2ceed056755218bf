"""What a service may carry: far from what it usually carries, and from one that is wrong."""

import numpy as np
import pytest

from wattkeeper.core.readings.usual_power import carried_w


@pytest.mark.parametrize("wrong", [0, 10**12])
def test_one_wrong_interval_changes_nothing(wrong: int) -> None:
    energy_milliwh = np.array([250_000] * 40 + [wrong], dtype=np.int64)
    assert carried_w(energy_milliwh, 900) == 4 * 1000


def test_a_broken_watt_is_a_whole_one() -> None:
    assert carried_w(np.array([1], dtype=np.int64), 900) == 4
