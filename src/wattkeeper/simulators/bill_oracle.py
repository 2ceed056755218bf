"""A bill on its own, in exact fractions: JSON in, JSON out; nothing of Wattkeeper is imported.

in:  {"tariff": document (format 1), "zone": name, "first_date": day, "end_date": day after the last one,
      "intervals": [[start_s, milliwh], ...], "used_before_milliwh": 0, "used_before_by_rate_milliwh": {}}
out: {"total_minor", "lines": [{"component", "rate", "tier", "quantity_milliwh", "amount" (a
      fraction of the major unit), "amount_minor"}]}, each line rounded half up; for a list of requests a list
"""

import calendar
import json
import sys
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
_ORDER = ("fixed", "energy", "minimum", "tax")


def compute(request: Json) -> Json:
    """Return the bill of a request."""
    scale = 1 if request["tariff"]["currency"] == "JPY" else 100
    first, end = (date.fromisoformat(request[name]) for name in ("first_date", "end_date"))
    days = [first + timedelta(days=i) for i in range((end - first).days)]
    lines: list[Json] = []
    for item in sorted(request["tariff"]["components"], key=lambda c: _ORDER.index(c["kind"])):
        covered = [line["amount_minor"] for line in lines if line["component"] in item.get("covers", [])]
        if item["kind"] == "energy":
            lines += [_line(item, scale, *cell) for cell in _energy(item, days, request)]
        elif item["kind"] == "tax":
            taxes = [Fraction(minor) * Fraction(item["percent"]) / 100 for minor in covered]
            line = _line(item, scale, sum(taxes, Fraction(0)) / scale)
            is_by_line = item.get("rounding") == "per_line"
            lines.append({**line, "amount_minor": sum(map(_half_up, taxes))} if is_by_line else line)
        else:
            amount = Fraction(item["price"]) * _spans(item, days) - Fraction(sum(covered), scale)
            lines += [_line(item, scale, amount)] if item["kind"] == "fixed" or amount > 0 else []
    return {"total_minor": sum(line["amount_minor"] for line in lines), "lines": lines}


def _line(item: Json, scale: int, amount: Fraction, *cell: object) -> Json:
    where = dict(zip(("rate", "tier", "quantity_milliwh"), cell or (None, None, None), strict=True))
    return {"component": item["id"], **where, "amount": str(amount), "amount_minor": _half_up(amount * scale)}


def _half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def _spans(item: Json, days: list[date]) -> Fraction:
    """Return how many months, years, days or periods of the price the days are."""
    if item["per"] in ("day", "period"):
        return Fraction(len(days) if item["per"] == "day" else 1)
    is_month = item["per"] == "month"
    if item["proration"] == "nominal":
        return Fraction(len(days), 30 if is_month else 365)
    if item["proration"] == "whole":
        return Fraction(len({(d.year, d.month if is_month else 0) for d in days}))
    lengths = (
        calendar.monthrange(d.year, d.month)[1] if is_month else 365 + calendar.isleap(d.year) for d in days
    )
    return sum((Fraction(1, length) for length in lengths), Fraction(0))


def _energy(item: Json, days: list[date], request: Json) -> list[tuple[Fraction, str, int | None, int]]:
    """Return (amount, rate code, tier from 1, milliwh) of each cell that holds energy."""
    zone, rates, found = ZoneInfo(request["zone"]), item["rates"], []
    used = {r["code"]: request.get("used_before_by_rate_milliwh", {}).get(r["code"], 0) for r in rates}
    total = request.get("used_before_milliwh", 0)
    counter = item.get("tiers", {}).get("counter")
    runs: dict[object, list[tuple[str, int]]] = {}
    for start_s, energy in sorted(request["intervals"]):
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=start_s)).astimezone(zone)
        if local.date() in days:
            key = {"month": (local.year, local.month), "year": local.year}.get(counter)
            runs.setdefault(key, []).append((_rate_code(item, local), energy))
    for index, rows in enumerate(runs.values()):
        total, used = (0, dict.fromkeys(used, 0)) if index else (total, used)
        for (rate, tier), quantity in sorted(_cells(item, rows, total, used, len(days)).items()):
            amount = _price(item, rate, tier) * Fraction(quantity, 10**6)
            if quantity:
                found.append((amount, rates[rate]["code"], tier + 1 if "tiers" in item else None, quantity))
    return found


def _rate_code(item: Json, local: datetime) -> str:
    day, today = local.date().isoformat(), local.strftime("%m-%d")
    plan = item.get("calendar", {"seasons": []})
    for season in plan["seasons"]:
        low, high = season["from"], season["to"]
        if low <= today <= high if low <= high else today >= low or today <= high:
            kinds = season["days"]
            weekend = kinds.get("weekend", kinds["weekday"])
            is_workday = day in plan.get("workdays", []) or local.weekday() < 5
            switches = kinds["weekday"] if is_workday else weekend
            switches = kinds.get("holiday", weekend) if day in plan.get("holidays", []) else switches
            return str([code for at, code in switches if at <= local.strftime("%H:%M")][-1])
    return str(item["rates"][0]["code"])


def _price(item: Json, rate: int, tier: int) -> Fraction:
    row, adders = item["rates"][rate], item.get("tiers", {}).get("adders_per_kwh")
    price = row["prices_per_kwh"][tier] if "prices_per_kwh" in row else row["price_per_kwh"]
    return Fraction(price) + (Fraction(adders[tier]) if adders else 0)


def _cells(
    item: Json, rows: list[tuple[str, int]], total: int, used: dict[str, int], days: int
) -> dict[Any, int]:
    """Return milliwh by (rate index, tier index)."""
    codes, tiers = [rate["code"] for rate in item["rates"]], item.get("tiers")
    sums = [sum(energy for code, energy in rows if code == rate) for rate in codes]
    if tiers is None:
        return {(rate, 0): energy for rate, energy in enumerate(sums)}
    part = Fraction(days, tiers["nominal_days"]) if tiers["counter"] == "days" else 1
    limits = [floor(Fraction(limit) * 10**6 * part) for limit in tiers["limits_kwh"]]
    cells = {(rate, tier): 0 for rate in range(len(codes)) for tier in range(len(limits) + 1)}
    left = _ladder(total, sum(sums), limits)
    for rate, energy in enumerate(sums if tiers["mode"] == "pro_rata" else []):
        cells |= {(rate, tier): share for tier, share in enumerate(_share(energy, left))}
        left = [rest - cells[rate, tier] for tier, rest in enumerate(left)]
    for code, energy in rows if tiers["mode"] != "pro_rata" else []:
        start = total if tiers["mode"] == "time_order" else used[code]
        for tier, share in enumerate(_ladder(start, energy, limits)):
            cells[codes.index(code), tier] += share
        total, used = total + energy, used | {code: used[code] + energy}
    return cells


def _ladder(start: int, added_milliwh: int, limits: list[int]) -> list[int]:
    edges = [0, *limits, max(start + added_milliwh, *limits)]
    return [max(0, min(start + added_milliwh, high) - max(start, low)) for low, high in pairwise(edges)]


def _share(added_milliwh: int, left: list[int]) -> list[int]:
    """Return whole shares in proportion to `left`; the largest remainders get what is over."""
    exact = [Fraction(added_milliwh * tier, sum(left) or 1) for tier in left]
    order = sorted(range(len(left)), key=lambda tier: (floor(exact[tier]) - exact[tier], tier))
    over = order[: added_milliwh - sum(map(floor, exact))]
    return [floor(share) + (tier in over) for tier, share in enumerate(exact)]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    bills = [compute(request) for request in asked] if isinstance(asked, list) else compute(asked)
    json.dump(bills, sys.stdout)
