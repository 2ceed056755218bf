"""Which rule set holds for a series at an instant: rule sets per group of series, with effective dates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import BEGINNING_S, FOREVER_S, RulePlan


class OverlappingRuleSets(WattkeeperError):
    """Raised when two rule sets hold for one group at one instant."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A rule set for a group of series over ``[starts_at_s, ends_at_s)``; group None is every series."""

    group: str | None
    rule_set: RuleSet
    starts_at_s: int
    ends_at_s: int | None = None

    def holds_at(self, at_s: int) -> bool:
        """Whether the assignment is in force at an instant."""
        return self.starts_at_s <= at_s and (self.ends_at_s is None or at_s < self.ends_at_s)

    def overlaps(self, other: "Assignment") -> bool:
        """Whether both name the same group and share an instant."""
        is_before = self.ends_at_s is not None and self.ends_at_s <= other.starts_at_s
        is_after = other.ends_at_s is not None and other.ends_at_s <= self.starts_at_s
        return self.group == other.group and not is_before and not is_after


@dataclass(frozen=True, slots=True)
class RuleSchedule:
    """All assignments of a tenant, and what holds where none does.

    :raises OverlappingRuleSets: if two for the same group overlap
    """

    assignments: tuple[Assignment, ...] = ()
    default: RuleSet = field(default_factory=RuleSet)

    def __post_init__(self) -> None:
        ordered = sorted(self.assignments, key=lambda each: (each.group or "", each.starts_at_s))
        for place, each in enumerate(ordered[1:]):
            if each.overlaps(ordered[place]):
                raise OverlappingRuleSets("vee.rule-set-overlap", group=each.group or "*")

    def find(self, groups: Sequence[str], at_s: int) -> RuleSet:
        """Return the rule set of a series that is in `groups`, most specific first, at an instant.

        The first of its groups that has one wins, then that of every series, then the default.
        """
        for group in (*groups, None):
            for each in self.assignments:
                if each.group == group and each.holds_at(at_s):
                    return each.rule_set
        return self.default

    def spans(self, groups: Sequence[str], from_s: int, to_s: int) -> list[tuple[int, int, RuleSet]]:
        """Return ``[from_s, to_s)`` cut where the rule set of a series in `groups` changes."""
        wanted = {*groups, None}
        cuts = {from_s, to_s}
        for each in self.assignments:
            if each.group in wanted:
                ends_at_s = to_s if each.ends_at_s is None else each.ends_at_s
                cuts |= {at_s for at_s in (each.starts_at_s, ends_at_s) if from_s < at_s < to_s}
        edges = sorted(cuts)
        spans: list[tuple[int, int, RuleSet]] = []
        for first_s, end_s in pairwise(edges):
            rule_set = self.find(groups, first_s)
            if spans and spans[-1][2] is rule_set:
                first_s = spans.pop()[0]
            spans.append((first_s, end_s, rule_set))
        return spans

    def plan(self, groups: Sequence[str]) -> RulePlan:
        """Return the rule sets of a series in `groups` over all time."""
        spans = self.spans(groups, BEGINNING_S, FOREVER_S)
        return RulePlan(tuple(from_s for from_s, _, _ in spans), tuple(rules for _, _, rules in spans))
