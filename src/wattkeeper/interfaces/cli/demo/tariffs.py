"""The demonstration's tariffs: tiers with time of use for homes, seasons for a factory, one price for shops.

Prices are made up; the shapes are those of Chinese residential, industrial and commercial tariffs.
"""

from typing import Any

ZONE = "Asia/Shanghai"
_HOLIDAYS = ["2026-10-01", "2026-10-02", "2026-10-03", "2026-10-04", "2026-10-05", "2026-10-06", "2026-10-07"]


def _document(code: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": 1,
        "code": code,
        "version": 1,
        "currency": "CNY",
        "zone": ZONE,
        "valid_from": "2025-01-01",
        "components": components,
    }


RESIDENTIAL = _document(
    "residential",
    [
        {"id": "standing", "kind": "fixed", "price": "0.20", "per": "day"},
        {
            "id": "energy",
            "kind": "energy",
            "rates": [
                {"code": "peak", "price_per_kwh": "0.568"},
                {"code": "valley", "price_per_kwh": "0.288"},
            ],
            "calendar": {
                "seasons": [
                    {
                        "from": "01-01",
                        "to": "12-31",
                        "days": {"weekday": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]},
                    }
                ]
            },
            "tiers": {
                "mode": "time_order",
                "counter": "month",
                "limits_kwh": ["230", "400"],
                "adders_per_kwh": ["0", "0.05", "0.30"],
            },
        },
    ],
)

INDUSTRIAL = _document(
    "industrial",
    [
        {"id": "standing", "kind": "fixed", "price": "850.00", "per": "month", "proration": "by_days"},
        {
            "id": "energy",
            "kind": "energy",
            "rates": [
                {"code": "sharp", "price_per_kwh": "1.2342"},
                {"code": "peak", "price_per_kwh": "1.0285"},
                {"code": "flat", "price_per_kwh": "0.6425"},
                {"code": "valley", "price_per_kwh": "0.2765"},
            ],
            "calendar": {
                "holidays": _HOLIDAYS,
                "seasons": [
                    {
                        "from": "07-01",
                        "to": "09-30",
                        "days": {
                            "weekday": [
                                ["00:00", "valley"],
                                ["08:00", "flat"],
                                ["10:00", "peak"],
                                ["13:00", "sharp"],
                                ["15:00", "peak"],
                                ["19:00", "flat"],
                            ],
                            "weekend": [["00:00", "valley"], ["08:00", "flat"], ["22:00", "valley"]],
                        },
                    },
                    {
                        "from": "10-01",
                        "to": "06-30",
                        "days": {
                            "weekday": [
                                ["00:00", "valley"],
                                ["08:00", "peak"],
                                ["11:00", "flat"],
                                ["17:30", "peak"],
                                ["21:00", "flat"],
                                ["23:00", "valley"],
                            ],
                            "weekend": [["00:00", "valley"], ["08:00", "flat"], ["22:00", "valley"]],
                            "holiday": [["00:00", "valley"]],
                        },
                    },
                ],
            },
        },
        {"id": "tax", "kind": "tax", "percent": "13", "covers": ["standing", "energy"]},
    ],
)

COMMERCIAL = _document(
    "commercial",
    [
        {"id": "standing", "kind": "fixed", "price": "36.00", "per": "month", "proration": "by_days"},
        {
            "id": "energy",
            "kind": "energy",
            "rates": [{"code": "all", "prices_per_kwh": ["0.7310", "0.8125"]}],
            "tiers": {"mode": "pro_rata", "counter": "month", "limits_kwh": ["1000"]},
        },
        {
            "id": "minimum",
            "kind": "minimum",
            "price": "60.00",
            "per": "month",
            "proration": "by_days",
            "covers": ["standing", "energy"],
        },
        {"id": "tax", "kind": "tax", "percent": "6", "covers": ["standing", "energy", "minimum"]},
    ],
)

TARIFFS = {"residential": RESIDENTIAL, "industrial": INDUSTRIAL, "commercial": COMMERCIAL}
