"""Two engines that share nothing, the same bills."""

import random
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattkeeper.core.billing.compute import compute_bill
from wattkeeper.core.billing.intervals import IntervalColumns
from wattkeeper.core.kernel.instants import Period, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.simulators import bill_oracle


def price(draw: random.Random) -> str:
    return str(Decimal(draw.randrange(1, 2_000_000)).scaleb(-6))


def tariff(draw: random.Random, zone: str) -> dict:
    calendar = {
        "holidays": ["2026-03-30"],
        "workdays": ["2026-03-28"],
        "seasons": [
            {"from": "03-31", "to": "10-31", "days": {"weekday": [["00:00", "a"], ["07:30", "b"]]}},
            {"from": "11-01", "to": "03-30", "days": {
             "weekday": [["00:00", "b"], ["12:00", "a"], ["21:15", "b"]],
             "weekend": [["00:00", "a"]], "holiday": [["00:00", "b"]]}},
        ],
    }  # fmt: skip
    mode, counter = (
        draw.choice(["pro_rata", "time_order", "per_period"]),
        draw.choice(["month", "year", "days"]),
    )
    tiers = {"mode": mode, "counter": counter, "limits_kwh": ["20.5", "100"]}
    tiers |= {"nominal_days": 30} if counter == "days" else {}
    rates = [{"code": code, "prices_per_kwh": [price(draw) for _ in range(3)]} for code in "ab"]
    energy = {"id": "e", "kind": "energy", "rates": rates, "calendar": calendar, "tiers": tiers}
    per = draw.choice(["day", "month", "year", "period"])
    fixed = {"id": "f", "kind": "fixed", "price": price(draw), "per": per}
    fixed |= {"proration": draw.choice(["by_days", "nominal", "whole"])} if per in ("month", "year") else {}
    least = {"id": "m", "kind": "minimum", "price": "95.5", "per": "period", "covers": ["e", "f"]}
    tax = {"id": "t", "kind": "tax", "percent": "13.25", "rounding": draw.choice(["once", "per_line"])}
    tax |= {"covers": ["f", "e", "m"]}
    return {"format": 1, "code": "t", "version": 1, "currency": draw.choice(["CNY", "JPY"]), "zone": zone,
            "valid_from": "2020-01-01", "components": [fixed, energy, least, tax]}  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_the_oracle_and_the_billing_engine_agree(seed: int) -> None:
    draw = random.Random(seed)
    zone_name = draw.choice(["Asia/Shanghai", "Europe/Berlin"])
    zone = ZoneInfo(zone_name)
    first = date(2026, 3, 27) + timedelta(days=draw.randrange(3))
    end = first + timedelta(days=draw.randrange(1, 9))
    period = Period(local_midnight(first, zone), local_midnight(end, zone))
    assert period.ends_at is not None
    starts = np.arange(to_seconds(period.starts_at), to_seconds(period.ends_at), 900, dtype=np.int64)
    energy = np.array([draw.randrange(0, 700_000) for _ in starts], dtype=np.int64)
    document = tariff(draw, zone_name)
    by_rate = {"a": draw.randrange(30_000_000), "b": draw.randrange(30_000_000)}
    bill = compute_bill(
        usage_point="p",
        tariffs=[parse_tariff(document)],
        period=period,
        intervals=IntervalColumns(
            starts, energy, np.full_like(starts, Provenance.MEASURED), np.zeros_like(starts)
        ),
        interval_s=900,
        series_id=1,
        run_id=1,
        data_version="v",
        tier_used_milliwh=sum(by_rate.values()) if _counts_before(document, first) else 0,
        tier_used_by_rate_milliwh=by_rate if _counts_before(document, first) else {},
    )
    request = {
        "tariff": document,
        "zone": zone_name,
        "first_date": first.isoformat(),
        "end_date": end.isoformat(),
        "intervals": [list(row) for row in zip(starts.tolist(), energy.tolist(), strict=True)],
    }
    if _counts_before(document, first):
        request |= {"used_before_milliwh": sum(by_rate.values()), "used_before_by_rate_milliwh": by_rate}
    judged = bill_oracle.compute(request)
    assert judged["total_minor"] == sum(line.amount_minor for line in bill.lines)
    assert [
        (line["component"], line["amount_minor"], line["quantity_milliwh"]) for line in judged["lines"]
    ] == [(line.component_id, line.amount_minor, line.quantity_milliwh) for line in bill.lines]


def _counts_before(document: dict, first: date) -> bool:
    counter = document["components"][1]["tiers"]["counter"]
    return counter == "year" or (counter == "month" and first.day != 1)
