"""Tariff documents: what they say, and each wrong field named by its path."""

import copy
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.tariffs.model import DayType, EnergyCharge, TaxRounding
from wattkeeper.core.tariffs.node import TariffInvalid
from wattkeeper.core.tariffs.parse import parse_tariff

WINTER = {"from": "11-01", "to": "03-31", "days": {"weekday": [["00:00", "valley"], ["08:00", "peak"]]}}
SUMMER = {
    "from": "04-01",
    "to": "10-31",
    "days": {
        "weekday": [["00:00", "peak"]],
        "weekend": [["00:00", "valley"]],
        "holiday": [["00:00", "peak"]],
    },
}
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "code": "home-tou",
    "version": 3,
    "currency": "CNY",
    "zone": "Asia/Shanghai",
    "valid_from": "2026-01-01",
    "components": [
        {"id": "standing", "kind": "fixed", "price": "12.5", "per": "month", "proration": "by_days"},
        {
            "id": "energy",
            "kind": "energy",
            "label": "bill.home-energy",
            "rates": [
                {"code": "peak", "price_per_kwh": "0.568"},
                {"code": "valley", "price_per_kwh": "0.288"},
            ],
            "calendar": {"holidays": ["2026-10-01"], "workdays": ["2026-10-10"], "seasons": [WINTER, SUMMER]},
            "tiers": {
                "mode": "pro_rata",
                "counter": "year",
                "limits_kwh": ["2760", "4800.5"],
                "adders_per_kwh": ["0", "0.05", "0.30"],
            },
        },
        {"id": "least", "kind": "minimum", "price": "10", "per": "period", "covers": ["standing", "energy"]},
        {"id": "vat", "kind": "tax", "percent": "13", "covers": ["standing", "energy", "least"]},
    ],
}


def test_what_it_says() -> None:
    tariff = parse_tariff(DOCUMENT)
    energy = tariff.components[1]
    assert isinstance(energy, EnergyCharge)
    assert tariff.key == "home-tou/3"
    assert energy.rates[0].price_per_kwh == (Decimal("0.568"), Decimal("0.618"), Decimal("0.868"))
    assert energy.tiers is not None
    assert energy.tiers.limits_milliwh == (2_760_000_000, 4_800_500_000)
    assert tariff.components[3].rounding is TaxRounding.ONCE  # type: ignore[union-attr]
    day_types = [energy.calendar.day_type(date(2026, 10, day)) for day in (1, 3, 5, 10)]
    assert day_types == [DayType.HOLIDAY, DayType.WEEKEND, DayType.WEEKDAY, DayType.WEEKDAY]


@given(
    st.lists(st.decimals(0, 99, places=6), min_size=1, max_size=4),
    st.sampled_from(["pro_rata", "time_order", "per_period"]),
    st.sets(st.integers(1, 10**13), max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_any_ladder_is_what_was_written(prices: list[Decimal], mode: str, limits: set[int]) -> None:
    document = copy.deepcopy(DOCUMENT)
    energy = document["components"][1]
    energy.pop("tiers")
    energy["rates"] = [
        {"code": "peak", "price_per_kwh": str(prices[0])},
        {"code": "valley", "price_per_kwh": "0"},
    ]
    if limits:
        cells = [str(prices[0])] * (len(limits) + 1)
        energy["rates"] = [{"code": code, "prices_per_kwh": cells} for code in ("peak", "valley")]
        kwh = [str(Decimal(limit).scaleb(-6).quantize(Decimal("0.000001"))) for limit in sorted(limits)]
        energy["tiers"] = {"mode": mode, "counter": "days", "nominal_days": 30, "limits_kwh": kwh}
    charge = parse_tariff(document).components[1]
    assert isinstance(charge, EnergyCharge)
    assert charge.rates[0].price_per_kwh == (prices[0],) * (len(limits) + 1)
    assert (charge.tiers is None) == (not limits)
    if charge.tiers is not None:
        assert (charge.tiers.mode.value, charge.tiers.limits_milliwh) == (mode, tuple(sorted(limits)))


SEASONS = "components[1].calendar.seasons"
WRONG: list[tuple[str, Any, str, str]] = [
    ("format", 2, "out-of-range", "format"),
    ("version", True, "wrong-type", "version"),
    ("version", "3", "wrong-type", "version"),
    ("code", "Home TOU", "not-a-code", "code"),
    ("currency", "XXX", "currency-unknown", "currency"),
    ("zone", "Mars/Olympus", "zone-unknown", "zone"),
    ("zone", "../etc/passwd", "zone-unknown", "zone"),
    ("valid_from", "2026-02-30", "not-a-date", "valid_from"),
    ("components", {}, "wrong-type", "components"),
    ("components", [], "empty", "components"),
    ("components", [{}], "missing-field", "components[0].kind"),
    ("components.0.kind", "demand", "not-a-choice", "components[0].kind"),
    ("components.0.price", 12.5, "wrong-type", "components[0].price"),
    ("components.0.price", "1e3", "not-a-decimal", "components[0].price"),
    ("components.0.price", "NaN", "not-a-decimal", "components[0].price"),
    ("components.0.price", "0.1234567", "too-many-decimals", "components[0].price"),
    ("components.0.price", "-1", "negative", "components[0].price"),
    ("components.0.proration", "some", "not-a-choice", "components[0].proration"),
    ("components.0.per", "day", "unknown-field", "components[0].proration"),
    ("components.0.note", "x", "unknown-field", "components[0].note"),
    ("components.1.id", "standing", "duplicate", "components[1].id"),
    ("components.1.rates", [], "empty", "components[1].rates"),
    ("components.1.rates.1.code", "peak", "duplicate", "components[1].rates[1].code"),
    ("components.1.calendar.seasons", [SUMMER], "day-in-no-season", SEASONS),
    ("components.1.calendar.seasons", [WINTER, SUMMER, SUMMER], "day-in-two-seasons", SEASONS),
    ("components.1.calendar.seasons.0.from", "02-30", "not-a-month-day", SEASONS + "[0].from"),
    ("components.1.calendar.seasons.0.to", "03-30", "day-in-no-season", SEASONS),
    (
        "components.1.calendar.seasons.0.days.weekday",
        [["01:00", "peak"]],
        "day-starts-at-midnight",
        SEASONS + "[0].days.weekday",
    ),
    (
        "components.1.calendar.seasons.0.days.weekday.1.0",
        "24:00",
        "not-a-time",
        SEASONS + "[0].days.weekday[1][0]",
    ),
    (
        "components.1.calendar.seasons.0.days.weekday.1.0",
        "00:10",
        "switch-too-early",
        SEASONS + "[0].days.weekday[1][0]",
    ),
    (
        "components.1.calendar.seasons.0.days.weekday.1.1",
        "night",
        "rate-unknown",
        SEASONS + "[0].days.weekday[1][1]",
    ),
    (
        "components.1.calendar.seasons.0.days.weekday.1",
        ["08:00"],
        "wrong-count",
        SEASONS + "[0].days.weekday[1]",
    ),
    ("components.1.calendar.workdays", ["2026-10-01"], "day-in-both", "components[1].calendar.workdays"),
    ("components.1.tiers.mode", "guess", "not-a-choice", "components[1].tiers.mode"),
    ("components.1.tiers.limits_kwh", ["5", "5"], "not-ascending", "components[1].tiers.limits_kwh[1]"),
    ("components.1.tiers.limits_kwh", [], "empty", "components[1].tiers.limits_kwh"),
    ("components.1.tiers.nominal_days", 30, "unknown-field", "components[1].tiers.nominal_days"),
    ("components.1.tiers.counter", "days", "missing-field", "components[1].tiers.nominal_days"),
    ("components.1.tiers.adders_per_kwh", ["0"], "wrong-count", "components[1].tiers.adders_per_kwh"),
    ("components.1.tiers.adders_per_kwh.1", "-0.3", "negative", "components[1].rates[1].price_per_kwh"),
    ("components.2.covers", ["vat"], "component-unknown", "components[2].covers[0]"),
    ("components.2.covers", [], "empty", "components[2].covers"),
    ("components.3.covers", ["least", "least"], "duplicate", "components[3].covers[1]"),
    ("components.3.percent", "x", "not-a-decimal", "components[3].percent"),
]


@pytest.mark.parametrize(("place", "value", "code", "path"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_a_wrong_field_is_named(place: str, value: Any, code: str, path: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    *steps, name = place.split(".")
    spot: Any = document
    for step in steps:
        spot = spot[int(step)] if isinstance(spot, list) else spot[step]
    spot[int(name) if isinstance(spot, list) else name] = value
    with pytest.raises(TariffInvalid) as caught:
        parse_tariff(document)
    assert (caught.value.code, caught.value.params["path"]) == (f"tariffs.{code}", path)


def test_several_rates_need_a_calendar() -> None:
    document = copy.deepcopy(DOCUMENT)
    del document["components"][1]["calendar"]
    with pytest.raises(TariffInvalid) as caught:
        parse_tariff(document)
    assert caught.value.params["path"] == "components[1].calendar"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from([w[0] for w in WRONG if "." in w[0]]))
@settings(max_examples=100, deadline=None)
def test_nothing_but_its_own_error(value: Any, place: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    *steps, name = place.split(".")
    spot: Any = document
    for step in steps:
        spot = spot[int(step)] if isinstance(spot, list) else spot[step]
    spot[int(name) if isinstance(spot, list) else name] = value
    for candidate in (document, value):
        with suppress(TariffInvalid):
            parse_tariff(candidate)
