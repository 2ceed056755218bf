"""Series of registers and a profile through the pipeline: in any order the same, days that add up."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_plain import DAY_S, DAYS, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod, RegisterReset
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.pipeline.ports import SeriesFacts

REGISTER, PROFILE = 10, 11
REGISTER_STEP, PROFILE_STEP = Fraction(10_000), Fraction(1000)
Delivery = tuple[int, Row]


def make_world(seed: int) -> tuple[SeriesFacts, list[Delivery], dict[int, int]]:
    """Return facts, reads by channel, and what the register advanced by local day, in milliwatt-hours.

    The register is frozen at midnights and comes round or is reset on the way; the profile lacks hours.
    """
    chance = Random(seed)
    zone = chance.choice(ZONES)
    start_s = start_of(zone)
    counts = [chance.randrange(0, 900) for _ in range(DAYS * 24)]
    bounds_s = [int(bound_s) for bound_s in day_bounds(start_s, start_s + DAYS * DAY_S - HOUR_S, zone)]
    bounds_s = [bound_s for bound_s in bounds_s if bound_s <= start_s + DAYS * DAY_S]
    reset_s = start_s + chance.randrange(30, 50) * HOUR_S if chance.random() < 0.5 else None
    watt_hours = 10**7 - chance.randrange(0, 20_000)
    rows: list[Delivery] = []
    resets: list[RegisterReset] = []
    shown_at = {start_s: watt_hours // 10}
    for i, count in enumerate(counts):
        watt_hours += count
        at_s = start_s + (i + 1) * HOUR_S
        if at_s == reset_s:
            resets.append(RegisterReset(at_s, watt_hours // 10 % 10**6, 0))
            watt_hours = 0
        shown_at[at_s] = watt_hours // 10
    rows += [
        (REGISTER, (at_s, shown_at[at_s] % 10**6, 0, int(Source.FREEZE_DAILY)))
        for at_s in bounds_s
        if chance.random() < 0.9
    ]
    lost = set(chance.sample(range(len(counts)), 9)) | set(range(40, 40 + chance.randrange(0, 9)))
    rows += [
        (PROFILE, (start_s + i * HOUR_S, count, 0, int(Source.PROFILE)))
        for i, count in enumerate(counts)
        if i not in lost
    ]
    if chance.random() < 0.5:
        spoilt = chance.randrange(len(rows))
        channel_id, (at_s, value, _, source) = rows[spoilt]
        rows.append((channel_id, (at_s, value + 3, 0, source)))
    always = (MultiplierPeriod(0, None, Fraction(1)),)
    long_ago_s = start_s - 90 * DAY_S
    register = ChannelInstallation(REGISTER, long_ago_s, None, REGISTER_STEP, 10**6, always, tuple(resets))
    profile = ChannelInstallation(PROFILE, long_ago_s, None, PROFILE_STEP, None, always)
    facts = SeriesFacts(1, (register,), HOUR_S, zone, 2000, profiles=(profile,))
    frozen_s = sorted(row[0] for channel_id, row in rows if channel_id == REGISTER)
    truth = {
        from_s: sum(counts[(from_s - start_s) // HOUR_S : (to_s - start_s) // HOUR_S]) * 1000
        for from_s, to_s in pairwise(frozen_s)
    }
    return facts, rows, truth


def live(facts: SeriesFacts, rows: list[Delivery], chance: Random | None) -> Street:
    """Deliver all reads at once, or in any order and some twice, with runs in between."""
    street = Street([facts], is_many=chance is None or chance.random() < 0.5)
    batches = [rows]
    if chance is not None:
        every = [*rows, *chance.sample(rows, len(rows) // 4)]
        chance.shuffle(every)
        cut = chance.randrange(len(every))
        batches = [every[:cut], every[cut:]]
    for batch in batches:
        for channel_id, row in batch:
            street.deliver(1, channel_id, [row])
        street.run(start_of(facts.zone) + (DAYS + 3) * DAY_S)
    return street


@pytest.mark.alike
@pytest.mark.parametrize("seed", range(20))
def test_any_order_ends_in_the_same_values_and_findings(seed: int) -> None:
    facts, rows, _ = make_world(seed)
    plain = live(facts, rows, None)
    for shuffle in range(3):
        other = live(facts, rows, Random(seed * 1000 + shuffle))
        assert other.current() == plain.current()
        assert other.recorded == plain.recorded


@pytest.mark.alike
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("is_read_once", [False, True], ids=["never", "once"])
def test_beside_registers_that_nobody_reads_each_window_reaches_the_profile(
    seed: int, is_read_once: bool
) -> None:
    facts, rows, _ = make_world(seed)
    reads = sorted(row for row in rows if row[0] == REGISTER)
    rows = sorted(row for row in rows if row[0] == PROFILE) + reads[: int(is_read_once)]
    now_s = start_of(facts.zone) + (DAYS + 30 + 40 * (seed % 2)) * DAY_S
    whole, piecewise = (Street([facts], is_many=False) for _ in range(2))
    for channel_id, row in rows:
        whole.deliver(1, channel_id, [row])
    whole.run(now_s)
    pieces = [rows[first : first + 7] for first in range(0, len(rows), 7)]
    Random(seed).shuffle(pieces)
    for piece in pieces:
        for channel_id, row in piece:
            piecewise.deliver(1, channel_id, [row])
        piecewise.run(now_s)
    for street in (whole, piecewise):
        street.mark(1, now_s - 2 * DAY_S, now_s)
        street.run(now_s)
    assert {value[1] for value in whole.current()[1].values()} >= {Provenance.ESTIMATED}
    assert piecewise.current() == whole.current()


@pytest.mark.parametrize("seed", range(30))
def test_between_two_register_reads_the_intervals_are_their_advance(seed: int) -> None:
    facts, rows, truth = make_world(seed)
    street = live(facts, rows, None)
    own = street.current()[1]
    ends_s = [*sorted(truth)[1:], max(own) + HOUR_S]
    for (from_s, energy_milliwh), to_s in zip(sorted(truth.items()), ends_s, strict=True):
        to_s = min(to_s, max(row[0] for channel_id, row in rows if channel_id == REGISTER))
        held = sum(value[0] for at_s, value in own.items() if from_s <= at_s < to_s)
        is_told = any(
            finding.rule == "readings.conflict" or finding.rule == "vee.sum-check"
            for finding in street.recorded.values()
        )
        assert is_told or abs(held - energy_milliwh) <= 2 * REGISTER_STEP


def test_what_the_registers_do_not_confirm_is_suspect_and_said() -> None:
    facts, rows, midnights = next(
        (facts, rows, midnights)
        for facts, rows, _ in map(make_world, range(20))
        if (midnights := sorted(row for channel_id, row in rows if channel_id == REGISTER))
        if not facts.installations[0].resets and midnights[0][1] + 200 < midnights[1][1]
    )
    at_s, value, flags, source = midnights[1]
    rows = [each for each in rows if each[1][:1] != (at_s,) or each[0] != REGISTER]
    rows.append((REGISTER, (at_s, value - 150, flags, source)))
    street = live(facts, rows, None)
    rules = {finding.rule for finding in street.recorded.values()}
    assert "vee.sum-check" in rules
    suspect = [v for v in street.current()[1].values() if v[2] & Flag.SUSPECT]
    assert suspect
    assert {value[1] for value in suspect} == {Provenance.ESTIMATED}


def day_of(frozen: tuple[int, ...], rules: RuleSet | None = None) -> Street:
    """Return hours of 100 Wh and one of 1500, 3800 Wh in all; a register of 10 Wh is frozen around them."""
    facts, *_ = make_world(1)
    plain = replace(facts.installations[0], resets=())
    plan = None if rules is None else RulePlan.of(rules)
    facts = replace(facts, zone=ZONES[0], installations=(plain,), rules=plan)
    start_s = start_of(facts.zone)
    hours = [100] * 13 + [1500] + [100] * 10
    rows: list[Delivery] = [
        (REGISTER, (start_s + day * DAY_S, 5000 + count, 0, int(Source.FREEZE_DAILY)))
        for day, count in enumerate(frozen)
    ]
    rows += [
        (PROFILE, (start_s + hour * HOUR_S, count, 0, int(Source.PROFILE)))
        for hour, count in enumerate(hours)
    ]
    return live(facts, rows, None)


def sum_of(street: Street) -> int:
    own = street.current()[1]
    return sum(value[0] for at_s, value in own.items() if at_s < start_of(ZONES[0]) + DAY_S) // 1000


@pytest.mark.parametrize(
    ("parameters", "found", "watt_hours"),
    [
        ({}, {"vee.sum-check"}, 3760),
        ({"sum_step_count": 3}, {"vee.sum-check"}, 3760),
        ({"sum_step_count": 4}, set(), 3800),
        ({"sum_permille": 7}, {"vee.sum-check"}, 3760),
        ({"sum_permille": 8}, set(), 3800),
    ],
)
def test_a_rule_set_says_what_a_profile_may_be_off_its_registers(
    parameters: dict[str, int], found: set[str], watt_hours: int
) -> None:
    street = day_of((0, 376), RuleSet().with_setting("vee.sum-check", **parameters))
    assert {finding.rule for finding in street.recorded.values()} == found
    assert sum_of(street) == watt_hours


@pytest.mark.parametrize(
    ("frozen", "found"),
    [((0, 380), set()), ((0,), {"vee.spike"}), ((0, 340), {"vee.sum-check"})],
    ids=["confirmed", "not frozen at its end", "denied"],
)
def test_a_peak_that_the_registers_confirm_is_no_spike(frozen: tuple[int, ...], found: set[str]) -> None:
    assert {finding.rule for finding in day_of(frozen).recorded.values()} == found


@pytest.mark.parametrize("is_exchange", [False, True])
@pytest.mark.parametrize(
    "power_max_w", [200_000, 10**7]
)  # the register may have come round unseen by the latter
def test_what_a_day_tolerates_is_not_what_another_day_does(is_exchange: bool, power_max_w: int) -> None:
    """A day after transformers of 1000, or a coarse register, were there: 50 Wh are off, and found."""
    facts, *_ = make_world(1)
    start_s = start_of(ZONES[0])
    cut_s, end_s = start_s + DAY_S, start_s + 4 * DAY_S
    register, profile = replace(facts.installations[0], resets=()), facts.profiles[0]
    if is_exchange:
        old = replace(register, ends_at_s=cut_s, step_milliwh=REGISTER_STEP * 1000)
        registers = (old, replace(register, channel_id=12, starts_at_s=cut_s))
    else:
        periods = (MultiplierPeriod(0, cut_s, Fraction(1000)), MultiplierPeriod(cut_s, None, Fraction(1)))
        registers, profile = (replace(register, multipliers=periods),), replace(profile, multipliers=periods)
    facts = replace(
        facts, zone=ZONES[0], installations=registers, profiles=(profile,), power_max_w=power_max_w
    )
    rows = [(PROFILE, (start_s + i * HOUR_S, 100, 0, int(Source.PROFILE))) for i in range(72)]
    rows += [
        (
            registers[-1].channel_id if day else REGISTER,
            (start_s + day * DAY_S, count, 0, int(Source.FREEZE_DAILY)),
        )
        for day, count in enumerate((0, 240, 480, 725))
    ]
    at_once, by_day = Street([facts], is_many=True), Street([facts], is_many=True)
    for street, days_count in ((at_once, 4), (by_day, 1)):
        for from_s in range(start_s, end_s, days_count * DAY_S):
            for channel_id, row in rows:
                if from_s <= row[0] < from_s + days_count * DAY_S:
                    street.deliver(1, channel_id, [row])
            street.run(end_s)
    assert at_once.current() == by_day.current()
    assert at_once.recorded == by_day.recorded
    assert "vee.sum-check" in {finding.rule for finding in at_once.recorded.values()}
    is_told = power_max_w == 200_000
    last = [value[0] for at_s, value in at_once.current()[1].items() if at_s >= start_s + 2 * DAY_S]
    assert sum(last) == (2450 if is_told else 2400) * 1000
