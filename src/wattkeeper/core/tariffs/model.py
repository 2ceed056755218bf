"""A tariff as frozen data: what a validated document says, nothing computed by looking at readings.

Prices are exact decimals in the currency's major unit (per kWh, day, month ...); energy limits are whole
milliwatt-hours; local time exists only as the zone's wall clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from zoneinfo import ZoneInfo


class DayType(Enum):
    """Which schedule of a season a local day follows."""

    WEEKDAY = "weekday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class Per(Enum):
    """The span a fixed price or a minimum is quoted for."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    PERIOD = "period"


class Proration(Enum):
    """How a part of a month or year is charged.

    `BY_DAYS`: days / days of that month or year; `NOMINAL`: days / 30 per month, days / 365 per year, always;
    `WHOLE`: each month or year that the period touches in full.
    """

    BY_DAYS = "by_days"
    NOMINAL = "nominal"
    WHOLE = "whole"


class TierMode(Enum):
    """How tiers and time of use meet; the same readings have three answers, so the tariff names one.

    `PRO_RATA`: the total decides the tiers, each rate gets its share of each; `TIME_ORDER`: the running total
    decides, interval by interval; `PER_PERIOD`: each rate climbs a ladder of its own.
    """

    PRO_RATA = "pro_rata"
    TIME_ORDER = "time_order"
    PER_PERIOD = "per_period"


class TierCounter(Enum):
    """What the limits count: a calendar month, a calendar year, or the bill's days against nominal days."""

    MONTH = "month"
    YEAR = "year"
    DAYS = "days"


class TaxRounding(Enum):
    """`ONCE`: the sum of the taxed lines; `PER_LINE`: each taxed line, then summed."""

    ONCE = "once"
    PER_LINE = "per_line"


@dataclass(frozen=True, slots=True)
class Switch:
    """From `minute` of the local day on (0..1439) the rate `rate_index` holds."""

    minute: int
    rate_index: int


@dataclass(frozen=True, slots=True)
class Season:
    """Month-days from `first` to `last`, both included, wrapping over the year's end where last < first."""

    first: tuple[int, int]
    last: tuple[int, int]
    days: Mapping[DayType, tuple[Switch, ...]]

    def contains(self, month_day: tuple[int, int]) -> bool:
        """Whether (month, day) lies in the season."""
        if self.first <= self.last:
            return self.first <= month_day <= self.last
        return month_day >= self.first or month_day <= self.last


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which rate holds when: seasons that cover each day of a year once, holidays, working weekend days."""

    seasons: tuple[Season, ...]
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    def day_type(self, day: date) -> DayType:
        """Return the day's type: a holiday before all, then a named working day, then the day of the week."""
        if day in self.holidays:
            return DayType.HOLIDAY
        if day in self.workdays or day.weekday() < 5:
            return DayType.WEEKDAY
        return DayType.WEEKEND


@dataclass(frozen=True, slots=True)
class Rate:
    """A named price level; `price_per_kwh` has one entry per tier (one in all where there are no tiers)."""

    code: str
    price_per_kwh: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Tiers:
    """Tier limits, ascending, in milliwatt-hours per `counter` (per `nominal_days` where it counts days)."""

    mode: TierMode
    counter: TierCounter
    limits_milliwh: tuple[int, ...]
    nominal_days: int = 0


@dataclass(frozen=True, slots=True)
class FixedCharge:
    """A standing charge."""

    id: str
    label_code: str
    price: Decimal
    per: Per
    proration: Proration


@dataclass(frozen=True, slots=True)
class EnergyCharge:
    """Energy by time of use and tier."""

    id: str
    label_code: str
    rates: tuple[Rate, ...]
    calendar: Calendar
    tiers: Tiers | None


@dataclass(frozen=True, slots=True)
class MinimumCharge:
    """What the components in `covers` come to at least; the difference is a line of its own."""

    id: str
    label_code: str
    price: Decimal
    per: Per
    proration: Proration
    covers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tax:
    """A percentage of the rounded lines of the components in `covers`."""

    id: str
    label_code: str
    percent: Decimal
    rounding: TaxRounding
    covers: tuple[str, ...]


Component = FixedCharge | EnergyCharge | MinimumCharge | Tax


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of a tariff, in force from the local `valid_from_date` on."""

    code: str
    version: int
    currency: str
    zone: ZoneInfo
    valid_from_date: date
    components: tuple[Component, ...]

    @property
    def key(self) -> str:
        """``code/version``: what a bill names as its tariff version."""
        return f"{self.code}/{self.version}"
