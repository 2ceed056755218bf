"""Every rule of a rule set over a table of series at once: findings only where something was found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.formula import Formula
from wattkeeper.core.vee.registry import Rule, Scope
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import EnergyTable, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the series of a table beside their energy; None: not known, rules that need it rest.

    Names and shapes are those of the rules' arguments, where they are explained.
    """

    day_bounds_s: Int64s | None = None
    now_s: int | None = None
    power_max_w: Int64s | None = None
    resolution_milliwh: Int64s | None = None
    is_installed: Mask | None = None
    is_awaited: Mask | None = None
    expected_count: Int64s | None = None
    present_count: Int64s | None = None
    is_excused: Mask | None = None
    is_confirmed: Mask | None = None
    is_disconnected: Mask | None = None
    is_filled: Mask | None = None
    is_estimated: Mask | None = None
    register_milliwh: Int64s | None = None
    register_chain: Int64s | None = None
    reactive_millivarh: Int64s | None = None
    device_id: Int64s | None = None
    feeder_index: Int64s | None = None
    feeder_milliwh: Int64s | None = None
    feeder_series_id: Int64s | None = None
    loss_milliwh: Int64s | None = None
    is_partly_metered: Mask | None = None
    reference_milliwh: Int64s | None = None
    reference_s: Int64s | None = None
    reference_estimated_milliwh: Int64s | None = None
    reference_peak_milliwh: Int64s | None = None
    formulas: tuple[Formula, ...] | None = None


def validate(
    table: EnergyTable, known: Known, rule_set: RuleSet, *, scope: Scope = Scope.INTERVALS
) -> list[Finding]:
    """Return what the rules of a scope find in a table, in order of rule, each with its `series_id`.

    A rule runs where it is not off and everything that it needs is known.
    """
    return run_rules(table, known, rule_set, rule_set.rules(scope))


def run_rules(table: EnergyTable, known: Known, rule_set: RuleSet, rules: Iterable[Rule]) -> list[Finding]:
    """Return what some rules find in a table; one whose needs are not known finds nothing."""
    findings: list[Finding] = []
    if not len(table.series_id) or not len(table.starts_at_s):
        return findings
    for rule in rules:
        needed: dict[str, Any] = {name: getattr(known, name) for name in rule.needs}
        if all(value is not None for value in needed.values()):
            findings += rule.find(table, **needed, **rule_set.parameters_of(rule))
    return findings
