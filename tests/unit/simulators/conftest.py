"""One small world of a check, three days of history, drawn once."""

from datetime import datetime, timedelta, timezone

import pytest

from wattkeeper.simulators.plant import Plant
from wattkeeper.simulators.world import build_world
from wattkeeper.simulators.world_model import World

CHECK_STARTS_AT = datetime(2026, 10, 30, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture(scope="session")
def check_world() -> World:
    return build_world(seed=11, now=CHECK_STARTS_AT, is_check=True, is_mqtt=False, history_days=3)


@pytest.fixture
def plant(check_world: World) -> Plant:
    return Plant.build(check_world)
