from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest

from wattkeeper.simulators import faulty
from wattkeeper.simulators.faulty import FAULTS_PER_MILLE, LIGHT_FAULTS_PER_MILLE
from wattkeeper.simulators.world import build_world
from wattkeeper.simulators.world_model import World

SHANGHAI = timezone(timedelta(hours=8))


def test_it_goes_into_json_and_back(check_world: World) -> None:
    assert World.from_json(check_world.to_json()) == check_world


def test_what_is_no_world_is_refused() -> None:
    for text in ("{}", "[]", "null", "{", '{"seed": 1}'):
        with pytest.raises(ValueError):
            World.from_json(text)


def test_the_same_seed_draws_the_same_world(check_world: World) -> None:
    now = datetime(2026, 10, 30, tzinfo=SHANGHAI)
    assert build_world(seed=11, now=now, is_check=True, is_mqtt=False, history_days=3) == check_world
    assert build_world(seed=12, now=now, is_check=True, is_mqtt=False, history_days=3) != check_world


def test_three_sites_with_the_meters_of_the_demo(check_world: World) -> None:
    families = Counter((entry.site, entry.family) for entry in check_world.entries)
    assert families == {
        ("COMPOUND", "dlt645_2007"): 41,
        ("FACTORY", "dlms_three_phase"): 2,
        ("FACTORY", "modbus_energy"): 6,
        ("BUILDING", "pulse_counter"): 10,
        ("BUILDING", "modbus_energy"): 5,
    }


def test_names_of_meters_and_points_are_given_once(check_world: World) -> None:
    serials = [entry.meter_serial for entry in check_world.entries]
    serials += [exchange.entry.meter_serial for exchange in check_world.exchanges]
    assert len(set(serials)) == len(serials)
    points = {entry.usage_point for entry in check_world.entries}
    assert len(points) == len(check_world.entries)
    assert all(entry.parent is None or entry.parent in points for entry in check_world.entries)


def test_no_two_meters_share_a_key(check_world: World) -> None:
    keys = [key for entry in check_world.entries for key in entry.keys.values()]
    assert len(set(keys)) == len(keys)


def test_two_homes_are_protected(check_world: World) -> None:
    assert [e.usage_point for e in check_world.entries if e.is_protected] == list(faulty.PROTECTED_POINTS)


def test_a_check_plans_every_fault(check_world: World) -> None:
    start = check_world.now_s
    assert check_world.window == (start, start + 49 * 3600)
    outages = {link.name: link.outages for link in check_world.links if link.outages}
    assert outages == {"compound-concentrator": ((start + 13 * 3600, start + 19 * 3600),)}
    assert [x.at_s for x in check_world.exchanges] == [start + 86400 + 10 * 3600 + 7 * 60]
    assert [(c.at_s, c.multiplier) for c in check_world.ratio_changes] == [
        (start + 86400 + 12 * 3600, (300, 5))
    ]
    assert sum(entry.hidden.clock_offset_s == -420 for entry in check_world.entries) == 1
    assert sum(entry.hidden.dead_from_s is not None for entry in check_world.entries) == 1
    assert sum(bool(entry.hidden.holes) for entry in check_world.entries) == 1
    assert all(link.faults_per_mille == FAULTS_PER_MILLE for link in check_world.links)


def test_an_ordinary_demo_has_light_faults_only() -> None:
    now = datetime(2026, 10, 30, 15, 20, 7, tzinfo=SHANGHAI)
    world = build_world(seed=1, now=now, is_check=False, is_mqtt=True, history_days=2)
    assert not world.exchanges
    assert not world.ratio_changes
    assert not any(link.outages for link in world.links)
    assert {link.transport: link.faults_per_mille for link in world.links} == {
        "TCP": LIGHT_FAULTS_PER_MILLE,
        "MQTT": 0,
    }
    assert [e.hidden.dead_from_s for e in world.entries if e.hidden.dead_from_s] == [world.now_s]


def test_a_check_starts_at_a_local_midnight() -> None:
    with pytest.raises(ValueError, match="midnight"):
        build_world(seed=1, now=datetime(2026, 10, 30, 1, tzinfo=SHANGHAI), is_check=True, is_mqtt=False)
    with pytest.raises(ValueError, match="naive"):
        build_world(seed=1, now=datetime(2026, 10, 30), is_check=False, is_mqtt=False)  # noqa: DTZ001
