import numpy as np
import pytest

from cpu_time import Slowest
from wattkeeper.simulators.load import DAY_S, PARTS_PER_MILLIWH, Loads, load_names
from wattkeeper.simulators.supply import Supply

STARTS_AT_S = 1_793_289_600  # 2026-10-30T00:00+08:00, a Friday


@pytest.fixture(scope="module")
def loads() -> Loads:
    return Loads(seed=3, starts_at_s=STARTS_AT_S)


def kwh(loads: Loads, name: str, from_h: float, to_h: float) -> float:
    at = np.array([STARTS_AT_S + from_h * 3600, STARTS_AT_S + to_h * 3600], dtype=np.int64)
    first, last = loads.positions(loads.row(name), at)
    return float(last - first) / PARTS_PER_MILLIWH / 1e6


def test_they_start_at_a_local_midnight() -> None:
    with pytest.raises(ValueError, match="midnight"):
        Loads(seed=1, starts_at_s=STARTS_AT_S + 3600)


def test_the_same_days_come_out_however_they_are_asked_for(loads: Loads) -> None:
    at = np.arange(STARTS_AT_S, STARTS_AT_S + 5 * DAY_S, 3607, dtype=np.int64)
    piecemeal = Loads(seed=3, starts_at_s=STARTS_AT_S)
    for instant in at:
        piecemeal.positions(0, np.array([instant]))
    for row in range(len(load_names())):
        assert (loads.positions(row, at) == piecemeal.positions(row, at)).all()


def test_energy_never_flows_back_and_seconds_are_linear(loads: Loads) -> None:
    at = np.arange(STARTS_AT_S, STARTS_AT_S + DAY_S, 1, dtype=np.int64)
    steps = np.diff(loads.positions(0, at))
    assert (steps > 0).all()
    assert (steps.reshape(-1)[: 60 * 1439].reshape(-1, 60).std(axis=1) == 0).all()


def test_days_have_believable_shapes(loads: Loads) -> None:
    homes = [name for name in load_names() if name.startswith("home")]
    days = [kwh(loads, name, 0, 24) for name in homes]
    assert min(days) > 3
    assert max(days) < 40
    assert sum(kwh(loads, n, 18, 21) for n in homes) > 1.5 * sum(kwh(loads, n, 2, 5) for n in homes)
    assert kwh(loads, "machine-1", 9, 11) > 5 * kwh(loads, "machine-1", 57, 59)  # Friday, Sunday
    assert kwh(loads, "shop-3", 14, 16) > 2 * kwh(loads, "shop-3", 2, 4)


@pytest.mark.slow
def test_two_months_of_everything_take_little_time() -> None:
    def two_months() -> None:
        loads = Loads(seed=1, starts_at_s=STARTS_AT_S)
        loads.positions(0, np.array([STARTS_AT_S + 64 * DAY_S], dtype=np.int64))

    slowest = Slowest()
    slowest.did(two_months)
    assert slowest.ratio() < 60, "counts to a million"


def test_an_open_switch_stops_the_load_and_what_is_above_feels_it(loads: Loads) -> None:
    home = Supply(loads, (0,))
    above = Supply(loads, (loads.row("transformer-loss"),), below=(home,))
    loss = Supply(loads, (loads.row("transformer-loss"),))
    opened, closed, end = STARTS_AT_S + 1000, STARTS_AT_S + 5_000, STARTS_AT_S + 9_000
    at = np.array([opened, closed, end], dtype=np.int64)
    free = home.positions(at)
    home.open_switch(opened)
    assert home.is_open(opened)
    assert home.power_w(closed - 1) == 0
    assert (home.positions(at) == free[0]).all()
    home.close_switch(closed)
    cut = home.positions(at)
    assert cut[1] == cut[0]
    assert cut[2] - cut[1] == free[2] - free[1]
    assert (above.positions(at) == cut + loss.positions(at)).all()
