"""Estimates of registers that have no intervals: proration, average daily load, forward estimates."""

from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.table import DAY_S


def prorate_register(*, at_s: int, from_s: int, from_value: int, to_s: int, to_value: int) -> int:
    """Return the register at an instant between two reads, on a straight line, rounded down (rule E7).

    ``R(t) = R0 + (R1 - R0) (t - t0) / (t1 - t0)``.
    """
    return from_value + (to_value - from_value) * (at_s - from_s) // (to_s - from_s)


def prorate_by_profile(*, weight_before: int, weight_total: int, from_value: int, to_value: int) -> int:
    """Return the register at an instant between two reads by a profile instead of a line (rule E7).

    `weight_before`, `weight_total`: what the profile holds from the first read to the instant, and to the
    second read; without any weight the answer is the first read.
    """
    if weight_total == 0:
        return from_value
    return from_value + (to_value - from_value) * weight_before // weight_total


def forecast_by_daily_load(*, energy_milliwh: int, period_s: int, forecast_s: int) -> int:
    """Return the energy of a coming period by the average daily load of the last actual one (rule E8).

    AEMO methods 25 and 65: ``ADL = energy / days``, estimate ``ADL * days``; in seconds, rounded down once.

    :raises UnableToEstimate: if the actual period has no length or went backwards
    """
    if period_s <= 0 or energy_milliwh < 0:
        raise UnableToEstimate("vee.no-daily-load", period_s=period_s)
    return energy_milliwh * forecast_s // period_s


def average_daily_load_milliwh(*, energy_milliwh: int, period_s: int) -> int:
    """Return energy by day of a period (rule E8), rounded down.

    :raises UnableToEstimate: if the period has no length or went backwards
    """
    return forecast_by_daily_load(energy_milliwh=energy_milliwh, period_s=period_s, forecast_s=DAY_S)
