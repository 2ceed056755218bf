"""The 27 validation rules as data: what each is called, needs, asks of its user and does when it fails.

V06 is two: over days, as they are derived, and over stored months.

`needs` and `parameters` are read off the rule's function: keyword arguments without and with a default.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter, signature
from typing import Any

from wattkeeper.core.vee.register_rules import (
    find_clock_errors,
    find_impossible_advances,
    find_impossible_instants,
)
from wattkeeper.core.vee.rules import find_demand_over_limit, find_jumps, find_negative, find_spikes
from wattkeeper.core.vee.rules_constant import find_constant
from wattkeeper.core.vee.rules_days import (
    find_missing_siblings,
    find_prolonged_estimation,
    find_usage_on_inactive,
    find_wrong_counts,
    find_zero_consumption,
)
from wattkeeper.core.vee.rules_delivery import (
    find_device_faults,
    find_doubtful_replacements,
    find_repeats,
    find_wrong_identities,
    find_wrong_multipliers,
    find_wrong_units,
)
from wattkeeper.core.vee.rules_electric import find_feeder_imbalances, find_reactive_without_active
from wattkeeper.core.vee.rules_instants import find_phase_faults, find_tou_mismatches
from wattkeeper.core.vee.rules_periods import find_high_low_usage, find_odd_statistics, find_peak_changes
from wattkeeper.core.vee.rules_sums import find_daily_sum_mismatches, find_month_sum_mismatches


class Severity(Enum):
    """What a finding of a rule does to the values that it names."""

    OFF = "off"  # the rule is not run
    WARN = "warn"  # the values stand
    FAIL = "fail"  # the values are disputed: used, but not VALIDATED
    ESTIMATE = (
        "estimate"  # the values are disputed and estimated anew, SUSPECT; the finding keeps what was measured
    )


class Scope(Enum):
    """Over what a rule looks, and so when it can be run."""

    INTERVALS = "intervals"  # whole local days of a window, whenever they are derived
    PERIOD = "period"  # stored days and months, every hour
    READS = "reads"  # what was delivered, as it comes


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `codes` are those of its findings; the first names the rule. `parameters` with defaults.

    Codes outside ``vee.`` are found where the values are made or read, and go by the rule's severity.
    """

    number: str
    codes: tuple[str, ...]
    scope: Scope
    severity: Severity
    source: str
    find: Callable[..., Any]
    needs: tuple[str, ...]
    parameters: Mapping[str, int]

    @property
    def code(self) -> str:
        """The name of the rule."""
        return self.codes[0]


def _rule(
    number: str, codes: str, find: Callable[..., Any], scope: Scope, severity: Severity, source: str
) -> Rule:
    keywords = [each for each in signature(find).parameters.values() if each.kind is Parameter.KEYWORD_ONLY]
    return Rule(
        number=number,
        codes=tuple(code if "." in code else f"vee.{code}" for code in codes.split()),
        scope=scope,
        severity=severity,
        source=source,
        find=find,
        needs=tuple(each.name for each in keywords if each.default is Parameter.empty),
        parameters={each.name: each.default for each in keywords if each.default is not Parameter.empty},
    )


_INTERVALS, _PERIOD, _READS = Scope.INTERVALS, Scope.PERIOD, Scope.READS
_OFF, _WARN, _FAIL = Severity.OFF, Severity.WARN, Severity.FAIL

RULES: tuple[Rule, ...] = (
    _rule("V01", "duplicate", find_repeats, _READS, _WARN, "Oracle Duplicate IMD"),
    _rule(
        "V02",
        "interval-count",
        find_wrong_counts,
        _PERIOD,
        _WARN,
        "Oracle Interval Size; IEC 61968-9 5.259",
    ),
    _rule("V03", "clock collection.clock", find_clock_errors, _READS, _WARN, "California MDMA: 3 minutes"),
    _rule("V04", "identity", find_wrong_identities, _READS, _FAIL, "California meter identification"),
    _rule("V05", "device-status", find_device_faults, _READS, _FAIL, "IEC 61968-9 categories 1 and 4"),
    _rule("V06", "sum-check negative-gap", find_daily_sum_mismatches, _INTERVALS, _FAIL, "Oracle Sum Check"),
    _rule("V06", "month-sum", find_month_sum_mismatches, _PERIOD, _WARN, "Oracle Sum Check, a month"),
    _rule(
        "V07",
        "register-advance readings.register-backwards readings.jump",
        find_impossible_advances,
        _READS,
        _FAIL,
        "Oracle, Itron register rules",
    ),
    _rule("V08", "spike", find_spikes, _INTERVALS, _FAIL, "Oracle Interval Spike; California, UBP: 180 %"),
    _rule("V09", "max-demand", find_demand_over_limit, _INTERVALS, _FAIL, "Itron Demand High Limit"),
    _rule("V10", "jump", find_jumps, _INTERVALS, _OFF, "Itron Demand Tolerance Consecutive Intervals"),
    _rule("V11", "high-usage low-usage", find_high_low_usage, _PERIOD, _WARN, "Oracle High/Low; Itron"),
    _rule("V12", "peak-change", find_peak_changes, _PERIOD, _WARN, "Itron Historical Max Usage Per Diff"),
    _rule(
        "V13",
        "zero-consumption",
        find_zero_consumption,
        _PERIOD,
        _WARN,
        "Oracle Zero Consumption; AEMO 68",
    ),
    _rule("V14", "usage-on-inactive", find_usage_on_inactive, _PERIOD, _WARN, "Oracle Inactive Measurement"),
    _rule(
        "V15",
        "replacement readings.conflict",
        find_doubtful_replacements,
        _READS,
        _WARN,
        "Oracle Final Measurement Replacement",
    ),
    _rule("V16", "negative", find_negative, _INTERVALS, _FAIL, "Oracle Negative Consumption"),
    _rule("V17", "multiplier", find_wrong_multipliers, _READS, _FAIL, "Oracle Multiplier Check; AEMO 100"),
    _rule("V18", "unit", find_wrong_units, _READS, _FAIL, "Oracle Unit of Measure"),
    _rule("V19", "constant", find_constant, _INTERVALS, _WARN, "Oracle Consecutive Interval Check"),
    _rule(
        "V20",
        "reactive-only power-factor",
        find_reactive_without_active,
        _PERIOD,
        _WARN,
        "California kVARh",
    ),
    _rule("V21", "tou-sum", find_tou_mismatches, _READS, _WARN, "IEC 61968-9 6.9"),
    _rule("V22", "sibling-missing", find_missing_siblings, _PERIOD, _WARN, "Oracle Sibling MCs"),
    _rule(
        "V23",
        "prolonged-estimation",
        find_prolonged_estimation,
        _PERIOD,
        _WARN,
        "Oracle Prolonged Estimation",
    ),
    _rule(
        "V24",
        "feeder-balance feeder-exceeded",
        find_feeder_imbalances,
        _PERIOD,
        _WARN,
        "balance of a feeder",
    ),
    _rule(
        "V25",
        "voltage-missing current-imbalance reverse-power",
        find_phase_faults,
        _READS,
        _WARN,
        "tamper signs of a three-phase meter",
    ),
    _rule("V26", "statistics", find_odd_statistics, _PERIOD, _WARN, "Oracle Dynamic Comparison"),
    _rule(
        "V27",
        "impossible-instant",
        find_impossible_instants,
        _READS,
        _FAIL,
        "stamp from the future or the past",
    ),
)

PERIOD_CODES = frozenset(code for rule in RULES if rule.scope is Scope.PERIOD for code in rule.codes)
"""Codes of findings that are judged on stored days, apart from the windows in which intervals are derived."""

RULE_BY_CODE: Mapping[str, Rule] = {rule.code: rule for rule in RULES}
RULE_OF_FINDING: Mapping[str, Rule] = {code: rule for rule in RULES for code in rule.codes}
