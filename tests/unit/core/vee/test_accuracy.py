"""Main against check meter: what the limits and the steps of both allow to be said."""

from dataclasses import replace

import numpy as np
import pytest

from wattkeeper.core.vee.accuracy import (
    LIMITS,
    WHOLE,
    Comparison,
    MeterClass,
    UnableToJudge,
    Verdict,
    compare_meters,
    find_inaccurate,
    get_limits,
)

WH = 1000
BASE_W = 1150  # 5 A at 230 V


def compare(
    load_w: int,
    error_ppm: int,
    *,
    hours: int = 1000,
    step_wh: int = 1,
    classes: tuple[str, ...] = ("1", "0.5S"),
    loss_ppm: int = 0,
) -> tuple[Comparison, ...]:
    """Return what is said of a meter with a constant error, over hours of constant load."""
    position = np.floor(np.arange(hours + 1) * load_w * (1 + error_ppm / 1e6) / step_wh) * step_wh * WH
    truth = np.floor(np.arange(hours + 1) * load_w / step_wh) * step_wh * WH
    count = len(classes) - 1
    return compare_meters(
        main_milliwh=np.diff(position).astype(np.int64),
        reference_milliwh=np.tile(np.diff(truth).astype(np.int64) // count, (count, 1)),
        is_both=np.ones(hours, dtype=np.bool_),
        interval_s=3600,
        main=MeterClass(classes[0], BASE_W, step_wh * WH),
        references=tuple(MeterClass(each, BASE_W, step_wh * WH) for each in classes[1:]),
        loss_ppm=loss_ppm,
    )


@pytest.mark.parametrize(
    ("error_ppm", "verdict"),
    [
        (0, Verdict.WITHIN),
        (14_000, Verdict.WITHIN),
        (-14_000, Verdict.WITHIN),
        (16_000, Verdict.OUTSIDE),
        (-16_000, Verdict.OUTSIDE),
        (15_000, Verdict.UNDECIDED),
    ],
)
def test_the_limit_is_that_of_both_classes_together(error_ppm: int, verdict: Verdict) -> None:
    (found,) = compare(1000, error_ppm)
    assert (found.verdict, found.limit_ppm) == (verdict, 15_000)
    assert found.error_ppm == pytest.approx(error_ppm, abs=found.uncertainty_ppm)


def test_a_low_load_has_a_wider_limit_and_none_has_none() -> None:
    (low,) = compare(100, 17_000, hours=2000)
    assert (low.load_permille, low.limit_ppm, low.verdict) == (50, 20_000, Verdict.WITHIN)
    (tiny,) = compare(20, 500_000, hours=2000)
    assert (tiny.verdict, tiny.confidence_ppm) == (Verdict.NO_LOAD, 0)


def test_few_steps_decide_nothing_and_many_do() -> None:
    (few,) = compare(1000, 25_000, hours=10, step_wh=100)
    assert (few.verdict, few.steps_count) == (Verdict.UNDECIDED, 100)
    assert few.uncertainty_ppm == 20_000  # a step of two registers of 100 Wh in 10 kWh
    (many,) = compare(1000, 25_000, hours=2000, step_wh=100)
    assert (many.verdict, many.confidence_ppm) == (Verdict.OUTSIDE, 10**6)


def test_sub_meters_are_summed_and_may_lose_something() -> None:
    (found,) = compare(1000, 18_000, classes=("0.5S", "1", "1", "2"))
    assert found.limit_ppm == 30_000  # class 2 promises 2.5 % where 0.5S begins to promise 0.5 %
    (lossy,) = compare(1000, 28_000, classes=("0.5S", "1", "1", "2"), loss_ppm=10_000)
    assert lossy.verdict is Verdict.WITHIN


def test_only_what_both_measured_is_compared() -> None:
    main = np.full(100, 1000 * WH)
    both = np.ones(100, dtype=np.bool_)
    main[50], both[50] = 0, False
    (found,) = compare_meters(
        main_milliwh=main,
        reference_milliwh=np.full((1, 100), 1000 * WH),
        is_both=both,
        interval_s=3600,
        main=MeterClass("1", BASE_W, WH),
        references=(MeterClass("0.5S", BASE_W, WH),),
    )
    assert (found.error_ppm, found.interval_count, found.verdict) == (0, 99, Verdict.WITHIN)


def test_the_worst_band_becomes_a_finding() -> None:
    bad = compare(1000, 30_000) + compare(100, 40_000, hours=2000)
    (found,) = find_inaccurate(bad, series_id=4, starts_at_s=0, ends_at_s=3600)
    assert (found.rule, found.series_id, found.evidence["load_permille"]) == ("vee.accuracy", 4, 50)
    assert not find_inaccurate(compare(1000, 0), series_id=4, starts_at_s=0, ends_at_s=3600)


def test_over_all_loads_a_finding_names_no_load() -> None:
    whole = tuple(replace(each, load_permille=WHOLE) for each in compare(1000, 30_000))
    (found,) = find_inaccurate(whole, series_id=4, starts_at_s=0, ends_at_s=3600)
    assert "load_permille" not in found.evidence


def test_classes_are_strict_where_load_is_high() -> None:
    for name in LIMITS:
        limits = get_limits(name)
        assert [each.load_permille for each in limits] == sorted(each.load_permille for each in limits)
        assert limits[0].error_ppm > limits[-1].error_ppm
    with pytest.raises(UnableToJudge):
        get_limits("9")


def test_a_meter_in_its_class_is_hardly_ever_called_outside() -> None:
    """Drawn loads and errors within the class, coarse steps: no verdict of OUTSIDE in 300 comparisons."""
    draw = np.random.default_rng(2)
    for _ in range(300):
        load = draw.uniform(0.1, 3, 500) * BASE_W
        error = draw.uniform(-0.01, 0.01)
        step = 100 * WH
        positions = [np.concatenate(([0], np.cumsum(load * factor * WH))) for factor in (1 + error, 1.0)]
        energy = [np.diff(np.floor(position / step) * step).astype(np.int64) for position in positions]
        found = compare_meters(
            main_milliwh=energy[0],
            reference_milliwh=energy[1][np.newaxis],
            is_both=np.ones(500, dtype=np.bool_),
            interval_s=3600,
            main=MeterClass("1", BASE_W, step),
            references=(MeterClass("0.5S", BASE_W, step),),
        )
        assert Verdict.OUTSIDE not in {each.verdict for each in found if each.load_permille >= 100}
