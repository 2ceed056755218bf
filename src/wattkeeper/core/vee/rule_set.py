"""Rule sets: which rules run for a group of series, with which thresholds, and what a failure does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.vee.formula import Formula
from wattkeeper.core.vee.profile import ClassProfile
from wattkeeper.core.vee.registry import RULE_BY_CODE, RULE_OF_FINDING, RULES, Rule, Scope, Severity

SUSPECT = int(Flag.SUSPECT)
FLAGS = 2**31 - 1  # what a column of flags holds


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a rule set differs from a rule's own defaults; `severity` None keeps the rule's."""

    severity: Severity | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimation:
    """How gaps are estimated.

    `after_s`: how long to wait for reads before estimating what no register brackets. `linear_max_s`: the
    longest gap that a line closes (E1). `is_average_first`: E3 before E2. `is_zero_last`: zero where nothing
    at all is known (Texas ``0,E``), else it stays missing. `is_checked_again`: rules that dispute look at
    estimates too. `profile`: what such customers use, where nothing is known of the series itself (E6).
    """

    after_s: int = 86_400
    linear_max_s: int = 7200
    is_average_first: bool = False
    is_zero_last: bool = False
    is_checked_again: bool = False
    profile: ClassProfile | None = None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules with their thresholds; `code` is stored with every run. `settings` by rule code.

    `formulas`: what has to be true of each day (V26).
    """

    code: str = "default-2"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    estimation: Estimation = field(default_factory=Estimation)
    formulas: tuple[Formula, ...] = ()

    @property
    def estimate_after_s(self) -> int:
        """How long to wait for reads before estimating what no register brackets."""
        return self.estimation.after_s

    def severity_of(self, code: str) -> Severity:
        """Return what a rule, named by its own code or by that of a finding, does; WARN for any other."""
        rule = RULE_OF_FINDING.get(code)
        if rule is None:
            return Severity.WARN
        own = self.settings[rule.code].severity if rule.code in self.settings else None
        return own or rule.severity

    def parameters_of(self, rule: Rule) -> Mapping[str, int]:
        """Return the thresholds of a rule."""
        own = self.settings[rule.code].parameters if rule.code in self.settings else {}
        return {**rule.parameters, **own}

    def rules(self, scope: Scope) -> Iterable[Rule]:
        """Yield the rules of a scope that are not off."""
        return (
            rule for rule in RULES if rule.scope is scope and self.severity_of(rule.code) is not Severity.OFF
        )

    def is_disputing_code(self, code: str) -> bool:
        """Whether the intervals that findings of this code name are not VALIDATED."""
        return self.severity_of(code) in (Severity.FAIL, Severity.ESTIMATE)

    def is_off(self, code: str) -> bool:
        """Whether findings of this code are not wanted."""
        return self.severity_of(code) is Severity.OFF

    @property
    def disputing_flags(self) -> int:
        """What a device may say of its values that leaves them not VALIDATED: SUSPECT, and what V05 fails."""
        rule = RULE_BY_CODE["vee.device-status"]
        is_disputing = self.is_disputing_code(rule.code)
        return SUSPECT | (self.parameters_of(rule)["failing_flags"] & FLAGS if is_disputing else 0)

    @property
    def estimating_rules(self) -> tuple[Rule, ...]:
        """The rules over intervals whose findings are estimated anew."""
        return tuple(
            rule for rule in self.rules(Scope.INTERVALS) if self.severity_of(rule.code) is Severity.ESTIMATE
        )

    def with_setting(self, code: str, severity: Severity | None = None, **parameters: int) -> "RuleSet":
        """Return the set with one rule set differently.

        :raises KeyError: if there is no such rule or parameter
        """
        rule = RULE_BY_CODE[code]
        for name in parameters:
            rule.parameters[name]
        return replace(self, settings={**self.settings, code: Setting(severity, parameters)})


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What one series can carry and resolve: largest power, and energy of one register step (primary), of
    each local day or of all alike.

    `has_registers`: its intervals are differences of positions, so that a disputed one keeps its energy.
    """

    series_id: int
    power_max_w: int
    resolution_milliwh: int | Sequence[int]
    has_registers: bool = True
