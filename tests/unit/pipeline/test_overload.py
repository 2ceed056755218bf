"""More than a service carries counts, and V09 finds it by its own limit; what none withstands does not."""

from fractions import Fraction
from itertools import product

import pytest

from pipeline_street import Street
from unit.pipeline.test_plain import DAY_S, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.readings import advance, profile_grid
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline.ports import SeriesFacts

ZONE = ZONES[0]
START_S = start_of(ZONE)
NOON, POWER_W, USUAL_WH = 12, 1000, 500
MISSING = (0, int(Provenance.MISSING), 0, 0)
PATHS = [(False, False), (False, True), (True, False)]


def live(used_wh: list[int], *, is_profile: bool, is_many: bool) -> Street:
    """Return the street after hours of a register of watt-hours, or of a profile."""
    always = (MultiplierPeriod(0, None, Fraction(1)),)
    kind = Kind.INTERVAL if is_profile else Kind.CUMULATIVE
    channel = ChannelInstallation(10, START_S - 90 * DAY_S, None, Fraction(1000), None, always)
    street = Street([SeriesFacts(1, (channel,), HOUR_S, ZONE, POWER_W, kind=kind)], is_many=is_many)
    shown = used_wh if is_profile else [sum(used_wh[:hour]) for hour in range(len(used_wh) + 1)]
    rows = [(START_S + hour * HOUR_S, value, 0, int(Source.PROFILE)) for hour, value in enumerate(shown)]
    street.deliver(1, 10, rows)
    street.run(START_S + len(used_wh) * HOUR_S)
    return street


def at_noon(noon_wh: int, *, is_profile: bool, is_many: bool) -> tuple[int, int, bool, set[str]]:
    """Return value, provenance and whether it passed all checks of an hour, and the rules that found it."""
    used_wh = [USUAL_WH] * NOON + [noon_wh] + [USUAL_WH + hour for hour in range(11)]
    street = live(used_wh, is_profile=is_profile, is_many=is_many)
    value, provenance, flags, _ = street.values[1].get(START_S + NOON * HOUR_S, MISSING)
    rules = {key[0] for key in street.recorded} - {"vee.constant"}
    return value, provenance, bool(flags & Flag.VALIDATED), rules


@pytest.mark.parametrize(("is_profile", "is_many"), PATHS)
def test_more_than_a_service_carries_counts_and_v09_tells_from_when(is_profile: bool, is_many: bool) -> None:
    path = {"is_profile": is_profile, "is_many": is_many}
    assert at_noon(1100, **path) == (1_100_000, Provenance.MEASURED, True, set())
    assert at_noon(1101, **path) == (1_101_000, Provenance.MEASURED, False, {"vee.max-demand"})


@pytest.mark.parametrize(("is_profile", "is_many"), PATHS)
def test_more_than_a_service_withstands_was_not_used(is_profile: bool, is_many: bool) -> None:
    _, provenance, _, rules = at_noon(2100, is_profile=is_profile, is_many=is_many)
    assert provenance != Provenance.MEASURED
    assert rules == {"readings.out-of-range" if is_profile else "readings.jump"}


@pytest.mark.parametrize("used_wh", [*product((300, 1300, 2300, -900), repeat=3)])
def test_both_paths_believe_the_same_of_a_register(used_wh: tuple[int, ...]) -> None:
    alone, together = (live([*used_wh], is_profile=False, is_many=is_many) for is_many in (False, True))
    assert together.current() == alone.current()
    assert together.recorded == alone.recorded


def test_a_limit_below_that_of_v09_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (advance, profile_grid):
        monkeypatch.setattr(module, "WITHSTOOD_TIMES", 1)
    for is_profile, is_many in PATHS:
        assert at_noon(1101, is_profile=is_profile, is_many=is_many)[1] != Provenance.MEASURED
