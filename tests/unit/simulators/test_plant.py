import pytest

from wattkeeper.simulators.plant import Meter, Plant
from wattkeeper.simulators.world_model import World


@pytest.fixture
def home(plant: Plant) -> Meter:
    return plant.by_point["H-01"][0]


def test_disconnect_arm_press(plant: Plant, home: Meter) -> None:
    now = plant.world.now_s + 3600
    assert home.relay_code(now) == 1
    home.disconnect(now)
    assert home.relay_code(now) == 0
    assert home.measures(now).power_w == 0
    assert not home.press(now)  # not armed: the button does nothing
    home.arm(now + 60)
    assert home.relay_code(now + 60) == 2
    assert home.is_switch_open(now + 60)
    assert home.press(now + 120)
    assert home.relay_code(now + 120) == 1
    assert not home.press(now + 130)
    shown = [home.registers.display(now + s) for s in (0, 119, 120, 7200)]
    assert shown[0] == shown[1] == shown[2] < shown[3]


def test_a_stuck_switch_acknowledges_and_does_not_move(check_world: World) -> None:
    serial = check_world.entries[0].meter_serial
    plant = Plant.build(check_world, stuck=frozenset({serial}))
    meter, now = plant.meters[serial], check_world.now_s
    meter.disconnect(now)
    assert meter.relay_code(now) == 1
    assert meter.registers.display(now + 7200) > meter.registers.display(now)
    assert meter.relay_events == [(now, "disconnect")]


def test_the_transformer_feels_a_home_that_is_cut(plant: Plant, home: Meter) -> None:
    main, now = plant.by_point["T-1"][0], plant.world.now_s
    before = main.registers.supply.power_w(now)
    drawn = home.registers.supply.power_w(now)
    home.disconnect(now)
    assert main.registers.supply.power_w(now) == before - drawn


def test_who_is_dead_or_gone_does_not_answer(plant: Plant) -> None:
    start = plant.world.now_s
    dead = next(m for m in plant.meters.values() if m.entry.hidden.dead_from_s)
    old, new = plant.by_point["H-12"]
    at_s = plant.world.exchanges[0].at_s
    assert dead.answers(start)
    assert not dead.answers(start + 11 * 3600)
    assert (old.answers(at_s - 1), new.answers(at_s - 1)) == (True, False)
    assert (old.answers(at_s), new.answers(at_s)) == (False, True)


def test_instruments_agree_with_the_power(plant: Plant) -> None:
    now = plant.world.now_s + 10 * 3600
    for meter in plant.meters.values():
        shown = meter.measures(now)
        assert all(2000 < volts < 2450 for volts in shown.decivolts)
        assert 800 < shown.factor_permille <= 1000
        apparent_va = sum(v * a for v, a in zip(shown.decivolts, shown.milliamperes, strict=True)) / 10_000
        assert apparent_va * shown.factor_permille / 1000 == pytest.approx(shown.power_w, abs=5)
