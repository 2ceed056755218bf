"""The hand-made cases beside the checkout, one test each where they concern a bill."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared import shared_path
from wattkeeper.core.billing.correct import reverse
from wattkeeper.core.billing.document import BillDocument
from wattkeeper.core.kernel.money import fraction_to_minor


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """Return the billing cases by name."""
    return {
        case["name"]: case
        for case in json.loads(shared_path("vectors/billing/billing_cases.json").read_text())
    }


def minor(text: str) -> int:
    """Return cents of a decimal text."""
    return int(Decimal(text) * 100)


def milliwh(text: object) -> int:
    """Return milliwatt-hours of kilowatt-hours."""
    return int(Decimal(str(text)) * 10**6)


def amounts(bill: BillDocument) -> list[int]:
    """Return the amounts of the lines."""
    return [line.amount_minor for line in bill.lines]


def test_price_change_with_intervals(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    case = cases["price_change_interval_data"]
    before = make.columns(make.period("2026-03-01", "2026-03-11"), milliwh(case["kwh_before_2026_03_11"]))
    after = make.columns(make.period("2026-03-11", "2026-04-01"), milliwh(case["kwh_from_2026_03_11"]))
    rows = np.concatenate([before.energy_milliwh, after.energy_milliwh])
    old = make.tariff(make.flat(case["price_before"]))
    new = make.tariff(make.flat(case["price_after"]), version=2, valid_from="2026-03-11")
    bill = make.bill([new, old], make.period("2026-03-01", "2026-04-01"), rows)
    assert amounts(bill) == [minor(line) for line in case["lines"]]
    assert bill.total_minor == minor(case["total"])
    assert bill.tariff_keys == ("test/1", "test/2")


def test_price_change_by_days(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    case = cases["price_change_register_only_days"]
    span = make.period("2026-03-01", "2026-04-01")
    first = milliwh(case["kwh_before"])
    rows = np.concatenate(
        [
            make.columns(make.period("2026-03-01", "2026-03-11"), first).energy_milliwh,
            make.columns(
                make.period("2026-03-11", "2026-04-01"), milliwh(case["kwh"]) - first
            ).energy_milliwh,
        ]
    )
    old = make.tariff(make.flat("0.2000"))
    new = make.tariff(make.flat("0.2500"), version=2, valid_from="2026-03-11")
    bill = make.bill([old, new], span, rows)
    assert amounts(bill) == [minor(case["amount_before"]), minor(case["amount_after"])]
    assert [line.quantity_milliwh for line in bill.lines] == [
        milliwh(case["kwh_before"]),
        milliwh(case["kwh_after"]),
    ]


def test_tier_limits_scale_with_days(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    case = cases["tier_limits_scaled_by_days"]
    tiers = {
        "mode": "pro_rata",
        "counter": "days",
        "nominal_days": case["nominal_days"],
        "limits_kwh": ["300"],
        "adders_per_kwh": ["0", "0.10"],
    }
    bill = make.bill(
        make.tariff(make.flat("0.10", tiers=tiers)),
        make.period("2026-03-01", "2026-04-15"),
        milliwh(case["kwh"]),
    )
    assert [line.quantity_milliwh for line in bill.lines] == [
        milliwh(case["tier1_kwh"]),
        milliwh(case["tier2_kwh"]),
    ]
    assert amounts(bill) == [minor(line) for line in case["lines"]]


def test_a_day_is_a_day_over_a_clock_change(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    case = cases["standing_charge_days"]
    fixed = {"id": "standing", "kind": "fixed", "price": case["per_day"], "per": "day"}
    span = make.period("2026-10-24", "2026-10-27", case["tz"])
    assert span.starts_at == datetime.fromisoformat(case["start"])
    assert span.ends_at - span.starts_at == timedelta(hours=case["hours"])
    bill = make.bill(make.tariff(fixed, zone=case["tz"]), span, 0)
    assert bill.lines[0].spans == case["days"]
    assert amounts(bill) == [minor(case["amount"])]


@pytest.mark.parametrize(("proration", "field"), [("nominal", "amount"), ("by_days", "alternative_amount")])
def test_leap_year(make: SimpleNamespace, cases: dict[str, Any], proration: str, field: str) -> None:
    case = cases["standing_charge_leap_year"]
    fixed = {"id": "s", "kind": "fixed", "price": case["annual"], "per": "year", "proration": proration}
    bill = make.bill(make.tariff(fixed), make.period("2024-01-01", "2025-01-01"), 0)
    assert amounts(bill) == [minor(case[field])]


def test_minimum(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    case = cases["minimum_bill"]
    bill = make.bill(
        make.tariff(
            {"id": "fixed", "kind": "fixed", "price": case["fixed"], "per": "period"},
            make.flat("0.10"),
            {
                "id": "min",
                "kind": "minimum",
                "price": case["minimum"],
                "per": "period",
                "covers": ["fixed", "energy"],
            },
        ),
        make.period("2026-03-01", "2026-04-01"),
        milliwh("32"),
    )
    assert amounts(bill) == [minor(case["fixed"]), minor(case["energy"]), minor(case["topup"])]
    assert bill.total_minor == minor(case["total"])


@pytest.mark.parametrize(
    ("rounding", "total"),
    [
        ("per_line", "35.73"),
        ("once", "35.74"),
    ],  # ours sums rounded lines: 30.03 + 5.71; the case's 35.72 does not
)
def test_tax_rounding(make: SimpleNamespace, cases: dict[str, Any], rounding: str, total: str) -> None:
    case = cases["tax_rounding_per_line_vs_total"]
    fixed = [
        {"id": f"f{i}", "kind": "fixed", "price": net, "per": "period"} for i, net in enumerate(case["net"])
    ]
    tax = {"id": "vat", "kind": "tax", "percent": "19", "rounding": rounding, "covers": ["f0", "f1", "f2"]}
    bill = make.bill(make.tariff(*fixed, tax), make.period("2026-03-01", "2026-04-01"), 0)
    assert amounts(bill)[:3] == [minor(net) for net in case["per_line_net"]]
    assert bill.total_minor == minor(total)
    assert minor(case["per_line_total"]) == minor("35.73")


def test_half_up_and_its_mirror(cases: dict[str, Any]) -> None:
    for name in ("half_even_vs_half_up", "negative_half_up"):
        case = cases[name]
        assert fraction_to_minor(Fraction(case["value"]), "CNY") == minor(case["half_up"])


def test_float_trap(make: SimpleNamespace, cases: dict[str, Any]) -> None:
    rows = [milliwh("0.1"), milliwh("0.2")]
    bill = make.bill(make.tariff(make.flat("10")), make.period("2026-03-01", "2026-03-02"), rows)
    assert bill.total_minor == minor(cases["float_trap"]["expect"])


@pytest.mark.parametrize(
    ("name", "old_kwh", "new_kwh", "price", "effect"),
    [
        ("cancel_rebill", 480, 384, "0.25", "balance_effect"),
        ("late_reading_correction", 400, 340, "0.25", "correction"),
    ],
)
def test_rebill(
    make: SimpleNamespace,
    cases: dict[str, Any],
    name: str,
    old_kwh: int,
    new_kwh: int,
    price: str,
    effect: str,
) -> None:
    span = make.period("2026-03-01", "2026-04-01")
    old = make.bill(make.tariff(make.flat(price)), span, milliwh(old_kwh))
    new = make.bill(make.tariff(make.flat(price)), span, milliwh(new_kwh), data_version="run-4")
    assert reverse(old).total_minor + new.total_minor == minor(cases[name][effect])


def yearly_tiers(adders: list[str], mode: str = "pro_rata") -> dict[str, Any]:
    """Return the yearly ladder of Zhejiang."""
    return {"mode": mode, "counter": "year", "limits_kwh": ["2760", "4800"], "adders_per_kwh": adders}


@pytest.mark.parametrize("mode", ["pro_rata", "time_order", "per_period"])
def test_chinese_yearly_tiers(make: SimpleNamespace, mode: str) -> None:
    case = json.loads(shared_path("vectors/tariff_cn/cases.json").read_text())[0]
    tariff = make.tariff(make.flat("0.538", tiers=yearly_tiers(["0", "0.05", "0.30"], mode)))
    used, total = 0, 0
    for row in case["rows"]:
        month = row["month"]
        span = make.period(f"2026-{month:02d}-01", f"2026-{month + 1:02d}-01" if month < 12 else "2027-01-01")
        by_rate = {"all": used} if mode == "per_period" else {}
        bill = make.bill(
            tariff, span, milliwh(row["kwh"]), tier_used_milliwh=used, tier_used_by_rate_milliwh=by_rate
        )
        parts = [
            (line.tier, line.quantity_milliwh, line.unit_price, line.amount_minor) for line in bill.lines
        ]
        assert parts == [
            (tier, milliwh(kwh), Decimal(price), minor(amount)) for tier, kwh, price, amount in row["parts"]
        ]
        assert bill.total_minor == minor(row["amount"])
        used, total = used + bill.energy_milliwh, total + bill.total_minor
        assert used == milliwh(row["cumulative"])
    assert total == minor(case["year_total"])


def test_a_year_in_one_bill_starts_its_counter_once(make: SimpleNamespace) -> None:
    case = json.loads(shared_path("vectors/tariff_cn/cases.json").read_text())[0]
    tariff = make.tariff(make.flat("0.538", tiers=yearly_tiers(["0", "0.05", "0.30"])))
    energy_milliwh = milliwh(sum(row["kwh"] for row in case["rows"]))
    once = make.bill(tariff, make.period("2025-01-01", "2026-01-01"), energy_milliwh)
    assert [line.quantity_milliwh for line in once.lines] == [milliwh(2760), milliwh(2040), milliwh(510)]
    twice = make.bill(tariff, make.period("2025-01-01", "2027-01-01"), 2 * energy_milliwh)
    assert [line.quantity_milliwh for line in twice.lines] == 2 * [milliwh(2760), milliwh(2040), milliwh(510)]


def test_tier_adders_lift_peak_and_valley_alike(make: SimpleNamespace) -> None:
    case = json.loads(shared_path("vectors/tariff_cn/cases.json").read_text())[1]
    component = make.tariff(make.tou("0.568", "0.288", tiers=yearly_tiers(["0", "0.05", "0.30"]))).components[
        0
    ]
    prices = {str(t + 1): [str(rate.price_per_kwh[t]) for rate in component.rates] for t in range(3)}
    assert {tier: [f"{Decimal(p):.3f}" for p in row] for tier, row in prices.items()} == case["tiers"]


@pytest.mark.parametrize(
    ("case_name", "mode"), [("case1_nem", "pro_rata"), ("case2_net_billing", "time_order")]
)
def test_an_independent_engine_prices_a_year_alike(make: SimpleNamespace, case_name: str, mode: str) -> None:
    """8 760 hours, four periods, three tiers: NREL's Utilityrate5, in floats, month by month."""
    vectors = json.loads(shared_path("vectors/pysam_utilityrate5/expected_ur5.json").read_text())
    bills = _bills_of_2018(make, vectors["inputs"], mode)
    for bill, expected in zip(bills, vectors["cases"][case_name]["energy"], strict=True):
        assert float(sum(line.amount for line in bill.lines)) == pytest.approx(expected, abs=2e-6)


def test_another_engine_prices_ladders_of_each_period_alike(make: SimpleNamespace) -> None:
    """The same load and prices by ratebook, in decimals: equal to the last digit."""
    inputs = json.loads(shared_path("vectors/pysam_utilityrate5/expected_ur5.json").read_text())["inputs"]
    expected = json.loads(shared_path("vectors/urdb/expected.json").read_text())
    bills = _bills_of_2018(make, inputs, "per_period")
    total = sum(line.amount for bill in bills for line in bill.lines) + 12 * 35
    assert total == Fraction(expected["ratebook_per_period_energy_plus_fixed_2018"])


def _bills_of_2018(make: SimpleNamespace, inputs: dict[str, Any], mode: str) -> list[BillDocument]:
    lines = shared_path("vectors/pysam_utilityrate5/load_8760.csv").read_text().split()
    load = [milliwh(line) for line in lines if line[0].isdigit()]
    tariff = make.tariff(_ur5_energy(inputs, mode), zone="Etc/UTC")
    assert len(load) == 8760
    bills, at = [], 0
    for month in range(1, 13):
        end = f"2018-{month + 1:02d}-01" if month < 12 else "2019-01-01"
        span = make.period(f"2018-{month:02d}-01", end, "Etc/UTC")
        hours = (span.ends_at - span.starts_at) // timedelta(hours=1)
        bills.append(make.bill(tariff, span, load[at : at + hours]))
        at += hours
    return bills


def _ur5_energy(inputs: dict[str, Any], mode: str) -> dict[str, Any]:
    prices: dict[int, list[str]] = {}
    limits = []
    for period_number, _tier, limit, _unit, price, _sell in inputs["EC"]:
        prices.setdefault(period_number, []).append(str(price))
        limits.append(limit)
    weekday, weekend = inputs["schedules"][:2]
    seasons = []
    for month in range(12):
        last = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month]
        days = {
            name: [[f"{hour:02d}:00", f"p{row[month][hour]}"] for hour in range(24)]
            for name, row in (("weekday", weekday), ("weekend", weekend))
        }
        seasons.append({"from": f"{month + 1:02d}-01", "to": f"{month + 1:02d}-{last}", "days": days})
    count = len(next(iter(prices.values())))
    return {
        "id": "energy",
        "kind": "energy",
        "rates": [{"code": f"p{number}", "prices_per_kwh": row} for number, row in prices.items()],
        "calendar": {"seasons": seasons},
        "tiers": {
            "mode": mode,
            "counter": "month",
            "limits_kwh": [str(int(limit)) for limit in limits[: count - 1]],
        },
    }
