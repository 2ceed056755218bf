"""Real homes as meters: quarter-hour energy of 200 German homes, in whole steps of each meter's register."""

import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

HOMES = Path(__file__).resolve().parents[2] / "shared" / "data" / "homes_15min" / "homes200_kwh.parquet"
ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 1, 5)  # a Monday in winter; the data name no year
INTERVAL_S = 900
DAY_INTERVALS = 96
MILLIWH_PER_WH = 1000

Int64s = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Homes:
    """Energy (homes, intervals) from local midnight on; step and contract power of each home (homes,)."""

    energy_milliwh: Int64s
    step_milliwh: Int64s
    power_max_w: Int64s
    starts_at_s: Int64s

    @property
    def days_count(self) -> int:
        """Whole days in the data; all of them have 24 hours."""
        return self.energy_milliwh.shape[1] // DAY_INTERVALS

    @property
    def day_bounds_s(self) -> Int64s:
        """The local midnights, (days + 1,)."""
        return self.starts_at_s[0] + 86_400 * np.arange(self.days_count + 1)


def load_homes() -> Homes:
    """Return the homes; the step is 10 Wh where every value is a multiple of it, else 1 Wh.

    The contract is the next of the usual sizes above 1.3 times the highest quarter-hour.

    :raises SystemExit: where the data are not: they are beside a checkout, not in it
    """
    if not HOMES.exists():
        sys.exit(
            f"This needs the load of 200 real homes (R package ResidentialEnergyConsumption, CC BY-SA 4.0), "
            f"which is no part of the project: a column of kWh each, a row a quarter-hour, in {HOMES}"
        )
    table = pq.read_table(HOMES)
    kwh = np.stack([table.column(name).to_numpy() for name in table.column_names if name != "slot"])
    watt_hours = np.round(kwh.astype(np.float64) * 1000).astype(np.int64)
    step_wh = np.where((watt_hours % 10 == 0).all(axis=1), 10, 1)
    sizes_w = np.array([6, 10, 15, 25, 40, 63, 100]) * 1000
    peak_w = watt_hours.max(axis=1) * 4 * 13 // 10
    starts_at_s = int(datetime.combine(FIRST, datetime.min.time(), ZONE).timestamp())
    return Homes(
        watt_hours * MILLIWH_PER_WH,
        step_wh * MILLIWH_PER_WH,
        sizes_w[np.minimum(np.searchsorted(sizes_w, peak_w), len(sizes_w) - 1)],
        starts_at_s + INTERVAL_S * np.arange(watt_hours.shape[1]),
    )


def describe(homes: Homes) -> dict[str, Any]:
    """Return what the data are, for the printed result."""
    last = FIRST + timedelta(days=homes.days_count)
    return {
        "homes": len(homes.energy_milliwh),
        "intervals": int(homes.energy_milliwh.size),
        "days": homes.days_count,
        "as_if": f"{FIRST} to {last}",
        "source": "ResidentialEnergyConsumption (CC BY-SA 4.0)",
    }
