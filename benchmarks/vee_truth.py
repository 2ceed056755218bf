"""Precision and recall of validation where the truth is known: faults put into 200 real homes.

    python benchmarks/vee_truth.py [--seeds 5] [--events 8]

Each home gets up to so many faults on days of their own, drawn at random: gaps of 1 to 12 hours, one quarter
ten times as large, zeros for 2 to 24 hours, the same value for 6 to 24 hours, energy with its sign turned,
three to seven days of profile moved by an hour (a file in the wrong zone), and three to seven days of a clock
that is an hour late, which moves profile and daily registers alike. The registers at local midnight else keep
the truth, as they do in a real meter: only the load profile is at fault. The clocks are read once a day; good
ones deviate by 20 s (standard deviation). An event is found if a finding of its series touches its days; a
finding that touches the days of no event is a false one. Faults that change nothing (ten times zero, zeros
where nothing was used) are not faults and are not drawn. The homes as they are count too: what is found in
them is false, though some of it may be true.

Measured three times: with registers and clocks and the default thresholds; with the sum check's 0.1 % left
out, which is right where profile and registers count the same steps; and with the profile alone. The check of
the check: with the profile alone recall must fall below what is claimed.
"""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from mdm_rig import calib, finish, parser_of, with_goals
from vee_homes import DAY_INTERVALS, INTERVAL_S, Homes, Int64s, describe, load_homes

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.vee.register_rules import find_clock_errors
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import EnergyTable
from wattkeeper.core.vee.validate import Known, run_rules, validate

CLAIMED = 0.99
HOUR = 3600 // INTERVAL_S
KINDS = ("gap", "spike", "zeros", "stuck", "reverse", "moved", "clock")
LONG_KINDS = ("moved", "clock")
SAME_COUNTER = RuleSet("same-counter").with_setting("vee.sum-check", sum_permille=0)


@dataclass(frozen=True)
class Event:
    """A fault of one kind in the whole days ``[first_day, end_day)`` of a home."""

    home: int
    kind: str
    first_day: int
    end_day: int


@dataclass
class Street:
    """The homes as delivered, with what was done to them."""

    energy_milliwh: Int64s
    is_present: Any
    register_milliwh: Int64s  # (homes, days + 1): at local midnight, by the meter's clock
    clock_offset_s: Int64s  # (homes, days)
    events: list[Event]


def main() -> None:
    """Run, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--events", type=int, default=8)
    options = parser.parse_args()
    homes, before_s, cpu_s = load_homes(), calib(), 0.0
    tallies = {name: Tally() for name in ("defaults", "same_counter", "profile_alone")}
    for seed in range(1, options.seeds + 1):
        street = make_faults(homes, options.events, np.random.default_rng(seed))
        started_s = time.process_time()
        found = look(homes, street, RuleSet())
        cpu_s += time.process_time() - started_s
        tallies["defaults"].add(homes, street, found)
        tallies["same_counter"].add(homes, street, look(homes, street, SAME_COUNTER))
        tallies["profile_alone"].add(homes, street, look(homes, street, RuleSet(), has_registers=False))
    clean = look(homes, as_they_are(homes, np.random.default_rng(0)), RuleSet())
    results = {name: tally.result() for name, tally in tallies.items()}
    whole = results["defaults"]
    is_right = min(whole["precision"], whole["recall"]) >= CLAIMED > results["profile_alone"]["recall"]
    result = with_goals(
        {
            "figure": "precision and recall of validation on known faults",
            "unit": "ratio",
            "n": whole["events"],
            "data": describe(homes),
            "precision": whole["precision"],
            "recall": whole["recall"],
            **results,
            "found_in_homes_as_they_are": dict(Counter(each.rule for each in clean)),
            "intervals_per_cpu_s": int(options.seeds * homes.energy_milliwh.size / cpu_s),
            "calib_s": [before_s, calib()],
            "is_right": is_right,
        },
        least={"precision": CLAIMED, "recall": CLAIMED},
    )
    finish(result, is_strict=options.strict)


def as_they_are(homes: Homes, chance: np.random.Generator) -> Street:
    """Return the homes without a fault."""
    shape = homes.energy_milliwh.shape
    by_day = homes.energy_milliwh.reshape(shape[0], -1, DAY_INTERVALS).sum(axis=2)
    register = np.concatenate((np.zeros((shape[0], 1), dtype=np.int64), np.cumsum(by_day, axis=1)), axis=1)
    offset_s = np.clip(chance.normal(0, 20, by_day.shape), -150, 150).astype(np.int64)
    present = np.ones(shape, dtype=np.bool_)
    return Street(homes.energy_milliwh.copy(), present, register, offset_s, [])


def make_faults(homes: Homes, events_count: int, chance: np.random.Generator) -> Street:
    """Return the homes with faults on days of their own."""
    street = as_they_are(homes, chance)
    for home in range(len(homes.energy_milliwh)):
        day = int(chance.integers(1, 4))
        for _ in range(events_count):
            kind = KINDS[int(chance.integers(len(KINDS)))]
            days = int(chance.integers(3, 8)) if kind in LONG_KINDS else 1
            if day + days >= homes.days_count:
                break
            event = Event(home, kind, day, day + days)
            if put(homes, street, event, chance):
                street.events.append(event)
            day += days + int(chance.integers(1, 6))
    return street


def put(homes: Homes, street: Street, event: Event, chance: np.random.Generator) -> bool:
    """Put a fault in and return whether it changed anything."""
    own = slice(event.first_day * DAY_INTERVALS, event.end_day * DAY_INTERVALS)
    energy, present = street.energy_milliwh[event.home], street.is_present[event.home]
    before = energy[own].copy()
    hours = {"gap": (1, 13), "zeros": (2, 25), "stuck": (6, 25), "reverse": (1, 25)}.get(event.kind, (1, 2))
    count = int(chance.integers(*hours)) * HOUR
    first = own.start + int(chance.integers(0, DAY_INTERVALS - count + 1))
    if event.kind == "gap":
        present[first : first + count] = False
        return True
    if event.kind == "spike":
        energy[first] *= 10
    elif event.kind == "zeros":
        energy[first : first + count] = 0
    elif event.kind == "stuck":
        energy[first : first + count] = energy[first]
    elif event.kind in LONG_KINDS:
        truth = homes.energy_milliwh[event.home]
        energy[own] = truth[own.start - HOUR : own.stop - HOUR]
        if event.kind == "clock":
            street.clock_offset_s[event.home, event.first_day : event.end_day] -= 3600
            for day in range(event.first_day + 1, event.end_day):
                late = slice(day * DAY_INTERVALS - HOUR, day * DAY_INTERVALS)
                street.register_milliwh[event.home, day] -= truth[late].sum()
    else:
        energy[first : first + count] *= -1
    return event.kind == "clock" or bool((energy[own] != before).any())


def look(homes: Homes, street: Street, rule_set: RuleSet, *, has_registers: bool = True) -> list[Finding]:
    """Return what the rules find."""
    shape, bounds_s = street.energy_milliwh.shape, homes.day_bounds_s
    register = street.register_milliwh
    everywhere = np.ones(shape, dtype=np.bool_)
    table = EnergyTable(
        np.arange(shape[0]), homes.starts_at_s, INTERVAL_S, street.energy_milliwh, street.is_present
    )
    difference = np.diff(register, axis=1) - table.sums(street.energy_milliwh, bounds_s)
    confirmed = np.abs(difference) <= homes.step_milliwh[:, np.newaxis]  # as `combine_intervals` has it
    confirmed &= table.counts(street.is_present, bounds_s) == DAY_INTERVALS
    chain = np.zeros_like(register)
    known = Known(
        day_bounds_s=bounds_s,
        now_s=int(bounds_s[-1]) + 7 * 86_400,
        power_max_w=homes.power_max_w,
        resolution_milliwh=homes.step_milliwh,
        expected_count=np.full(confirmed.shape, DAY_INTERVALS),
        present_count=table.counts(street.is_present, bounds_s),
        is_installed=np.ones(confirmed.shape, dtype=np.bool_),
        is_awaited=np.zeros(confirmed.shape, dtype=np.bool_),
        is_excused=~everywhere,
        is_confirmed=confirmed if has_registers else np.zeros_like(confirmed),
        is_filled=street.is_present,
        register_milliwh=register if has_registers else None,
        register_chain=chain if has_registers else None,
    )
    counts = (RULE_BY_CODE["vee.interval-count"],)
    found = validate(table, known, rule_set) + run_rules(table, known, rule_set, counts)
    return found + look_at_clocks(homes, street) if has_registers else found


def look_at_clocks(homes: Homes, street: Street) -> list[Finding]:
    """Return what the daily look at the clocks finds, at noon."""
    count, days = street.clock_offset_s.shape
    noon_s = np.tile(homes.day_bounds_s[:-1] + 43_200, count)
    found = find_clock_errors(
        channel_id=np.repeat(np.arange(count), days),
        device_at_s=noon_s + street.clock_offset_s.ravel(),
        reference_at_s=noon_s,
    )
    return [replace(finding, series_id=finding.channel_id) for finding in found]


@dataclass
class Tally:
    """Events and findings so far: how many there were, and which were right."""

    events: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    findings: int = 0
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, homes: Homes, street: Street, found: list[Finding]) -> None:
        """Count the events of a street and what was found in it."""
        fault = np.full((len(homes.energy_milliwh), homes.days_count), -1, dtype=np.int64)
        for number, event in enumerate(street.events):
            fault[event.home, event.first_day : event.end_day] = number
        seen: set[int] = set()
        for finding in found:
            first, last = (
                (at_s - int(homes.starts_at_s[0])) // 86_400
                for at_s in (finding.starts_at_s, finding.ends_at_s - 1)
            )
            touched = set(fault[finding.series_id or 0, first : last + 1].tolist()) - {-1}
            seen |= touched
            if not touched:
                self.wrong[finding.rule] += 1
        self.findings += len(found)
        self.events.update(event.kind for event in street.events)
        self.seen.update(street.events[number].kind for number in seen)

    def result(self) -> dict[str, Any]:
        """Return precision and recall, and recall by kind."""
        return {
            "precision": round(1 - self.wrong.total() / max(1, self.findings), 4),
            "recall": round(self.seen.total() / max(1, self.events.total()), 4),
            "events": self.events.total(),
            "findings": self.findings,
            "false": dict(self.wrong),
            "recall_by_kind": {kind: round(self.seen[kind] / self.events[kind], 4) for kind in KINDS},
        }


if __name__ == "__main__":
    main()
