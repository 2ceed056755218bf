"""Builders for bills: a tariff document, a month of intervals, a bill."""

from collections.abc import Callable, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattkeeper.core.billing.compute import compute_bill
from wattkeeper.core.billing.document import BillDocument
from wattkeeper.core.billing.intervals import IntervalColumns
from wattkeeper.core.kernel.instants import Period, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.tariffs.model import Tariff
from wattkeeper.core.tariffs.parse import parse_tariff

TOU = {
    "seasons": [
        {
            "from": "01-01",
            "to": "12-31",
            "days": {"weekday": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]},
        }
    ]
}


def tariff(*components: dict[str, Any], zone: str = "Asia/Shanghai", **changes: Any) -> Tariff:
    """Return a tariff of the components."""
    document = {
        "format": 1,
        "code": "test",
        "version": 1,
        "currency": "CNY",
        "zone": zone,
        "valid_from": "2000-01-01",
        "components": list(components),
    }
    return parse_tariff({**document, **changes})


def flat(price: str, **more: Any) -> dict[str, Any]:
    """Return an energy component of one rate."""
    return {"id": "energy", "kind": "energy", "rates": [{"code": "all", "price_per_kwh": price}], **more}


def tou(peak: str, valley: str, **more: Any) -> dict[str, Any]:
    """Return an energy component with a peak from 08:00 to 22:00."""
    rates = [{"code": "peak", "price_per_kwh": peak}, {"code": "valley", "price_per_kwh": valley}]
    return {"id": "energy", "kind": "energy", "rates": rates, "calendar": TOU, **more}


def period(first: str, end: str, zone: str = "Asia/Shanghai") -> Period:
    """Return the instants of half-open local dates."""
    start, stop = (local_midnight(date.fromisoformat(day), ZoneInfo(zone)) for day in (first, end))
    return Period(start, stop)


def columns(span: Period, energy_milliwh: Sequence[int] | int, interval_s: int = 3600) -> IntervalColumns:
    """Return measured intervals: those given, then zeros; a number is spread as evenly as integers allow."""
    assert span.ends_at is not None
    starts = np.arange(to_seconds(span.starts_at), to_seconds(span.ends_at), interval_s, dtype=np.int64)
    values = np.zeros(len(starts), dtype=np.int64)
    if isinstance(energy_milliwh, int):
        positions = np.array([energy_milliwh * i // len(starts) for i in range(len(starts) + 1)])
        values[:] = np.diff(positions)
    else:
        values[: len(energy_milliwh)] = energy_milliwh
    measured = np.full(len(starts), Provenance.MEASURED, dtype=np.int64)
    return IntervalColumns(starts, values, measured, np.zeros(len(starts), dtype=np.int64))


def bill(
    tariffs: Tariff | Sequence[Tariff],
    span: Period,
    intervals: IntervalColumns | Sequence[int] | int,
    interval_s: int = 3600,
    **more: Any,
) -> BillDocument:
    """Return the bill of intervals, or of energies in milliwatt-hours."""
    rows = intervals if isinstance(intervals, IntervalColumns) else columns(span, intervals, interval_s)
    given = {"usage_point": "up-1", "series_id": 7, "run_id": 3, "data_version": "run-3", **more}
    held = [tariffs] if isinstance(tariffs, Tariff) else tariffs
    return compute_bill(tariffs=held, period=span, intervals=rows, interval_s=interval_s, **given)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Return the builders."""
    builders: dict[str, Callable[..., Any]] = {
        "tariff": tariff,
        "flat": flat,
        "tou": tou,
        "period": period,
        "columns": columns,
        "bill": bill,
    }
    return SimpleNamespace(**builders)
