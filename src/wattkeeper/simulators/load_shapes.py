"""How much power homes, machines and shops draw, minute by minute of one local day. Watts as float64.

Shapes are of a humid subtropical city (hot summers, cool winters): evening peaks, cooling above 26 degrees,
heating below 12. Each home, machine and shop keeps its own character through the year.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Watts = NDArray[np.float64]
DAY_MINUTES = 1440
_MINUTES = np.arange(DAY_MINUTES, dtype=np.float64)


def temperatures(day: date, rng: Generator) -> Watts:
    """Return the outdoor temperature in degrees Celsius, shape (1440,)."""
    season = np.cos(2 * np.pi * (day.timetuple().tm_yday - 205) / 365.25)
    daily = np.cos(2 * np.pi * (_MINUTES - 15 * 60) / DAY_MINUTES)
    return np.asarray(17.0 + 12.0 * season + rng.normal(0, 2.5) + 4.0 * daily)


def _bell(centre_minute: NDArray[np.float64], width_minutes: NDArray[np.float64]) -> Watts:
    distance = (_MINUTES[None, :] - centre_minute[:, None] + 720) % DAY_MINUTES - 720
    return np.asarray(np.exp(-0.5 * (distance / width_minutes[:, None]) ** 2))


def _between(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((_MINUTES[None, :] >= starts[:, None]) & (_MINUTES[None, :] < ends[:, None]))


@dataclass(frozen=True, slots=True, eq=False)
class Homes:
    """The characters of `count` homes, arrays of shape (count,)."""

    count: int
    base_w: Watts
    peak_w: Watts
    morning_minute: Watts
    evening_minute: Watts
    is_home_by_day: NDArray[np.bool_]
    air_conditioner_w: Watts
    events_per_day: Watts

    @classmethod
    def draw(cls, count: int, rng: Generator) -> "Homes":
        """Return homes drawn at random."""
        return cls(
            count,
            rng.uniform(60, 190, count),
            rng.lognormal(np.log(420), 0.45, count),
            rng.normal(7 * 60, 35, count),
            rng.normal(19.7 * 60, 50, count),
            rng.random(count) < 0.35,
            rng.uniform(700, 1900, count),
            rng.uniform(5, 13, count),
        )

    def day_w(self, day: date, rng: Generator) -> Watts:
        """Return the power of each home, shape (count, 1440)."""
        is_weekend = day.weekday() >= 5
        jitter = rng.normal(0, 18, self.count)
        morning = _bell(self.morning_minute + jitter + 55 * is_weekend, np.full(self.count, 45.0))
        evening = _bell(self.evening_minute + jitter, np.full(self.count, 105.0))
        midday = _bell(np.full(self.count, 12.6 * 60), np.full(self.count, 110.0))
        at_home = np.where(self.is_home_by_day | is_weekend, 0.55, 0.12)[:, None]
        activity = 0.6 * morning + evening + at_home * midday
        power = self.base_w[:, None] * (1 + 0.25 * np.sin(_MINUTES / 9.0 + jitter[:, None]))
        power += self.peak_w[:, None] * activity + self._climate_w(day, rng, activity)
        return np.asarray(power + self._appliances_w(rng, activity))

    def _climate_w(self, day: date, rng: Generator, activity: Watts) -> Watts:
        outdoor = temperatures(day, rng)
        need = np.clip((outdoor - 26) / 6, 0, 1) + np.clip((12 - outdoor) / 10, 0, 1) * 0.8
        duty = ((_MINUTES[None, :] + 31 * np.arange(self.count)[:, None]) % 24) < 15
        return np.asarray(
            self.air_conditioner_w[:, None] * need[None, :] * duty * np.clip(activity * 1.4, 0, 1)
        )

    def _appliances_w(self, rng: Generator, activity: Watts) -> Watts:
        events = rng.poisson(self.events_per_day)
        home = np.repeat(np.arange(self.count), events)
        weights = np.cumsum(activity + 0.02, axis=1)
        picks = rng.random(len(home)) * weights[home, -1]
        start = (weights[home] < picks[:, None]).sum(axis=1)
        kind = rng.integers(0, 4, len(home))
        power = np.array([1500.0, 900.0, 1900.0, 400.0])[kind] * rng.uniform(0.8, 1.2, len(home))
        end = np.minimum(start + np.array([5, 35, 18, 70])[kind], DAY_MINUTES)
        steps = np.zeros((self.count, DAY_MINUTES + 1))
        np.add.at(steps, (home, start), power)
        np.add.at(steps, (home, end), -power)
        return np.asarray(np.cumsum(steps, axis=1)[:, :-1])


@dataclass(frozen=True, slots=True, eq=False)
class Machines:
    """Production machines: two shifts on weekdays, a lunch dip, one shift on Saturdays, base load always."""

    running_w: Watts
    base_w: Watts

    @classmethod
    def draw(cls, running_w: list[int], rng: Generator) -> "Machines":
        """Return machines of about the given running power."""
        running = np.array(running_w, dtype=np.float64) * rng.uniform(0.9, 1.1, len(running_w))
        return cls(running, running * rng.uniform(0.03, 0.08, len(running_w)))

    def day_w(self, day: date, rng: Generator) -> Watts:
        """Return the power of each machine, shape (count, 1440)."""
        count = len(self.running_w)
        if day.weekday() == 6:
            return np.asarray(self.base_w[:, None] * np.ones((1, DAY_MINUTES)))
        ends = 22.0 if day.weekday() < 5 else 16.0
        on = _between(rng.normal(7.9 * 60, 6, count), rng.normal(ends * 60, 10, count)).astype(np.float64)
        lunch = _between(rng.normal(12 * 60, 4, count), rng.normal(12.8 * 60, 4, count))
        cycle = 0.72 + 0.22 * np.sin(_MINUTES[None, :] / rng.uniform(3, 14, count)[:, None])
        noise = rng.normal(1, 0.05, (count, DAY_MINUTES))
        on[lunch] = 0.25
        return np.asarray(
            self.base_w[:, None] + self.running_w[:, None] * on * np.clip(cycle * noise, 0.05, 1.2)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Shops:
    """Shops and common services of a building: opening hours, lights, cooling, a refrigerated base."""

    open_w: Watts
    base_w: Watts
    opens_minute: Watts
    closes_minute: Watts

    @classmethod
    def draw(cls, open_w: list[int], rng: Generator) -> "Shops":
        """Return shops of about the given power while open."""
        count = len(open_w)
        power = np.array(open_w, dtype=np.float64) * rng.uniform(0.85, 1.15, count)
        opens = rng.choice([7.5, 9.0, 10.0], count) * 60
        return cls(
            power, power * rng.uniform(0.06, 0.3, count), opens, opens + rng.uniform(10, 12.5, count) * 60
        )

    def day_w(self, day: date, rng: Generator) -> Watts:
        """Return the power of each shop, shape (count, 1440)."""
        count = len(self.open_w)
        on = _between(
            self.opens_minute + rng.normal(0, 4, count), self.closes_minute + rng.normal(0, 6, count)
        )
        outdoor = temperatures(day, rng)
        climate = np.clip((outdoor - 24) / 8, 0, 1) + 0.5 * np.clip((13 - outdoor) / 10, 0, 1)
        evening = np.where(_MINUTES >= 17.5 * 60, 0.18, 0.0)
        busy = 0.7 + (0.15 if day.weekday() >= 5 else 0.0) + evening + 0.5 * climate
        noise = rng.normal(1, 0.03, (count, DAY_MINUTES))
        return np.asarray(self.base_w[:, None] + self.open_w[:, None] * on * busy[None, :] * noise)
