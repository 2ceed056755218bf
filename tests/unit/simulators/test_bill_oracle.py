"""The oracle against bills added up by hand; it shares nothing with the code it judges."""

import ast
import json
import subprocess
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from wattkeeper.simulators import bill_oracle

SHANGHAI_MIDNIGHT_S = int(datetime(2026, 10, 31, 16, tzinfo=UTC).timestamp())  # 2026-11-01 local


def request(components: list[dict], energies: list[int], **more: object) -> dict:
    intervals = [[SHANGHAI_MIDNIGHT_S + 900 * i, energy] for i, energy in enumerate(energies)]
    tariff = {"format": 1, "code": "t", "version": 1, "currency": "CNY", "zone": "Asia/Shanghai",
              "valid_from": "2026-01-01", "components": components}  # fmt: skip
    return {"tariff": tariff, "zone": "Asia/Shanghai", "first_date": "2026-11-01", "end_date": "2026-11-02",
            "intervals": intervals, "used_before_milliwh": 0, **more}  # fmt: skip


FLAT = {"id": "e", "kind": "energy", "rates": [{"code": "all", "price_per_kwh": "0.5283"}]}
TIERED = {
    "id": "e",
    "kind": "energy",
    "rates": [{"code": "all", "prices_per_kwh": ["0.50", "0.60", "0.90"]}],
    "tiers": {"mode": "time_order", "counter": "month", "limits_kwh": ["10", "20"]},
}
TWO_RATES = {
    "id": "e",
    "kind": "energy",
    "rates": [{"code": "peak", "price_per_kwh": "1.00"}, {"code": "valley", "price_per_kwh": "0.30"}],
    "calendar": {
        "seasons": [
            {"from": "01-01", "to": "12-31", "days": {"weekday": [["00:00", "valley"], ["08:00", "peak"]]}}
        ]
    },
}


def test_a_flat_price_is_rounded_half_up_once() -> None:
    bill = bill_oracle.compute(request([FLAT], [1_000_000] * 2))
    assert bill["total_minor"] == 106  # 1.0566
    assert Fraction(bill["lines"][0]["amount"]) == Fraction("1.0566")


def test_half_a_cent_goes_up() -> None:
    flat = {**FLAT, "rates": [{"code": "all", "price_per_kwh": "0.005"}]}
    assert bill_oracle.compute(request([flat], [1_000_000]))["total_minor"] == 1


def test_a_threshold_inside_an_interval_splits_it() -> None:
    bill = bill_oracle.compute(request([TIERED], [9_999_999, 2, 10_000_000]))
    assert [(line["tier"], line["quantity_milliwh"]) for line in bill["lines"]] == [
        (1, 10**7),
        (2, 10**7),
        (3, 1),
    ]


def test_what_was_used_before_counts_towards_the_tiers() -> None:
    bill = bill_oracle.compute(request([TIERED], [2_000_000], used_before_milliwh=19_000_000))
    assert [(line["tier"], line["amount_minor"]) for line in bill["lines"]] == [(2, 60), (3, 90)]


def test_time_of_use_follows_the_local_clock() -> None:
    bill = bill_oracle.compute(request([TWO_RATES], [0] * 31 + [1_000_000, 1_000_000]))
    assert {line["rate"]: line["amount_minor"] for line in bill["lines"]} == {"peak": 100, "valley": 30}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param("time_order", {("peak", 2): 10**6, ("valley", 1): 2 * 10**6}, id="time order"),
        pytest.param(
            "pro_rata",
            {("peak", 1): 666_667, ("peak", 2): 333_333, ("valley", 1): 1_333_333, ("valley", 2): 666_667},
            id="pro rata",
        ),
        pytest.param("per_period", {("peak", 1): 10**6, ("valley", 1): 2 * 10**6}, id="per period"),
    ],
)
def test_tiers_meet_time_of_use_in_three_ways(mode: str, expected: dict) -> None:
    tiers = {"mode": mode, "counter": "month", "limits_kwh": ["2"], "adders_per_kwh": ["0", "0.10"]}
    energies = [2_000_000] + [0] * 31 + [1_000_000]
    bill = bill_oracle.compute(request([{**TWO_RATES, "tiers": tiers}], energies))
    assert {(line["rate"], line["tier"]): line["quantity_milliwh"] for line in bill["lines"]} == expected


def test_fixed_charge_and_tax() -> None:
    fixed = {"id": "f", "kind": "fixed", "price": "30.00", "per": "month", "proration": "by_days"}
    tax = {"id": "v", "kind": "tax", "percent": "13", "covers": ["f", "e"]}
    bill = bill_oracle.compute(request([tax, FLAT, fixed], [2_000_000]))
    assert [line["amount_minor"] for line in bill["lines"]] == [100, 106, 27]  # 13 % of 206 is 26.78
    assert bill["total_minor"] == 233


def test_a_minimum_lifts_what_it_covers() -> None:
    least = {"id": "m", "kind": "minimum", "price": "5.00", "per": "period", "covers": ["e"]}
    assert bill_oracle.compute(request([FLAT, least], [2_000_000]))["total_minor"] == 500


def test_it_runs_as_a_program_of_its_own_and_imports_only_the_standard_library() -> None:
    path = Path(bill_oracle.__file__)
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported <= sys.stdlib_module_names
    run = subprocess.run(
        [sys.executable, "-I", str(path)], input=json.dumps(request([FLAT], [2_000_000])), text=True,
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert json.loads(run.stdout)["total_minor"] == 106


def test_many_at_once() -> None:
    asked = json.dumps([request([FLAT], [2_000_000]), request([FLAT], [0])])
    program = [sys.executable, bill_oracle.__file__]
    run = subprocess.run(program, input=asked, text=True, capture_output=True, check=True, timeout=120)
    assert [bill["total_minor"] for bill in json.loads(run.stdout)] == [106, 0]
