"""A slow meter among right ones, judged every few days: how soon it is found, and that no other is."""

import numpy as np
import pytest

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.accuracy import (
    WHOLE,
    Comparison,
    MeterClass,
    Verdict,
    compare_meters,
    compare_whole,
    find_inaccurate,
)

WH = 1000
A_DAY, WINDOW_DAYS, STEP_S = 96, 30, 900
BASE_W = 1150  # 5 A at 230 V
FOUND_WITHIN_DAYS = 3


def household(draw: np.random.Generator, days: int) -> np.ndarray:
    """Return a home's true energy by quarters of an hour, Wh: a base load, evenings, a kettle."""
    hour = np.arange(days * A_DAY) % A_DAY / 4
    base = draw.uniform(30, 150)
    evening = draw.uniform(200, 900) * np.exp(-((hour - 19.5) ** 2) / 6)
    kettle = 2000 * (draw.random(days * A_DAY) < 0.02)
    power_w: np.ndarray = (base + evening + kettle) * draw.uniform(0.7, 1.3, days * A_DAY)
    return power_w / 4


def metered(true_wh: np.ndarray, error_ppm: float, step_wh: int) -> Int64s:
    """Return what a register of whole steps shows of it, milliwatt-hours an interval."""
    position = np.floor(np.cumsum(true_wh) * (1 + error_ppm / 1e6) / step_wh) * step_wh
    return np.diff(np.concatenate(([0], position))).astype(np.int64) * WH


def judged(
    main: Int64s, references: Int64s, *, main_step_wh: int, step_wh: int, classes: tuple[str, str]
) -> list[Comparison]:
    """Return every comparison that the report makes of a window."""
    asked = {
        "main_milliwh": main,
        "reference_milliwh": references,
        "is_both": np.ones(len(main), dtype=np.bool_),
        "interval_s": STEP_S,
        "main": MeterClass(classes[0], BASE_W, main_step_wh * WH),
        "references": tuple(MeterClass(classes[1], BASE_W, step_wh * WH) for _ in references),
    }
    whole = compare_whole(**asked)
    assert whole is not None
    return [whole, *compare_meters(**asked)]


@pytest.mark.parametrize(("main_step_wh", "step_wh"), [(10, 10), (10, 1), (1, 10), (100, 10)])
def test_meters_within_their_class_are_never_called_wrong(main_step_wh: int, step_wh: int) -> None:
    """Thirty right meters, judged ten times over a month by every band: no false finding in 300 reports."""
    draw = np.random.default_rng(main_step_wh * 100 + step_wh)
    reports_count = 0
    for _ in range(30):
        true_wh = household(draw, WINDOW_DAYS)
        main = metered(true_wh, draw.uniform(-9500, 9500), main_step_wh)
        check = metered(true_wh, draw.uniform(-4500, 4500), step_wh)
        for days in range(3, WINDOW_DAYS + 1, 3):
            own = slice(0, days * A_DAY)
            said = judged(
                main[own], check[None, own], main_step_wh=main_step_wh, step_wh=step_wh, classes=("1", "0.5S")
            )
            reports_count += 1
            assert not find_inaccurate(tuple(said), series_id=1, starts_at_s=0, ends_at_s=1)
    assert reports_count == 300


def days_until_found(error_ppm: int, seed: int) -> int | None:
    """Return after how many days a meter with this error is found, None within a month."""
    draw = np.random.default_rng(seed)
    true_wh = household(draw, WINDOW_DAYS)
    main, check = metered(true_wh, error_ppm, 10), metered(true_wh, 0, 10)
    for days in range(1, WINDOW_DAYS + 1):
        own = slice(0, days * A_DAY)
        said = judged(main[own], check[None, own], main_step_wh=10, step_wh=10, classes=("1", "0.5S"))
        if any(each.verdict is Verdict.OUTSIDE for each in said):
            return days
    return None


def test_three_per_cent_slow_is_found_within_three_days() -> None:
    found = [days_until_found(-30_000, seed) for seed in range(30)]
    assert all(days is not None and days <= FOUND_WITHIN_DAYS for days in found), found
    assert days_until_found(0, 3) is None


def test_the_sum_of_sub_meters_finds_a_wrong_main_meter() -> None:
    draw = np.random.default_rng(5)
    homes = [household(draw, 10) for _ in range(8)]
    subs = np.stack([metered(home, draw.uniform(-9000, 9000), 10) for home in homes])
    total_wh = np.sum(homes, axis=0)
    for error_ppm, expected in ((-60_000, True), (2_000, False)):
        main = metered(total_wh, error_ppm, 100)
        said = judged(main, subs, main_step_wh=100, step_wh=10, classes=("0.5S", "1"))
        assert any(each.verdict is Verdict.OUTSIDE for each in said) is expected


@pytest.mark.parametrize("factor", [0, 0.001, 0.04])
@pytest.mark.parametrize("is_main", [True, False])
@pytest.mark.parametrize("steps_wh", [(1, 10), (10, 10), (10, 1)])
def test_a_meter_that_hardly_counts_is_wrong_and_no_lack_of_load(
    factor: float, steps_wh: tuple[int, int], *, is_main: bool
) -> None:
    """Whichever of the two it is, and whichever has the finer steps, by which bands of load are told."""
    true_wh = household(np.random.default_rng(7), 10)
    factors = (factor, 1) if is_main else (1, factor)
    main, check = (
        metered(true_wh, (own - 1) * 1e6, step_wh) for own, step_wh in zip(factors, steps_wh, strict=True)
    )
    own = {"main_step_wh": steps_wh[0], "step_wh": steps_wh[1]}
    whole, *_ = judged(main, check[None], **own, classes=("1", "0.5S"))
    assert whole.verdict is Verdict.OUTSIDE
    assert factor or abs(whole.error_ppm) == 10**6  # of the other one, where either stands still


def test_steps_alone_are_no_load() -> None:
    """A few watts that a register of 100 Wh shows as 400 W now and then: a class promises nothing."""
    true_wh = np.full(30 * A_DAY, 2.0)
    main, check = metered(true_wh, 0, 1), metered(true_wh, 0, 100)
    for given in ((main, check, 1, 100), (check, main, 100, 1)):
        own = {"main_step_wh": given[2], "step_wh": given[3]}
        whole, *_ = judged(given[0], given[1][None], **own, classes=("1", "0.5S"))
        assert whole.verdict is Verdict.NO_LOAD


def test_all_loads_together_decide_first_and_no_load_says_nothing() -> None:
    main = np.full(96, 250 * WH)
    said = judged(main, main[None] * 100 // 104, main_step_wh=10, step_wh=10, classes=("1", "0.5S"))
    assert (said[0].load_permille, said[0].verdict, said[0].interval_count) == (WHOLE, Verdict.OUTSIDE, 96)
    idle = judged(np.full(96, WH), np.full((1, 96), WH), main_step_wh=1, step_wh=1, classes=("1", "0.5S"))
    assert {each.verdict for each in idle} == {Verdict.NO_LOAD}
    asked = {"interval_s": STEP_S, "main": MeterClass("1", BASE_W, WH), "references": ()}
    nothing = np.zeros(4, dtype=np.int64)
    assert (
        compare_whole(
            main_milliwh=nothing,
            reference_milliwh=nothing[None],
            is_both=np.zeros(4, dtype=np.bool_),
            **asked,
        )
        is None
    )
