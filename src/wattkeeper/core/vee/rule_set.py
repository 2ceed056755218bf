"""The thresholds of a rule set, and what one series can carry and resolve."""

from dataclasses import dataclass

from wattkeeper.core.vee.rules import CONSTANT_COUNT, DEMAND_PCT, SPIKE_PCT, ZERO_DAY_COUNT

DISPUTING_RULES = frozenset({"vee.spike", "vee.max-demand", "vee.negative", "vee.sum-check"})


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Thresholds of the rules; `code` is stored with every run."""

    code: str = "default-1"
    spike_pct: int = SPIKE_PCT
    spike_floor_pct: int = 50  # of what the service carries in an interval; below it a peak is ordinary use
    demand_pct: int = DEMAND_PCT
    zero_day_count: int = ZERO_DAY_COUNT
    constant_count: int = CONSTANT_COUNT
    constant_floor_steps: int = 50  # register steps an interval must hold before equal values mean anything
    estimate_after_s: int = 86_400  # how long to wait for reads before estimating what no register brackets


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What one series can carry and resolve: largest power, and energy of one register step (primary)."""

    series_id: int
    power_max_w: int
    resolution_milliwh: int
