"""The rule sets of one series over time, and a window that is derived under more than one of them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import NO_CANDIDATES, Candidates
from wattkeeper.core.vee.edits import Edit
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits
from wattkeeper.core.vee.series import validate_and_estimate

BEGINNING_S = -(2**40)
FOREVER_S = 2**40
RuleSpan = tuple[int, int, RuleSet]


@dataclass(frozen=True, slots=True)
class RulePlan:
    """Which rule set holds when: `rule_sets[i]` from `starts_at_s[i]` (UTC seconds, rising) to the next.

    The first holds from the beginning, the last for ever. Starts are local midnights of the series, so that
    a day knows one rule set.
    """

    starts_at_s: tuple[int, ...]
    rule_sets: tuple[RuleSet, ...]

    @classmethod
    def of(cls, rule_set: RuleSet) -> "RulePlan":
        """Return the plan of one rule set for ever."""
        return cls((BEGINNING_S,), (rule_set,))

    def at(self, at_s: int) -> RuleSet:
        """Return the rule set in force at an instant."""
        return self.rule_sets[self._place(at_s)]

    def held(self, at_s: int) -> Span:
        """Return the half-open span around an instant in which the same rule set holds."""
        place = self._place(at_s)
        ends_at_s = self.starts_at_s[place + 1] if place + 1 < len(self.starts_at_s) else FOREVER_S
        return self.starts_at_s[place], ends_at_s

    def over(self, from_s: int, to_s: int) -> list[RuleSpan]:
        """Return ``[from_s, to_s)`` cut where the rule set changes."""
        first, last = self._place(from_s), self._place(to_s - 1)
        starts_s = [from_s, *self.starts_at_s[first + 1 : last + 1]]
        return list(
            zip(starts_s, [*starts_s[1:], to_s], self.rule_sets[first : last + 1], strict=True),
        )

    def differs(self, other: "RulePlan", from_s: int, to_s: int) -> list[Span]:
        """Return where in ``[from_s, to_s)`` two plans judge differently, touching spans joined.

        Rule sets that differ by nothing but their code judge the same.
        """
        cuts = {from_s, to_s, *self.starts_at_s, *other.starts_at_s}
        edges = sorted(at_s for at_s in cuts if from_s <= at_s <= to_s)
        found: list[Span] = []
        for first_s, end_s in pairwise(edges):
            if not is_same_judgement(self.at(first_s), other.at(first_s)):
                joined_s = found.pop()[0] if found and found[-1][1] == first_s else first_s
                found.append((joined_s, end_s))
        return found

    def _place(self, at_s: int) -> int:
        return max(bisect_right(self.starts_at_s, at_s) - 1, 0)


def is_same_judgement(one: RuleSet, other: RuleSet) -> bool:
    """Whether two rule sets treat every value alike, whatever they are called."""
    if one.estimation != other.estimation:
        return False
    rules = (RULE_BY_CODE[code] for code in {*one.settings, *other.settings})
    return all(
        one.severity_of(rule.code) == other.severity_of(rule.code)
        and one.parameters_of(rule) == other.parameters_of(rule)
        for rule in rules
    )


def validate_by_plan(
    derived: Intervals,
    *,
    plan: RulePlan,
    limits: SeriesLimits,
    calendar: DayCalendar,
    from_s: int,
    to_s: int,
    now_s: int,
    candidates: Candidates = NO_CANDIDATES,
    edits: Sequence[Edit] = (),
) -> tuple[Intervals, tuple[Finding, ...]]:
    """Return what `validate_and_estimate` does, each interval under the rule set in force at its start.

    A gap between two reads, or a run of values estimated anew, that a change of rule set cuts is estimated as
    a whole by the rule set in force where it begins: the energy between its registers stays what it is.
    """
    spans = plan.over(from_s, to_s)
    results = [
        validate_and_estimate(
            derived,
            limits=limits,
            calendar=calendar,
            from_s=from_s,
            to_s=to_s,
            now_s=now_s,
            rules=rule_set,
            candidates=candidates,
            edits=edits,
        )
        for _, _, rule_set in spans
    ]
    if len(results) == 1:
        return results[0]
    windows = [window for window, _ in results]
    owner = _owners(windows, np.array([start_s for start_s, _, _ in spans], dtype=np.int64), derived)
    return _chosen(windows, owner), _findings_of(results, owner)


def _owners(windows: Sequence[Intervals], starts_s: Int64s, derived: Intervals) -> Int64s:
    """Return by interval which result counts: a run that any result does not leave measured has one.

    A read between two gaps ends such a run, and so does a time without a meter.
    """
    starts_at_s = windows[0].starts_at_s
    is_measured = np.logical_and.reduce([window.provenance == Provenance.MEASURED for window in windows])
    is_first = is_measured | np.append(True, is_measured[:-1])
    between = {gap.first_index for gap in derived.gaps} & {gap.end_index for gap in derived.gaps}
    is_first |= np.isin(starts_at_s, derived.starts_at_s[sorted(between)])
    is_first |= np.append(False, ~windows[0].is_installed[:-1])
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(is_first)), 0))
    owner: Int64s = np.searchsorted(starts_s, starts_at_s[first], side="right").astype(np.int64) - 1
    return owner


def _chosen(windows: Sequence[Intervals], owner: Int64s) -> Intervals:
    at = np.arange(len(owner))
    return replace(
        windows[0],
        value_milliwh=np.stack([window.value_milliwh for window in windows])[owner, at],
        provenance=np.stack([window.provenance for window in windows])[owner, at],
        flags=np.stack([window.flags for window in windows])[owner, at],
        method=np.stack([window.method for window in windows])[owner, at],
    )


def _findings_of(
    results: Sequence[tuple[Intervals, tuple[Finding, ...]]], owner: Int64s
) -> tuple[Finding, ...]:
    """Return of each result the findings about intervals that it counts for; each once."""
    starts_at_s = results[0][0].starts_at_s
    once = {}
    for index, (_, findings) in enumerate(results):
        for finding in findings:
            place = int(np.searchsorted(starts_at_s, finding.starts_at_s, side="right")) - 1
            if owner[max(place, 0)] == index:
                once[finding.key] = finding
    return tuple(once.values())
