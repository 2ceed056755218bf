"""Properties every bill has, and an oracle in plain fractions that walks milliwatt-hour by interval."""

import itertools
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.billing import cells
from wattkeeper.core.billing.document import BillDocument

DAY = ("2026-03-02", "2026-03-03")  # a Monday
hourly = st.lists(st.integers(0, 3_000_000), min_size=24, max_size=24)
modes = st.sampled_from(["pro_rata", "time_order", "per_period"])
FIXED = {"id": "standing", "kind": "fixed", "price": "0.4567", "per": "day"}
few = settings(max_examples=40, deadline=None)


def tiers(mode: str, counter: str = "year") -> dict[str, Any]:
    """Return a ladder with limits at 3 and 9 kWh."""
    return {
        "mode": mode,
        "counter": counter,
        "limits_kwh": ["3", "9"],
        "adders_per_kwh": ["0", "0.05", "0.3"],
    }


def energy_amount(bill: BillDocument) -> Fraction:
    """Return the exact amount of the energy lines."""
    return sum((line.amount for line in bill.lines if line.component_id == "energy"), Fraction(0))


@given(hourly, modes, st.integers(0, 12_000_000))
@few
def test_lines_add_up_to_the_energy(make: SimpleNamespace, rows: list[int], mode: str, used: int) -> None:
    tariff = make.tariff(make.tou("0.568", "0.288", tiers=tiers(mode)))
    by_rate = {"peak": used // 3, "valley": used - used // 3}
    bill = make.bill(
        tariff, make.period(*DAY), rows, tier_used_milliwh=used, tier_used_by_rate_milliwh=by_rate
    )
    assert sum(line.quantity_milliwh for line in bill.lines) == sum(rows)
    peak = sum(line.quantity_milliwh for line in bill.lines if line.rate_code == "peak")
    assert peak == sum(rows[8:22])
    assert all(line.quantity_milliwh > 0 for line in bill.lines)


@given(hourly, st.integers(0, 12_000_000))
@few
def test_time_order_against_an_oracle(make: SimpleNamespace, rows: list[int], used: int) -> None:
    tariff = make.tariff(make.tou("0.568", "0.288", tiers=tiers("time_order")))
    bill = make.bill(tariff, make.period(*DAY), rows, tier_used_milliwh=used)
    assert energy_amount(bill) == oracle(rows, used)


def oracle(rows: list[int], used: int) -> Fraction:
    """Price interval by interval, cutting each at the limits, in fractions."""
    total, position = Fraction(0), used
    for hour, energy in enumerate(rows):
        price = Fraction("0.568") if 8 <= hour < 22 else Fraction("0.288")
        cuts = sorted(
            {
                position,
                position + energy,
                *(x for x in (3 * 10**6, 9 * 10**6) if position < x < position + energy),
            }
        )
        for low, high in itertools.pairwise(cuts):
            adder = (
                Fraction("0") if low < 3 * 10**6 else Fraction("0.05") if low < 9 * 10**6 else Fraction("0.3")
            )
            total += (high - low) * (price + adder) / 10**6
        position += energy
    return total


@given(hourly, modes, st.integers(0, 23), st.integers(1, 5_000_000))
@few
def test_more_energy_never_costs_less(
    make: SimpleNamespace, rows: list[int], mode: str, hour: int, more: int
) -> None:
    tariff = make.tariff(FIXED, make.tou("0.568", "0.288", tiers=tiers(mode)))
    before = make.bill(tariff, make.period(*DAY), rows)
    rows[hour] += more
    after = make.bill(tariff, make.period(*DAY), rows)
    slack = Fraction(2, 10**6) if mode == "pro_rata" else 0  # shares are whole milliwatt-hours
    assert energy_amount(after) + slack >= energy_amount(before)
    assert after.total_minor >= before.total_minor - 1


@given(hourly, hourly)
@few
def test_split_periods_add_up_without_tiers(
    make: SimpleNamespace, first: list[int], second: list[int]
) -> None:
    tariff = make.tariff(FIXED, make.tou("0.568", "0.288"))
    whole = make.bill(tariff, make.period("2026-03-02", "2026-03-04"), first + second)
    halves = [
        make.bill(tariff, make.period(*DAY), first),
        make.bill(tariff, make.period("2026-03-03", "2026-03-04"), second),
    ]
    assert sum(line.amount for line in whole.lines) == sum(
        line.amount for half in halves for line in half.lines
    )


@given(hourly, hourly, st.integers(0, 12_000_000))
@few
def test_a_counter_carried_over_splits_alike(
    make: SimpleNamespace, first: list[int], second: list[int], used: int
) -> None:
    tariff = make.tariff(make.tou("0.568", "0.288", tiers=tiers("time_order")))
    whole = make.bill(tariff, make.period("2026-03-02", "2026-03-04"), first + second, tier_used_milliwh=used)
    halves = [
        make.bill(tariff, make.period(*DAY), first, tier_used_milliwh=used),
        make.bill(
            tariff, make.period("2026-03-03", "2026-03-04"), second, tier_used_milliwh=used + sum(first)
        ),
    ]
    assert energy_amount(whole) == sum(energy_amount(half) for half in halves)


@given(hourly, modes, st.integers(1, 50))
@few
def test_prices_scale_the_bill(make: SimpleNamespace, rows: list[int], mode: str, factor: int) -> None:
    ladder = {**tiers(mode), "adders_per_kwh": ["0", "0", "0"]}
    once = make.bill(make.tariff(make.tou("0.5", "0.2", tiers=ladder)), make.period(*DAY), rows)
    prices = (f"{factor * 0.5:.1f}", f"{factor * 0.2:.1f}")
    scaled = make.bill(make.tariff(make.tou(*prices, tiers=ladder)), make.period(*DAY), rows)
    assert energy_amount(scaled) == factor * energy_amount(once)


@given(hourly, st.randoms(use_true_random=False), st.sampled_from(["pro_rata", "per_period"]))
@few
def test_order_inside_a_rate_changes_nothing(
    make: SimpleNamespace, rows: list[int], random: Any, mode: str
) -> None:
    tariff = make.tariff(make.tou("0.568", "0.288", tiers=tiers(mode)))
    peak = rows[8:22]
    random.shuffle(peak)
    before = make.bill(tariff, make.period(*DAY), rows)
    after = make.bill(tariff, make.period(*DAY), rows[:8] + peak + rows[22:])
    assert before.lines == after.lines


def test_zero_use_is_the_fixed_charge(make: SimpleNamespace) -> None:
    bill = make.bill(make.tariff(FIXED, make.tou("1", "2", tiers=tiers("pro_rata"))), make.period(*DAY), 0)
    assert [line.component_id for line in bill.lines] == ["standing"]


@pytest.mark.parametrize(
    ("first", "end", "hours"), [("2026-03-29", "2026-03-30", 23), ("2026-10-25", "2026-10-26", 25)]
)
def test_a_clock_change_day_is_one_day(make: SimpleNamespace, first: str, end: str, hours: int) -> None:
    tariff = make.tariff(FIXED, make.tou("1", "2"), zone="Europe/Berlin")
    bill = make.bill(tariff, make.period(first, end, "Europe/Berlin"), [1_000_000] * hours)
    assert bill.lines[0].amount == Fraction("0.4567")
    assert [line.trace.interval_count for line in bill.lines[1:]] in ([14, hours - 14], [hours])
    assert bill.energy_milliwh == hours * 10**6


def test_the_oracle_catches_a_tier_decided_by_whole_intervals(
    make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teeth: a split that gives the whole interval to the tier it starts in."""

    def whole_intervals(energy: Any, used: int, limits: tuple[int, ...]) -> list[Any]:
        starts = used + np.cumsum(energy) - energy
        tier = np.searchsorted(np.array(limits), starts, side="right")
        return [np.where(tier == index, energy, 0) for index in range(len(limits) + 1)]

    rows = [2_000_000] * 24
    tariff = make.tariff(make.tou("0.568", "0.288", tiers=tiers("time_order")))
    assert energy_amount(make.bill(tariff, make.period(*DAY), rows)) == oracle(rows, 0)
    monkeypatch.setattr(cells, "split_in_time_order", whole_intervals)
    assert energy_amount(make.bill(tariff, make.period(*DAY), rows)) != oracle(rows, 0)
