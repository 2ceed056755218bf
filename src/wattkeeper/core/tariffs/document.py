"""A `Tariff` back to its document: `parse_tariff(to_document(tariff)) == tariff`."""

from wattkeeper.core.tariffs.model import (
    Calendar,
    Component,
    EnergyCharge,
    FixedCharge,
    MinimumCharge,
    Per,
    Season,
    Tariff,
    Tiers,
)
from wattkeeper.core.tariffs.parse import DOCUMENT_FORMAT


def to_document(tariff: Tariff) -> dict[str, object]:
    """Return the plain JSON document of the tariff; tier prices are written out, one per tier."""
    return {
        "format": DOCUMENT_FORMAT,
        "code": tariff.code,
        "version": tariff.version,
        "currency": tariff.currency,
        "zone": tariff.zone.key,
        "valid_from": tariff.valid_from_date.isoformat(),
        "components": [_component(component) for component in tariff.components],
    }


def _component(component: Component) -> dict[str, object]:
    common: dict[str, object] = {"id": component.id, "label": component.label_code}
    if isinstance(component, FixedCharge):
        return {**common, "kind": "fixed", **_span(component)}
    if isinstance(component, MinimumCharge):
        return {**common, "kind": "minimum", **_span(component), "covers": list(component.covers)}
    if isinstance(component, EnergyCharge):
        return {**common, "kind": "energy", **_energy(component)}
    return {
        **common,
        "kind": "tax",
        "percent": format(component.percent, "f"),
        "rounding": component.rounding.value,
        "covers": list(component.covers),
    }


def _span(charge: FixedCharge | MinimumCharge) -> dict[str, object]:
    span: dict[str, object] = {"price": format(charge.price, "f"), "per": charge.per.value}
    if charge.per in (Per.MONTH, Per.YEAR):
        span["proration"] = charge.proration.value
    return span


def _energy(charge: EnergyCharge) -> dict[str, object]:
    codes = [rate.code for rate in charge.rates]
    energy: dict[str, object] = {"calendar": _calendar(charge.calendar, codes)}
    if charge.tiers is None:
        energy["rates"] = [
            {"code": rate.code, "price_per_kwh": format(rate.price_per_kwh[0], "f")} for rate in charge.rates
        ]
        return energy
    energy["tiers"] = _tiers(charge.tiers)
    energy["rates"] = [
        {"code": rate.code, "prices_per_kwh": [format(price, "f") for price in rate.price_per_kwh]}
        for rate in charge.rates
    ]
    return energy


def _tiers(tiers: Tiers) -> dict[str, object]:
    limits = [f"{limit // 10**6}.{limit % 10**6:06d}" for limit in tiers.limits_milliwh]
    found: dict[str, object] = {
        "mode": tiers.mode.value,
        "counter": tiers.counter.value,
        "limits_kwh": limits,
    }
    if tiers.nominal_days:
        found["nominal_days"] = tiers.nominal_days
    return found


def _calendar(calendar: Calendar, codes: list[str]) -> dict[str, object]:
    return {
        "holidays": sorted(day.isoformat() for day in calendar.holidays),
        "workdays": sorted(day.isoformat() for day in calendar.workdays),
        "seasons": [_season(season, codes) for season in calendar.seasons],
    }


def _season(season: Season, codes: list[str]) -> dict[str, object]:
    return {
        "from": f"{season.first[0]:02d}-{season.first[1]:02d}",
        "to": f"{season.last[0]:02d}-{season.last[1]:02d}",
        "days": {
            day_type.value: [
                [f"{switch.minute // 60:02d}:{switch.minute % 60:02d}", codes[switch.rate_index]]
                for switch in switches
            ]
            for day_type, switches in season.days.items()
        },
    }
