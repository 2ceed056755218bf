"""Rule sets and edits for the pipeline: the tenant's schedule, read with each run's other inputs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.kinds import find_kinds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.data.registry.resets import list_reset_series
from wattkeeper.data.registry.told import list_told_otherwise
from wattkeeper.data.vee.queries import edited_series
from wattkeeper.data.vee.schedules import NO_GROUP, TenantSchedule, load_schedule
from wattkeeper.pipeline.plain_groups import REACH_S
from wattkeeper.pipeline.ports import PlainSeries


class DataRules:
    """The schedule of one tenant; `begin` reads it anew, so that a run sees one and the same throughout."""

    def __init__(self, tenant_id: int) -> None:
        self._tenant_id = tenant_id
        self._schedule: TenantSchedule | None = None

    def begin(self) -> TenantSchedule:
        """Read the schedule as it is now, and return it."""
        self._schedule = load_schedule(self._tenant_id)
        return self._schedule

    @property
    def schedule(self) -> TenantSchedule:
        """The schedule of the run, read at the latest now."""
        return self.begin() if self._schedule is None else self._schedule

    def plan_of(self, series_id: int, zone: str) -> RulePlan | None:
        """Return the rule sets of a series over time; None where the tenant has none of its own."""
        schedule = self.schedule
        return None if schedule.is_default else schedule.plan_of(series_id, zone)

    def plain(self, found: PlainSeries, at_s: Int64s) -> PlainSeries:
        """Return plain series with the rule set in force at `at_s` (series,).

        Those edited are left out, those whose meter tells another multiplier than is registered, and those
        with a register that was set. Where facts are said to hold is cut to where the rule set does, with
        room for the reads around.
        """
        special = [
            *edited_series(self._tenant_id),
            *list_told_otherwise(self._tenant_id),
            *list_reset_series(self._tenant_id),
        ]
        is_special = np.isin(found.facts.series_id, np.array(special, dtype=np.int64))
        if is_special.any():
            found, at_s = found.take(~is_special), at_s[~is_special]
        if self.schedule.is_default or not len(found):
            return found
        return _with_rules(found, at_s, self._groups(found.facts.series_id), self.schedule.plan_of_group)

    def _groups(self, series_id: Int64s) -> NDArray[np.str_]:
        """Return the code of the group of each series, ``*`` for none."""
        of = self.schedule.group_of
        return np.array([of.get(own, NO_GROUP) for own in series_id.tolist()])


def _with_rules(
    found: PlainSeries, at_s: Int64s, groups: NDArray[np.str_], plan_of: Callable[[str, str], RulePlan]
) -> PlainSeries:
    codes, group_index = np.unique(groups, return_inverse=True)
    keys = np.stack((found.calendar_index, group_index, at_s))
    firsts, kind_of = find_kinds(keys)
    kinds = keys[:, firsts]
    places: dict[tuple[int, str], int] = {}
    calendars: list[DayCalendar] = []
    rule_sets: list[RuleSet] = []
    columns = np.zeros((3, kinds.shape[1]), dtype=np.int64)
    for i, (calendar, group, instant_s) in enumerate(kinds.T.tolist()):
        plan = plan_of(str(codes[group]), found.calendars[calendar].zone.key)
        rules = plan.at(instant_s)
        place = places.setdefault((calendar, rules.code), len(places))
        if place == len(calendars):
            calendars.append(found.calendars[calendar])
            rule_sets.append(rules)
        from_s, to_s = plan.held(instant_s)
        columns[:, i] = place, from_s - REACH_S, to_s + REACH_S
    calendar_index, from_s, to_s = columns[:, kind_of]
    return PlainSeries(
        found.facts,
        np.maximum(found.holds_from_s, from_s),
        np.minimum(found.holds_to_s, to_s),
        found.interval_s,
        calendar_index,
        tuple(calendars),
        tuple(rule_sets),
    )
