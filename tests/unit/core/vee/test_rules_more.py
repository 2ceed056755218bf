"""Periods against periods, phases against each other, deliveries against what is registered."""

from typing import Any

import numpy as np
import pytest

from unit.core.vee.energy_tables import DAY, DAY_S, bounds, nowhere, table
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.vee.formula import InvalidFormula, parse_formula
from wattkeeper.core.vee.rules import find_jumps
from wattkeeper.core.vee.rules_delivery import (
    Deliveries,
    find_device_faults,
    find_doubtful_replacements,
    find_repeats,
    find_wrong_identities,
    find_wrong_multipliers,
    find_wrong_units,
)
from wattkeeper.core.vee.rules_electric import find_feeder_imbalances, find_reactive_without_active
from wattkeeper.core.vee.rules_periods import (
    STATISTIC_NAMES,
    find_high_low_usage,
    find_odd_statistics,
    find_peak_changes,
)
from wattkeeper.core.vee.rules_sums import find_daily_sum_mismatches

ONE = np.array([1])


def test_a_jump_is_large_against_the_interval_before_and_the_service() -> None:
    energy = table([[10, 10, 200, 190, 10]])
    day: dict[str, Any] = {"day_bounds_s": np.array([0, DAY_S]), "power_max_w": np.array([0])}
    found = find_jumps(energy, **day)
    assert [(f.starts_at_s // 900, f.evidence["before_milliwh"]) for f in found] == [(2, 10)]
    assert not find_jumps(energy, **{**day, "power_max_w": np.array([10**6])})
    assert not find_jumps(energy, **{**day, "day_bounds_s": np.array([0, 1800])})
    energy.is_present[0, 1] = False
    assert not find_jumps(energy, **day)


def low(reference: int, **changed: Any) -> list[str]:
    days = table([[100] * 30], interval_s=DAY_S)
    given: dict[str, Any] = {
        "reference_milliwh": np.array([reference]),
        "reference_s": np.array([30 * DAY_S]),
        "reference_estimated_milliwh": np.array([0]),
    }
    return [found.rule for found in find_high_low_usage(days, **(given | changed))]


def test_usage_is_compared_by_day_and_both_ways() -> None:
    assert low(6001) == ["vee.low-usage"]
    assert low(6000) == []
    assert low(2000) == []
    assert low(1999) == ["vee.high-usage"]
    assert low(0) == []
    assert low(6001, reference_s=np.array([60 * DAY_S])) == []


def test_a_higher_peak_is_found_against_the_one_before() -> None:
    energy = table([[1, 31, 1], [1, 30, 1]])
    found = find_peak_changes(energy, reference_peak_milliwh=np.array([10, 10]))
    assert [(f.series_id, f.starts_at_s) for f in found] == [(0, 900)]


def test_a_formula_judges_each_day() -> None:
    energy = table([[10] * DAY + [10] * 95 + [500]])
    formulas = (
        parse_formula("max < 3 * mean and not zero_count > 20", STATISTIC_NAMES),
        parse_formula("sum / previous_sum < 2", STATISTIC_NAMES),
    )
    found = find_odd_statistics(
        energy, day_bounds_s=bounds(2), is_excused=nowhere((1, 2 * DAY)), formulas=formulas
    )
    assert [(f.evidence["formula"], f.starts_at_s // DAY_S) for f in found] == [(formulas[0].text, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "max.real",
        "max[0]",
        "(lambda: 1)()",
        "max if 1 else 2",
        "'a' * 9",
        "2 ** 99",
        "max <",
        "nothing > 1",
        "max is min",
        "True",
        "max " + "+ max " * 200,
        "-" * 60 + "max",
        "max < 1" + "0" * 400,
        "max < 1e999",
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InvalidFormula):
        parse_formula(text, STATISTIC_NAMES)


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        ("(max > 1) + (max > 2) == 2", True),
        ("-(max > 1) < 0", True),
        ("(max > 1) - 1", False),
        ("not 3", False),
    ],
)
def test_what_is_true_counts_one(text: str, is_true: bool) -> None:
    assert bool(parse_formula(text, STATISTIC_NAMES).holds({"max": np.array([3.0])}).all()) is is_true


def test_a_day_names_every_formula_that_does_not_hold() -> None:
    formulas = tuple(parse_formula(text, STATISTIC_NAMES) for text in ("max < 5", "min > 0", "sum > 1"))
    given = {"day_bounds_s": bounds(1), "is_excused": nowhere((1, DAY))}
    (found,) = find_odd_statistics(table([[0] + [9] * 95]), formulas=formulas, **given)
    assert found.evidence["formula"] == "max < 5; min > 0"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("max / mean < 2", [True, False]),
        ("max", [False, True]),
        ("sum / mean < 2", [True, True]),  # five divided by nothing
        ("not max / mean > 2", [True, False]),
        ("max / mean > 2 and sum < 5", [False, True]),
        ("max / mean > 4 or sum > 5", [True, False]),
        ("not (max / mean > 4 or sum > 5)", [True, True]),
        ("0 < max / mean < 2", [True, False]),
    ],
)
def test_a_division_by_zero_shows_nothing_wrong(text: str, holds: list[bool]) -> None:
    named = {"max": np.array([0.0, 3.0]), "mean": np.array([0.0, 1.0]), "sum": np.array([5.0, 1.5])}
    assert parse_formula(text, STATISTIC_NAMES).holds(named).tolist() == holds


def test_a_poor_power_factor_counts_by_day() -> None:
    active = table([[1000] * DAY])
    given: dict[str, Any] = {"day_bounds_s": bounds(1), "power_max_w": np.array([10])}
    found = find_reactive_without_active(active, reactive_millivarh=np.full((1, DAY), 3181), **given)
    assert [f.rule for f in found] == ["vee.power-factor"]
    assert not find_reactive_without_active(active, reactive_millivarh=np.full((1, DAY), 3179), **given)


def test_a_feeder_balances_with_its_meters_and_its_loss() -> None:
    energy = table(np.full((3, 2 * DAY), 100))
    feeder = np.full((1, 2 * DAY), 210)
    feeder[0, DAY:] = 300
    given: dict[str, Any] = {
        "day_bounds_s": bounds(2),
        "feeder_index": np.array([0, 0, -1]),
        "feeder_milliwh": feeder,
        "feeder_series_id": np.array([77]),
        "loss_milliwh": np.full((1, 2), 5 * DAY),
        "is_partly_metered": np.zeros((1, 2), dtype=np.bool_),
    }
    found = find_feeder_imbalances(energy, **given)
    assert [(f.series_id, f.starts_at_s // DAY_S, f.evidence["difference_milliwh"]) for f in found] == [
        (77, 1, 95 * DAY)
    ]
    assert not find_feeder_imbalances(energy, **(given | {"is_partly_metered": np.ones((1, 2), np.bool_)}))
    energy.is_present[0, DAY] = False
    assert not find_feeder_imbalances(energy, **given)


def reads(
    channel: list[int], at_s: list[int], value: list[int], flags: list[int] | None = None
) -> Deliveries:
    return Deliveries(*(np.array(each) for each in (channel, at_s, value, flags or [0] * len(value))))


def test_repeats_are_dropped_and_other_values_kept() -> None:
    kept, found = find_repeats(reads([1, 1, 1, 2, 1], [5, 5, 5, 5, 6], [9, 9, 8, 9, 9]))
    assert kept.tolist() == [True, False, True, True, True]
    assert [(f.channel_id, f.evidence) for f in found] == [(1, {"read_count": 1})]


def test_another_meter_is_named() -> None:
    found = find_wrong_identities(
        reads([1, 1, 2], [5, 6, 5], [0, 0, 0]),
        expected=np.array(["A", "A", "B"]),
        answered=np.array(["A", "X", ""]),
    )
    assert [(f.channel_id, f.starts_at_s, f.evidence["answered"]) for f in found] == [(1, 6, "X")]


def test_a_device_that_doubts_itself_is_one_finding_a_run() -> None:
    bad = int(Flag.CLOCK_INVALID)
    found = find_device_faults(reads([1] * 5, [1, 2, 3, 4, 5], [0] * 5, [0, bad, bad, 0, int(Flag.SUSPECT)]))
    assert [(f.starts_at_s, f.evidence["read_count"]) for f in found] == [(2, 2), (5, 1)]


def test_multipliers_are_compared_as_fractions() -> None:
    found = find_wrong_multipliers(
        reads([1, 2, 3], [1, 1, 1], [0, 0, 0]),
        told_numerator=np.array([40, 40, 0]),
        told_denominator=np.array([1, 1, 0]),
        known_numerator=np.array([80, 30, 1]),
        known_denominator=np.array([2, 1, 1]),
    )
    assert [(f.channel_id, f.evidence["told"], f.evidence["known"]) for f in found] == [(2, "40/1", "30/1")]


def test_units_are_compared_where_they_are_told() -> None:
    told, known = np.array(["kWh", "", "Wh"]), np.array(["kWh", "kWh", "kWh"])
    found = find_wrong_units(reads([1, 2, 3], [1, 1, 1], [0, 0, 0]), told=told, known=known)
    assert [f.channel_id for f in found] == [3]


def test_a_replacement_needs_rank_or_closeness() -> None:
    measured, estimated, edited = (
        int(p) for p in (Provenance.MEASURED, Provenance.ESTIMATED, Provenance.EDITED)
    )
    taken, found = find_doubtful_replacements(
        reads([1] * 6, [1, 2, 3, 4, 5, 6], [105, 120, 50, 100, 70, 9]),
        old_value=np.array([100, 100, 99, 100, 100, 100]),
        old_provenance=np.array([measured, measured, estimated, edited, edited, measured]),
        old_flags=np.zeros(6, dtype=np.int64),
        new_provenance=np.array([measured] * 5 + [estimated]),
    )
    assert taken.tolist() == [True, False, True, True, False, False]
    assert [f.starts_at_s for f in found] == [2, 5]


def sums(energy: list[int], advance: int, **changed: Any) -> list[tuple[str, int]]:
    whole = table([energy])
    given: dict[str, Any] = {
        "day_bounds_s": np.array([0, 900 * len(energy)]),
        "register_milliwh": np.array([[50, 50 + advance]]),
        "register_chain": np.array([[0, 0]]),
        "is_filled": np.ones((1, len(energy)), dtype=np.bool_),
        "resolution_milliwh": np.array([10]),
    }
    found = find_daily_sum_mismatches(whole, **(given | changed))
    return [(f.rule, int(f.evidence["advance_milliwh"]) - int(f.evidence["sum_milliwh"])) for f in found]


def test_sums_and_registers_agree_within_a_step() -> None:
    assert sums([100, 100], 210) == []
    assert sums([100, 100], 211) == [("vee.sum-check", 11)]
    assert sums([100_000, 100_000], 200_011) == [("vee.sum-check", 11)]
    assert sums([100_000, 100_000], 200_210, sum_permille=1) == []
    assert sums([100, 100], 211, register_chain=np.array([[0, 1]])) == []
    assert sums([100, 100], 211, register_chain=np.array([[-1, -1]])) == []


def test_a_day_that_is_not_whole_fails_only_where_it_holds_too_much() -> None:
    holes = np.array([[True, False]])
    assert sums([100, 0], 300, is_filled=holes) == []
    assert sums([100, 0], 80, is_filled=holes) == [("vee.negative-gap", -20)]
