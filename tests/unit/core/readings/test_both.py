"""Registers and interval energy of one series: the shape of the one, the energy of the other."""

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from unit.core.readings.physical_meter import Life, Load, live
from unit.core.readings.test_oracle import installations_of
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import both
from wattkeeper.core.readings.both import combine_intervals
from wattkeeper.core.readings.interval_reads import collect_intervals
from wattkeeper.core.readings.intervals import Gap, Intervals, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

UTC = ZoneInfo("UTC")
QUARTER_S = 900
DAY_S = 86_400
START_S = 1_767_225_600
POWER_MAX_W = 5000
WATT_HOUR = Fraction(1000)
REGISTER, PROFILE = 1, 101


def channel(channel_id: int, step_milliwh: Fraction, digits: int | None = None) -> ChannelInstallation:
    always = (MultiplierPeriod(0, None, Fraction(1)),)
    modulus = None if digits is None else 10**digits
    return ChannelInstallation(channel_id, 0, None, step_milliwh, modulus, always)


def combine(
    registers: dict[int, int],
    profile: dict[int, int],
    *,
    register_step: Fraction = 10 * WATT_HOUR,
    profile_step: Fraction = WATT_HOUR,
    days: int = 1,
    digits: int | None = None,
) -> Intervals:
    """Combine register reads by stamp with interval counts by place."""
    window = {"from_s": START_S, "to_s": START_S + days * DAY_S, "interval_s": QUARTER_S}
    own = [(at_s, value, 0, int(Source.FREEZE_DAILY)) for at_s, value in registers.items()]
    energy = [(START_S + i * QUARTER_S, value, 0, int(Source.PROFILE)) for i, value in profile.items()]
    return combine_intervals(
        derive_intervals(
            installations=[channel(REGISTER, register_step, digits)],
            reads={REGISTER: ReadColumns.of(own)},
            power_max_w=POWER_MAX_W,
            **window,
        ),
        collect_intervals(
            installations=[channel(PROFILE, profile_step)],
            reads={PROFILE: ReadColumns.of(energy)},
            power_max_w=POWER_MAX_W,
            zone=UTC,
            **window,
        ),
        day_bounds_s=START_S + np.arange(days + 1) * DAY_S,
        register_step_milliwh=lambda _: int(register_step),
        profile_step_milliwh=lambda _: int(profile_step),
    )


FULL = {i: 10 + i % 7 for i in range(96)}
TOTAL = sum(FULL.values())
ENDS = {START_S: 500, START_S + DAY_S: 500 + TOTAL // 10}


def test_intervals_that_the_registers_confirm_stand() -> None:
    found = combine(ENDS, FULL)
    assert found.value_milliwh.tolist() == [value * 1000 for value in FULL.values()]
    assert set(found.provenance.tolist()) == {Provenance.MEASURED}
    assert not found.findings
    assert not found.gaps


def test_intervals_that_they_do_not_are_scaled_and_said() -> None:
    ends = {START_S: 500, START_S + DAY_S: 500 + TOTAL // 10 + 30}
    found = combine(ends, FULL)
    assert int(found.value_milliwh.sum()) == (TOTAL // 10 + 30) * 10_000
    assert set(found.provenance.tolist()) == {Provenance.ESTIMATED}
    assert set(found.flags.tolist()) == {Flag.SUSPECT | Flag.REGISTER_BRACKETED}
    assert [finding.rule for finding in found.findings] == ["vee.sum-check"]
    assert found.findings[0].evidence == {
        "sum_milliwh": TOTAL * 1000,
        "advance_milliwh": (TOTAL // 10 + 30) * 10_000,
        "tolerance_milliwh": 10_000,
    }
    shape = np.array(list(FULL.values())) / TOTAL
    np.testing.assert_allclose(found.value_milliwh / found.value_milliwh.sum(), shape, rtol=1e-4)


def test_a_profile_coarser_than_the_registers_is_scaled_without_ado() -> None:
    coarse = dict.fromkeys(range(96), 1)
    ends = {START_S: 0, START_S + DAY_S: 96 * 10 + 7}
    found = combine(ends, coarse, register_step=WATT_HOUR, profile_step=10 * WATT_HOUR)
    assert int(found.value_milliwh.sum()) == 967_000
    assert not found.findings
    assert set(found.flags.tolist()) == {Flag.REGISTER_BRACKETED}


def test_what_is_missing_is_what_the_registers_have_beyond_the_rest() -> None:
    held = {i: value for i, value in FULL.items() if not 40 <= i < 52}
    found = combine(ENDS, held)
    rest = TOTAL // 10 * 10_000 - sum(held.values()) * 1000
    assert found.gaps == (Gap(40, 52, rest, is_exact=True),)
    assert found.provenance[40:52].tolist() == [0] * 12
    assert (found.position_chain[[40, 52]] >= 0).all()


def test_two_gaps_share_what_is_left_and_the_registers_hold_their_sum() -> None:
    held = {i: value for i, value in FULL.items() if not (10 <= i < 13 or 40 <= i < 41)}
    found = combine(ENDS, held)
    rest = TOTAL // 10 * 10_000 - sum(held.values()) * 1000
    assert [(gap.first_index, gap.end_index, gap.is_exact) for gap in found.gaps] == [
        (10, 13, True),
        (40, 41, True),
    ]
    assert sum(gap.energy_milliwh or 0 for gap in found.gaps) == rest


def test_a_read_inside_the_day_tells_which_gap_has_what() -> None:
    held = {i: value for i, value in FULL.items() if not (8 <= i < 12 or 40 <= i < 44)}
    first = sum(FULL[i] for i in range(12))
    inside = {START_S + 8 * QUARTER_S: 500 + sum(FULL[i] for i in range(8)) // 10}
    inside |= {START_S + 12 * QUARTER_S: 500 + first // 10}
    found = combine(ENDS | inside, held)
    own = (inside[START_S + 12 * QUARTER_S] - inside[START_S + 8 * QUARTER_S]) * 10_000
    assert found.gaps[0] == Gap(8, 12, own, is_exact=True)
    assert found.gaps[1].is_exact
    assert int(found.value_milliwh.sum()) + sum(g.energy_milliwh or 0 for g in found.gaps) == (
        TOTAL // 10 * 10_000
    )


def test_what_the_profile_leaves_of_each_half_of_a_day_stays_there() -> None:
    """Shared by length before: a third of what both halves miss was given to the first."""
    held = {i: value for i, value in FULL.items() if not (8 <= i < 12 or 60 <= i < 68)}
    noon = sum(FULL[i] for i in range(48)) // 10
    night = noon + 900 // 10  # whatever the others hold, the afternoon has 900 counts of the profile
    held |= {i: 5 for i in range(48, 96) if i in held}
    found = combine({START_S: 500, START_S + 48 * QUARTER_S: 500 + noon, START_S + DAY_S: 500 + night}, held)
    left = [noon * 10_000 - sum(held[i] for i in range(48) if i in held) * 1000, 900_000 - 40 * 5000]
    assert [(gap.first_index, gap.end_index, gap.energy_milliwh) for gap in found.gaps] == [
        (8, 12, left[0]),
        (60, 68, left[1]),
    ]
    assert all(gap.is_exact for gap in found.gaps)


def test_more_than_the_registers_leaves_nothing_for_the_gap() -> None:
    held = {i: value * 2 for i, value in FULL.items() if i != 50}
    found = combine(ENDS, held)
    assert found.gaps == (Gap(50, 51, 0, is_exact=True),)
    assert int(found.value_milliwh.sum()) == TOTAL // 10 * 10_000
    assert [finding.rule for finding in found.findings] == ["vee.sum-check"]


def test_a_silent_profile_leaves_the_registers() -> None:
    reads = {START_S + i * QUARTER_S: 5 * i for i in range(97) if not 20 <= i < 30}
    found = combine(reads, {})
    assert found.gaps == (Gap(19, 30, 11 * 50_000, is_exact=True),)
    assert set(found.value_milliwh[:19].tolist()) == {50_000}


def test_silent_registers_leave_the_intervals() -> None:
    held = {i: value for i, value in FULL.items() if i != 50}
    found = combine({}, held)
    assert found.gaps == (Gap(50, 51, None, is_exact=False),)
    assert found.position_chain[50] != found.position_chain[51]
    assert not found.findings


def test_a_rollover_inside_the_day_is_no_disagreement() -> None:
    for digits, rules in ((5, []), (4, ["readings.rollover-ambiguous"])):
        top = 10**digits
        ends = {START_S: top - 10, START_S + DAY_S: (top - 10 + TOTAL // 10) % top}
        found = combine(ends, FULL, digits=digits)
        assert [finding.rule for finding in found.findings] == ["readings.rollover", *rules]
        assert int(found.value_milliwh.sum()) == TOTAL * 1000


def test_a_register_that_may_have_come_round_twice_scales_nothing() -> None:
    ends = {START_S: 500, START_S + DAY_S: 500 + TOTAL // 10 + 300}
    found = combine(ends, FULL, digits=4)
    assert [finding.rule for finding in found.findings] == ["readings.rollover-ambiguous"]
    assert int(found.value_milliwh.sum()) == TOTAL * 1000


def profile_of(life: Life, step: Fraction) -> tuple[list[ChannelInstallation], dict[int, ReadColumns]]:
    """Return a channel beside each dial that stores energy by the interval and carries its remainder on."""
    channels, rows = [], {}
    for installation in installations_of(life):
        own_id = installation.channel_id + 100
        channels.append(
            ChannelInstallation(
                own_id,
                installation.starts_at_s,
                installation.ends_at_s,
                step,
                None,
                installation.multipliers,
            )
        )
        segments = [each for each in life.segments if each.dial.channel_id == installation.channel_id]
        counted = [Fraction(0)]
        stamps = list(range(life.from_s, life.to_s + 1, QUARTER_S))
        for from_s, to_s in pairwise(stamps):
            parts = (
                (
                    life.load.energy_milliwh(min(to_s, e.to_s))
                    - life.load.energy_milliwh(max(from_s, e.from_s))
                )
                / e.ratio
                for e in segments
                if e.from_s < to_s and e.to_s > from_s
            )
            counted.append(counted[-1] + sum(parts, Fraction(0)) / step)
        rows[own_id] = ReadColumns.of(
            [
                (at_s, int(later // 1 - earlier // 1), 0, int(Source.PROFILE))
                for at_s, (earlier, later) in zip(stamps, pairwise(counted), strict=False)
                if any(e.from_s < at_s + QUARTER_S and e.to_s > at_s for e in segments)
            ]
        )
    return channels, rows


def registers_of(life: Life, days_s: list[int]) -> dict[int, ReadColumns]:
    """Return what the dials showed at midnights, and to the person who came."""
    rows: dict[int, list[tuple[int, int, int, int]]] = {}
    for each in life.segments:
        stamps = {at_s for at_s in (*days_s, each.from_s, each.to_s) if each.from_s <= at_s <= each.to_s}
        own = rows.setdefault(each.dial.channel_id, [])
        own += [(at_s, each.shows(life.load, at_s), 0, int(Source.FIELD)) for at_s in sorted(stamps)]
    return {channel_id: ReadColumns.of(own) for channel_id, own in rows.items()}


ZONES = (("Australia/Lord_Howe", date(2026, 4, 3)), ("Asia/Kathmandu", date(2026, 1, 5)))
ZONES += (("Europe/Berlin", date(2026, 3, 28)), ("Europe/Berlin", date(2026, 10, 24)))


@pytest.mark.parametrize(("zone", "first"), ZONES)
@pytest.mark.parametrize("seed", range(4))
def test_every_local_day_is_what_the_registers_advanced(zone: str, first: date, seed: int) -> None:
    """Days of 23, 24, 24.5 and 25 hours, with an exchange, a ratio change and lost intervals."""
    chance = Random(seed)
    own_zone = ZoneInfo(zone)
    days_s = [to_seconds(local_midnight(first + timedelta(days=i), own_zone)) for i in range(4)]
    life = live(chance, days_s[0], days_s[-1], 7, events={"exchange": seed % 2, "ratio": seed // 2})
    channels, energy = profile_of(life, Fraction(100))
    window = {"from_s": days_s[0], "to_s": days_s[-1], "interval_s": QUARTER_S, "power_max_w": POWER_MAX_W}
    lost = set(chance.sample(range(len(range(*(days_s[0], days_s[-1]), QUARTER_S))), 12))
    kept = {
        channel_id: ReadColumns.of(
            [
                (at_s, value, 0, int(Source.PROFILE))
                for at_s, value in zip(own.measured_at_s.tolist(), own.value.tolist(), strict=True)
                if (at_s - days_s[0]) // QUARTER_S not in lost
            ]
        )
        for channel_id, own in energy.items()
    }
    step = max(each.rate_milliwh for each in life.segments)
    found = combine_intervals(
        derive_intervals(installations=installations_of(life), reads=registers_of(life, days_s), **window),
        collect_intervals(installations=channels, reads=kept, zone=own_zone, **window),
        day_bounds_s=np.array(days_s),
        register_step_milliwh=lambda _: int(step),
        profile_step_milliwh=lambda _: int(100 * max(ratio for _, ratio in life.changes)),
    )
    for from_s, to_s in pairwise(days_s):
        places = range((from_s - days_s[0]) // QUARTER_S, (to_s - days_s[0]) // QUARTER_S)
        own = int(found.value_milliwh[places.start : places.stop].sum())
        own += sum(gap.energy_milliwh or 0 for gap in found.gaps if gap.first_index in places)
        assert abs(own - life.counted_milliwh(from_s, to_s)) <= step + 4
        assert abs(own - life.true_milliwh(from_s, to_s)) <= 3 * step + 4
    assert all(gap.energy_milliwh is not None for gap in found.gaps)
    assert not [finding for finding in found.findings if finding.rule == "vee.sum-check"]


def test_an_interval_cut_by_an_exchange_is_both_meters() -> None:
    life = live(Random(3), START_S, START_S + 40 * QUARTER_S, None, events={"exchange": 1})
    channels, energy = profile_of(life, Fraction(1))
    window = {"from_s": life.from_s, "to_s": life.to_s, "interval_s": QUARTER_S, "power_max_w": POWER_MAX_W}
    found = collect_intervals(installations=channels, reads=energy, zone=UTC, **window)
    assert not found.gaps
    for i, at_s in enumerate(found.starts_at_s.tolist()):
        ratio = life.changes[0][1]
        assert abs(int(found.value_milliwh[i]) - life.true_milliwh(at_s, at_s + QUARTER_S)) <= 2 * ratio + 1
    place = (life.exchanges[0] - life.from_s) // QUARTER_S
    del energy[channels[1].channel_id]
    alone = collect_intervals(installations=channels, reads=energy, zone=UTC, **window)
    assert alone.provenance[place] == Provenance.MISSING
    assert [finding.rule for finding in alone.findings] == ["readings.exchange-read-missing"]


def test_a_ratio_change_inside_an_interval_is_shared_out_by_time() -> None:
    change = (
        MultiplierPeriod(0, START_S + 600, Fraction(10)),
        MultiplierPeriod(START_S + 600, None, Fraction(40)),
    )
    found = collect_intervals(
        installations=[ChannelInstallation(1, 0, None, WATT_HOUR, None, change)],
        reads={1: ReadColumns.of([(START_S, 9, 0, 5), (START_S + QUARTER_S, 9, 0, 5)])},
        from_s=START_S,
        to_s=START_S + 2 * QUARTER_S,
        interval_s=QUARTER_S,
        power_max_w=10**6,
        zone=UTC,
    )
    assert found.value_milliwh.tolist() == [9 * 20_000, 9 * 40_000]
    assert found.provenance.tolist() == [Provenance.ESTIMATED, Provenance.MEASURED]
    assert [finding.rule for finding in found.findings] == ["readings.multiplier-read-missing"]


PLANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "never compared": ("_reconcile", lambda *_: None),
    "remainders dropped": ("_share_out", lambda shape, energy: [energy // len(shape)] * len(shape)),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, fault = PLANTS[name]
    monkeypatch.setattr(both, attribute, fault)
    with pytest.raises(AssertionError):
        test_intervals_that_they_do_not_are_scaled_and_said()


def test_a_load_is_its_own_integral() -> None:
    load = Load(0, [60, 120])
    assert load.energy_milliwh(90) == 1000 + 1000
