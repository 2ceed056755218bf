"""Registers to intervals: exchange, multiplier change, rollover, gaps, wrong reads, by example."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest

from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.readings.intervals import Gap, Intervals, InvalidWindow, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

QUARTER_S = 900
START_S = 1_760_000_400 // 86_400 * 86_400
ONE = (MultiplierPeriod(0, None, Fraction(1)),)
Row = tuple[int, int] | tuple[int, int, Source] | tuple[int, int, Source, Flag]


def minute(number: int) -> int:
    return START_S + 60 * number


def meter(
    channel_id: int = 1,
    starts_at_s: int = 0,
    ends_at_s: int | None = None,
    *,
    multipliers: tuple[MultiplierPeriod, ...] = ONE,
    modulus: int | None = 10**8,
    step_milliwh: Fraction = Fraction(1000),
) -> ChannelInstallation:
    return ChannelInstallation(channel_id, starts_at_s, ends_at_s, step_milliwh, modulus, multipliers)


def reads(*rows: Row) -> ReadColumns:
    """Return columns of (minute of the window, value, source, flags)."""
    filled = [(*row, *(Source.PROFILE, Flag.NONE)[len(row) - 2 :]) for row in rows]
    return ReadColumns.of(
        [(minute(at), value, int(flags), int(source)) for at, value, source, flags in filled]
    )


def derive(
    installations: list[ChannelInstallation],
    by_channel: dict[int, ReadColumns],
    *,
    quarters: int = 4,
    power_max_w: int = 100_000,
) -> Intervals:
    return derive_intervals(
        installations=installations,
        reads=by_channel,
        from_s=START_S,
        to_s=START_S + quarters * QUARTER_S,
        interval_s=QUARTER_S,
        power_max_w=power_max_w,
    )


def rules(intervals: Intervals) -> list[str]:
    return [finding.rule for finding in intervals.findings]


FULL = reads((0, 100), (15, 110), (30, 130), (45, 160), (60, 200))


def test_an_interval_is_the_advance_between_its_two_boundaries() -> None:
    found = derive([meter()], {1: FULL})
    assert found.value_milliwh.tolist() == [10_000, 20_000, 30_000, 40_000]
    assert set(found.provenance.tolist()) == {Provenance.MEASURED}
    assert not found.gaps
    assert not found.findings
    assert found.starts_at_s.tolist() == [minute(at) for at in (0, 15, 30, 45)]


def test_a_window_is_whole_intervals() -> None:
    with pytest.raises(InvalidWindow, match="window"):
        derive_intervals(installations=[meter()], reads={}, from_s=0, to_s=901, interval_s=900, power_max_w=1)


def test_a_gap_carries_the_energy_its_registers_bracket() -> None:
    found = derive([meter()], {1: reads((0, 100), (15, 110), (60, 200))})
    assert found.provenance.tolist() == [1, 0, 0, 0]
    assert found.gaps == (Gap(1, 4, 90_000, is_exact=True),)


def test_a_gap_at_the_edge_has_no_known_energy() -> None:
    found = derive([meter()], {1: reads((15, 110), (30, 130))})
    assert found.gaps == (Gap(0, 1, None, is_exact=False), Gap(2, 4, None, is_exact=False))
    assert derive([meter()], {}).gaps == (Gap(0, 4, None, is_exact=False),)


def test_a_rollover_inside_a_gap_loses_nothing() -> None:
    found = derive([meter(modulus=10**5)], {1: reads((0, 99_990), (45, 20), (60, 30))})
    assert found.gaps == (Gap(0, 3, 30_000, is_exact=True),)
    assert found.value_milliwh[3] == 10_000
    assert rules(found) == ["readings.rollover"]


def test_a_rollover_between_two_reads_is_flagged() -> None:
    found = derive([meter(modulus=1000)], {1: reads((0, 990), (15, 995), (30, 5), (45, 6), (60, 7))})
    assert found.value_milliwh.tolist() == [5_000, 10_000, 1_000, 1_000]
    assert found.flags.tolist() == [0, Flag.ROLLOVER, 0, 0]


def test_a_gap_in_which_the_register_may_have_gone_round_twice_is_said() -> None:
    found = derive([meter(modulus=10**4)], {1: reads((0, 9_990), (60, 20))})
    assert rules(found) == ["readings.rollover", "readings.rollover-ambiguous"]
    assert found.findings[1].evidence == {"register_modulus": 10**4, "advance": 30, "advance_max": 100_001}
    assert found.gaps == (Gap(0, 4, 30_000, is_exact=False),)


def test_a_decrease_that_is_no_rollover_is_refused() -> None:
    found = derive([meter()], {1: reads((0, 100), (15, 110), (30, 90), (45, 160), (60, 200))})
    assert rules(found) == ["readings.register-backwards"]
    assert found.gaps == (Gap(1, 3, 50_000, is_exact=True),)
    assert found.value_milliwh[found.provenance > 0].tolist() == [10_000, 40_000]


def test_an_impossible_jump_is_refused() -> None:
    found = derive([meter()], {1: reads((0, 100), (15, 110), (30, 9_000_000), (45, 160), (60, 200))})
    assert rules(found) == ["readings.jump"]
    assert found.findings[0].evidence["previous_value"] == 110
    assert found.gaps == (Gap(1, 3, 50_000, is_exact=True),)


def test_more_than_64_bits_is_no_limit_that_wraps_around() -> None:
    zero, ten = (np.array([value], dtype=np.int64) for value in (0, 10))
    assert register_advance(zero, ten, None, np.array([2**62], dtype=np.int64)).tolist() == [10]


def test_a_reset_register_starts_a_new_line_and_invents_nothing() -> None:
    found = derive([meter()], {1: reads((0, 50_000), (15, 50_010), (30, 3), (45, 8), (60, 20))})
    assert rules(found) == ["readings.register-backwards"]
    assert found.gaps == (Gap(1, 2, None, is_exact=False),)
    assert found.value_milliwh.tolist() == [10_000, 0, 5_000, 12_000]


def test_garbage_is_refused_in_bounded_time() -> None:
    chance = Random(1)
    rows = reads(*((15 * i, chance.randrange(10**8)) for i in range(2001)))
    found = derive([meter()], {1: rows}, quarters=2000)
    assert (found.value_milliwh <= 25_001_000).all()
    assert sum(int(finding.evidence["read_count"]) for finding in found.findings) > 1900


def test_values_that_the_register_cannot_show_are_refused() -> None:
    found = derive([meter(modulus=10**5)], {1: reads((0, 1), (15, 10**5), (30, -1), (45, 7), (60, 8))})
    assert rules(found) == ["readings.out-of-range"] * 2
    assert found.gaps == (Gap(0, 3, 6_000, is_exact=True),)


def test_an_exchange_read_on_both_sides_is_exact() -> None:
    old = reads((0, 100), (7, 104, Source.FIELD))
    new = reads((7, 5000, Source.FIELD), (15, 5003), (30, 5004), (45, 5005), (60, 5006))
    cut_s = minute(7)
    found = derive([meter(1, 0, cut_s), meter(2, cut_s)], {1: old, 2: new})
    assert found.value_milliwh.tolist() == [7_000, 1_000, 1_000, 1_000]
    assert set(found.provenance.tolist()) == {Provenance.MEASURED}
    assert found.method.tolist() == [Method.EXCHANGE, 0, 0, 0]
    assert not found.findings


def test_a_gap_across_an_exchange_is_bracketed_by_both_meters() -> None:
    old = reads((0, 100), (37, 104, Source.FIELD))
    new = reads((37, 5000, Source.FIELD), (60, 5006))
    found = derive([meter(1, 0, minute(37)), meter(2, minute(37))], {1: old, 2: new})
    assert found.gaps == (Gap(0, 4, 10_000, is_exact=True, cuts=((37 * 60, 4_000),)),)


def test_an_exchange_nobody_read_breaks_the_line() -> None:
    found = derive(
        [meter(1, 0, minute(7)), meter(2, minute(7))],
        {1: reads((0, 100)), 2: reads((15, 5003), (30, 5004), (45, 5005), (60, 5006))},
    )
    assert rules(found) == ["readings.exchange-read-missing"]
    assert found.gaps == (Gap(0, 1, None, is_exact=False),)


def test_reads_beside_the_exchange_make_an_estimate() -> None:
    old, new = reads((0, 100), (6, 104, Source.FIELD)), reads((8, 7), (15, 9), (30, 9), (45, 9), (60, 9))
    found = derive([meter(1, 0, minute(7)), meter(2, minute(7))], {1: old, 2: new})
    assert rules(found) == ["readings.exchange-read-missing"]
    assert found.value_milliwh[0] == 6_000
    assert found.provenance.tolist() == [Provenance.ESTIMATED, 1, 1, 1]


def test_without_a_meter_there_is_nothing_to_measure() -> None:
    old = reads((0, 100), (7, 104, Source.FIELD))
    new = reads((52, 0, Source.FIELD), (60, 6))
    found = derive([meter(1, 0, minute(7)), meter(2, minute(52))], {1: old, 2: new})
    assert found.is_installed.tolist() == [True, False, False, True]
    assert found.provenance.tolist() == [1, 0, 0, 1]
    assert found.value_milliwh.tolist() == [4_000, 0, 0, 6_000]
    assert not found.gaps


def test_an_installed_meter_without_reads_is_a_gap_not_a_hole() -> None:
    first, third = reads((0, 100), (15, 104, Source.FIELD)), reads((45, 0, Source.FIELD), (60, 6))
    found = derive(
        [meter(1, 0, minute(15)), meter(2, minute(15), minute(45)), meter(3, minute(45))],
        {1: first, 3: third},
    )
    assert found.gaps == (Gap(1, 3, None, is_exact=False),)
    assert found.value_milliwh.tolist() == [4_000, 0, 0, 6_000]


def changed_at(at: int) -> tuple[MultiplierPeriod, ...]:
    return (MultiplierPeriod(0, minute(at), Fraction(20)), MultiplierPeriod(minute(at), None, Fraction(40)))


def test_a_multiplier_change_with_a_read_is_exact() -> None:
    rows = reads((0, 100), (15, 101), (22, 103, Source.FIELD), (30, 104), (45, 105), (60, 106))
    found = derive([meter(multipliers=changed_at(22))], {1: rows}, power_max_w=10**6)
    assert found.value_milliwh.tolist() == [20_000, 2 * 20_000 + 40_000, 40_000, 40_000]
    assert found.method.tolist() == [0, Method.EXCHANGE, 0, 0]
    assert set(found.provenance.tolist()) == {Provenance.MEASURED}


def test_a_multiplier_change_on_the_grid_cuts_nothing() -> None:
    found = derive([meter(multipliers=changed_at(30))], {1: FULL}, power_max_w=10**7)
    assert found.value_milliwh.tolist() == [200_000, 400_000, 1_200_000, 1_600_000]
    assert found.method.tolist() == [0, 0, 0, 0]


def test_a_multiplier_change_without_a_read_is_interpolated_and_said() -> None:
    rows = reads((0, 100), (15, 115), (30, 130), (45, 145), (60, 160))
    found = derive([meter(multipliers=changed_at(20))], {1: rows}, power_max_w=10**6)
    assert rules(found) == ["readings.multiplier-read-missing"]
    assert found.value_milliwh.tolist() == [300_000, 5 * 20_000 + 10 * 40_000, 600_000, 600_000]
    assert found.provenance.tolist() == [1, Provenance.ESTIMATED, 1, 1]


def test_a_multiplier_change_in_a_gap_makes_its_energy_an_estimate() -> None:
    found = derive([meter(multipliers=changed_at(20))], {1: reads((0, 100), (60, 160))}, power_max_w=10**6)
    assert found.gaps == (Gap(0, 1, 300_000, is_exact=False),) or not found.gaps[0].is_exact
    assert sum(gap.energy_milliwh or 0 for gap in found.gaps) == 20 * 20_000 + 40 * 40_000


def test_conflicting_reads_are_decided_by_rule_and_reported() -> None:
    rows = reads(
        (0, 100),
        (15, 111),
        (15, 110, Source.FILE),
        (30, 130),
        (30, 129, Source.FIELD, Flag.SUSPECT),
        (45, 160),
        (45, 160),
        (60, 200),
    )
    found = derive([meter()], {1: rows})
    assert found.value_milliwh.tolist() == [10_000, 20_000, 30_000, 40_000]
    assert rules(found) == ["readings.conflict"] * 2
    assert found.findings[0].evidence == {
        "kept_value": 110,
        "kept_source": Source.FILE,
        "lost_value": 111,
        "lost_source": Source.PROFILE,
    }


def test_flags_stay_with_their_intervals() -> None:
    rows = reads(
        (0, 100),
        (15, 110, Source.PROFILE, Flag.CLOCK_INVALID),
        (30, 130, Source.PROFILE, Flag.POWER_LOST),
        (45, 160),
        (60, 200),
    )
    found = derive([meter()], {1: rows})
    assert found.flags.tolist() == [Flag.CLOCK_INVALID, Flag.CLOCK_INVALID | Flag.POWER_LOST, 0, 0]
    assert set(found.provenance.tolist()) == {Provenance.MEASURED}


def test_live_reads_count_only_away_from_stored_ones() -> None:
    live = [(at, 100 + at, Source.LIVE) for at in (0, 15, 30, 45, 60)]
    assert set(derive([meter()], {1: reads(*live)}).provenance.tolist()) == {Provenance.MEASURED}
    mixed = derive([meter()], {1: reads((0, 100), (5, 90, Source.LIVE), (15, 115), (16, 3, Source.LIVE))})
    assert not mixed.findings
    assert mixed.gaps == (Gap(1, 4, None, is_exact=False),)


def test_a_device_polled_off_the_grid_is_interpolated_and_conserves() -> None:
    live = [(at, 1000 + 10 * at, Source.LIVE) for at in range(-3, 70, 10)]
    found = derive([meter()], {1: reads(*live)})
    assert set(found.provenance.tolist()) == {Provenance.ESTIMATED}
    assert found.value_milliwh.tolist() == [150_000] * 4


DAY_MIN = 24 * 60


@pytest.mark.parametrize("apart_min", [16, 20, 60, 601, DAY_MIN, DAY_MIN + 1])
def test_each_read_beside_the_grid_begins_and_ends_what_lies_between(apart_min: int) -> None:
    """A straight line leads from each read to the boundary beside it; nothing is lost or counted twice."""
    at = [7 + apart_min * number for number in range(2 * DAY_MIN // apart_min + 1)]
    rows = reads(*((minutes, 100 + 2 * minutes, Source.FIELD) for minutes in at))
    found = derive([meter()], {1: rows}, quarters=2 * DAY_MIN // 15 + 2, power_max_w=10**6)
    beside = sorted({bound for each in at for bound in (each // 15 * 15, each // 15 * 15 + 15)})
    assert (found.position_chain[[bound // 15 for bound in beside[1:-1]]] == 0).all()
    inner = [gap for gap in found.gaps if gap.first_index > 0 and gap.end_index < len(found)]
    assert all(gap.energy_milliwh == 2000 * 15 * (gap.end_index - gap.first_index) for gap in inner)
    is_known = found.provenance != Provenance.MISSING
    assert (found.value_milliwh[is_known] == 2000 * 15).all()
    assert set(found.method[is_known].tolist()) <= {Method.LINEAR}
    assert is_known.any() == (len(at) > 2)
    assert not any(gap.is_exact for gap in found.gaps)


def test_reads_of_an_exchange_leave_to_the_grid_what_the_grid_knows_exactly() -> None:
    old, new = meter(ends_at_s=minute(67)), meter(2, starts_at_s=minute(67))
    own = {1: reads((0, 100), (15, 115), (67, 200, Source.FIELD)), 2: reads((67, 7, Source.FIELD), (150, 90))}
    found = derive([old, new], own, quarters=10)
    cuts = ((52 * 60, 85_000),)
    assert found.gaps == (Gap(1, 10, (85 + 83) * 1000, is_exact=True, cuts=cuts),)


def test_the_newest_live_read_brackets_an_open_gap() -> None:
    found = derive([meter()], {1: reads((0, 100), (50, 150, Source.LIVE))})
    assert found.gaps == (Gap(0, 3, 45_000, is_exact=False), Gap(3, 4, None, is_exact=False))


def test_a_fractional_step_is_never_rounded_twice() -> None:
    step_milliwh = Fraction(10**6, 3000)
    rows = reads(*((15 * i, 7 * i) for i in range(97)))
    found = derive([meter(step_milliwh=step_milliwh)], {1: rows}, quarters=96)
    assert int(found.value_milliwh.sum()) == int(7 * 96 * step_milliwh)
    late = derive_intervals(
        installations=[meter(step_milliwh=step_milliwh)],
        reads={1: rows},
        from_s=minute(15 * 50),
        to_s=minute(15 * 96),
        interval_s=QUARTER_S,
        power_max_w=10**5,
    )
    np.testing.assert_array_equal(late.value_milliwh, found.value_milliwh[50:])
