"""The pipeline over stores in memory: any arrival, any interruption, the same values in the end."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import count, pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, merge_spans, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import single_derive
from wattkeeper.pipeline.derive import PipelineReport, run_once
from wattkeeper.pipeline.ports import MeasurementRows, Ports, SeriesFacts

HOUR_S = 3600
DAY_S = 86_400
ZONE = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 6, 1)
START_S = to_seconds(local_midnight(FIRST, ZONE))
ALWAYS = (MultiplierPeriod(0, None, Fraction(1)),)
METER = ChannelInstallation(1, START_S, None, Fraction(1000), 10**7, ALWAYS)
Row = tuple[int, int, int, int]


class World:
    """Every port, in memory. `fail_at` names the call that raises once."""

    def __init__(self, *installations: ChannelInstallation) -> None:
        self.facts = SeriesFacts(7, installations or (METER,), HOUR_S, ZONE, 10_000)
        self.raw: dict[int, set[Row]] = defaultdict(set)
        self.versions: dict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)  # run -> start -> value
        self.dirty: dict[int, tuple[int, int]] = {}
        self.recorded: dict[tuple[Any, ...], Finding] = {}
        self.ids = count(1)
        self.run_ids = count(1)
        self.calls = 0
        self.fail_at: int | None = None

    def ports(self) -> Ports:
        return Ports(_Registry(self), _Raw(self), _Values(self), _Windows(self), _Findings(self), _Runs(self))

    def deliver(self, rows: Sequence[Row], channel_id: int = 1) -> None:
        self.raw[channel_id].update(rows)
        at_s = [row[0] for row in rows]
        self.dirty[next(self.ids)] = (min(at_s), max(at_s) + 1)

    def run(self, now_s: int, **options: Any) -> PipelineReport:
        return run_once(self.ports(), from_seconds(now_s), **options)

    def current(self) -> dict[int, tuple[int, ...]]:
        values: dict[int, tuple[int, ...]] = {}
        for run_id in sorted(self.versions):
            values |= self.versions[run_id]
        return {at_s: value for at_s, value in sorted(values.items()) if value[1] != Provenance.MISSING}

    def step(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt


class _Port:
    def __init__(self, world: World) -> None:
        self.world = world


class _Registry(_Port):
    def get_facts(self, series_id: int) -> SeriesFacts:
        self.world.step()
        if series_id != 7:
            raise WattkeeperError("registry.no-series")
        return self.world.facts


class _Raw(_Port):
    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        self.world.step()
        raw = self.world.raw
        return {
            channel_id: ReadColumns.of([row for row in raw[channel_id] if from_s <= row[0] < to_s])
            for channel_id in channel_ids
        }

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        stamps = [row[0] for channel_id in channel_ids for row in self.world.raw[channel_id]]
        if is_before:
            return max((stamp for stamp in stamps if stamp < at_s), default=None)
        return min((stamp for stamp in stamps if stamp >= at_s), default=None)


class _Values(_Port):
    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        rows = [(at_s, *value) for at_s, value in self._all().items() if from_s <= at_s < to_s]
        table = np.array(rows, dtype=np.int64).reshape(-1, 5)
        return MeasurementRows(np.full(len(rows), series_id), *(table[:, i] for i in range(5)))

    def _all(self) -> dict[int, tuple[int, ...]]:
        values: dict[int, tuple[int, ...]] = {}
        for run_id in sorted(self.world.versions):
            values |= self.world.versions[run_id]
        return dict(sorted(values.items()))

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        self.world.step()
        columns = (rows.value_milliwh, rows.provenance, rows.flags, rows.method)
        for i, at_s in enumerate(rows.starts_at_s.tolist()):
            self.world.versions[run_id][at_s] = tuple(int(column[i]) for column in columns)
        self.world.step()


class _Windows(_Port):
    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        self.world.step()
        rows = list(self.world.dirty.items())[:limit]
        return [ClaimedWindow(window_id, 7, *span, fence_id=1) for window_id, span in rows]

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        self.world.step()
        for window in windows:
            del self.world.dirty[window.window_id]
        return len(windows)

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Leave them dirty."""

    def postpone(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Nothing is looked at before its time."""


class _Findings(_Port):
    def record(
        self, *, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding], run_id: int
    ) -> None:
        self.world.step()
        keys = [key for key, old in self.world.recorded.items() if from_s <= old.starts_at_s < to_s]
        for key in keys:
            del self.world.recorded[key]
        self.world.recorded |= {finding.key: finding for finding in findings}


class _Runs(_Port):
    def start(self, *, now_s: int, rule_set: str) -> int:
        self.world.step()
        return next(self.world.run_ids)


def hours(first: int, end: int, *, source: Source = Source.PROFILE) -> list[Row]:
    """Return hourly register reads `first` to `end`; each hour uses as many steps as its own number."""
    return [(START_S + i * HOUR_S, 900_000 + i * (i + 1) // 2, 0, int(source)) for i in range(first, end)]


def test_what_is_delivered_is_derived_once() -> None:
    world = World()
    world.deliver(hours(0, 25))
    report = world.run(START_S + 30 * HOUR_S)
    assert report.window_count == 1
    assert report.row_count == 24
    assert [value[0] for value in world.current().values()] == [1000 * i for i in range(1, 25)]
    assert {value[1:] for value in world.current().values()} == {(Provenance.MEASURED, Flag.VALIDATED, 0)}
    assert world.run(START_S + 30 * HOUR_S) == PipelineReport()
    world.deliver(hours(0, 25))
    assert world.run(START_S + 30 * HOUR_S).row_count == 0


def test_the_read_at_midnight_completes_the_day_before() -> None:
    world = World()
    world.deliver(hours(0, 24))
    world.run(START_S + DAY_S)
    assert len(world.current()) == 23
    world.deliver(hours(24, 25))
    world.run(START_S + DAY_S)
    assert len(world.current()) == 24


def test_a_gap_of_days_is_closed_from_both_sides() -> None:
    world = World()
    world.deliver(hours(0, 10))
    world.run(START_S + 10 * HOUR_S)
    world.deliver(hours(24 * 5, 24 * 5 + 2))
    report = world.run(START_S + 24 * 5 * HOUR_S + 2 * HOUR_S)
    assert report.estimated_count == 24 * 5 - 9
    values = world.current()
    assert len(values) == 24 * 5 + 1
    total_milliwh = sum(value[0] for value in values.values())
    assert total_milliwh == 1000 * (24 * 5 + 1) * (24 * 5 + 2) // 2
    assert {value[2] for value in values.values() if value[1] == Provenance.ESTIMATED} == {
        Flag.REGISTER_BRACKETED
    }


def test_what_arrives_late_replaces_its_estimate_only() -> None:
    world = World()
    now_s = START_S + 4 * DAY_S
    world.deliver(hours(0, 30))
    world.deliver(hours(40, 73))
    world.run(now_s)
    before = world.current()
    world.deliver(hours(30, 40))
    report = world.run(now_s)
    after = world.current()
    changed = {at_s for at_s in after if after[at_s] != before[at_s]}
    assert changed == {START_S + i * HOUR_S for i in range(29, 40)}
    assert report.row_count == 11
    assert {value[1] for value in after.values()} == {Provenance.MEASURED}


def test_a_dead_meter_is_estimated_after_a_day_without_brackets() -> None:
    world = World()
    world.deliver(hours(0, 24 * 10))
    world.run(START_S + 10 * DAY_S)
    assert len(world.current()) == 24 * 10 - 1
    world.dirty[next(world.ids)] = (START_S + 10 * DAY_S, START_S + 12 * DAY_S)
    world.run(START_S + 12 * DAY_S)
    estimated = {at_s: value for at_s, value in world.current().items() if value[1] == Provenance.ESTIMATED}
    assert len(estimated) == 25
    assert {value[2] for value in estimated.values()} == {0}
    assert {value[3] for value in estimated.values()} <= {Method.LIKE_DAY, Method.AVERAGE_LIKE_DAY}


def test_an_exchange_in_the_middle_of_an_hour_is_exact() -> None:
    cut_s = START_S + 10 * HOUR_S + 420
    old = ChannelInstallation(1, START_S, cut_s, Fraction(1000), 10**6, ALWAYS)
    new = ChannelInstallation(2, cut_s, None, Fraction(10_000), 10**6, ALWAYS)
    world = World(old, new)
    world.deliver([*hours(0, 11), (cut_s, 900_057, 0, int(Source.FIELD))])
    fresh = [(START_S + i * HOUR_S, 5 + (i - 10), 0, int(Source.PROFILE)) for i in range(11, 25)]
    world.deliver([(cut_s, 5, 0, int(Source.FIELD)), *fresh], channel_id=2)
    world.run(START_S + DAY_S)
    value = world.current()[START_S + 10 * HOUR_S]
    assert value == (2000 + 10_000, Provenance.MEASURED, Flag.VALIDATED, Method.EXCHANGE)


def test_findings_are_recorded_once_and_closed_when_they_are_gone() -> None:
    world = World()
    world.deliver(hours(0, 25))
    world.deliver([(START_S + 5 * HOUR_S, 900_016, 0, int(Source.FILE))])
    world.run(START_S + DAY_S)
    assert [key[:3] for key in world.recorded] == [("readings.conflict", 7, 1)]
    world.raw[1] = set(hours(0, 25))
    world.dirty[next(world.ids)] = (START_S, START_S + DAY_S)
    world.run(START_S + DAY_S)
    assert not world.recorded


def test_a_read_that_falls_away_leaves_no_value_behind() -> None:
    world = World()
    world.deliver(hours(0, 25))
    world.run(START_S + DAY_S)
    world.raw[1] = set(hours(0, 24))
    world.dirty[next(world.ids)] = (START_S, START_S + DAY_S + 1)
    world.run(START_S + DAY_S)
    assert len(world.current()) == 23


def test_one_bad_series_stops_no_other() -> None:
    world = World()
    world.deliver(hours(0, 25))
    ports = world.ports()

    class Two(_Windows):
        def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
            bad = ClaimedWindow(99, 8, START_S, START_S + DAY_S, 1)
            return [bad, *super().claim(now_s=now_s, lease_s=lease_s, limit=limit)]

    both = Ports(ports.registry, ports.raw_reads, ports.measurements, Two(world), ports.findings, ports.runs)
    report = run_once(both, from_seconds(START_S + DAY_S))
    assert [(failure.series_id, failure.code) for failure in report.failures] == [(8, "registry.no-series")]
    assert len(world.current()) == 24


def test_one_series_that_reckoning_stumbles_over_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.deliver(hours(0, 25))
    ports = world.ports()
    facts = ports.registry.get_facts(7)

    class Two(_Windows):
        def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
            bad = ClaimedWindow(99, 8, START_S, START_S + DAY_S, 1)
            return [bad, *super().claim(now_s=now_s, lease_s=lease_s, limit=limit)]

    def stumble(_ports: Ports, own: SeriesFacts, *rest: Any) -> Any:
        if own.series_id == 8:
            raise IndexError("index 41 out-of-bounds in add.reduceat [0, 41)")
        return derive_window(_ports, own, *rest)

    derive_window = single_derive._derive_window
    monkeypatch.setattr(single_derive, "_derive_window", stumble)
    monkeypatch.setattr(
        type(ports.registry), "get_facts", lambda _self, series_id: replace(facts, series_id=series_id)
    )
    both = Ports(ports.registry, ports.raw_reads, ports.measurements, Two(world), ports.findings, ports.runs)
    report = run_once(both, from_seconds(START_S + DAY_S))
    assert [(failure.series_id, failure.code) for failure in report.failures] == [(8, "IndexError")]
    assert "out-of-bounds" in str(report.failures[0].error)
    assert len(world.current()) == 24


@pytest.mark.parametrize("at", range(1, 12))
def test_interrupted_anywhere_and_run_again_it_ends_the_same(at: int) -> None:
    world = World()
    world.deliver(hours(0, 30))
    world.deliver(hours(40, 73))
    world.fail_at = at
    try:
        world.run(START_S + 4 * DAY_S)
    except KeyboardInterrupt:
        assert world.dirty
    world.fail_at = None
    world.run(START_S + 4 * DAY_S)
    whole = World()
    whole.deliver(hours(0, 30) + hours(40, 73))
    whole.run(START_S + 4 * DAY_S)
    assert world.current() == whole.current()
    assert world.recorded == whole.recorded
    assert not world.dirty


@pytest.mark.parametrize("seed", range(30))
def test_any_arrival_ends_in_the_same_values(seed: int) -> None:
    """A8: late, repeated and out of order, in batches of any size, with a run wherever it falls."""
    chance = Random(seed)
    now_s = START_S + 12 * DAY_S
    lost_day = chance.randrange(2, 8)
    rows = [
        row for row in hours(0, 24 * 9) if chance.random() < 0.9 and (row[0] - START_S) // DAY_S != lost_day
    ]
    conflict = chance.choice(rows)
    rows.append((conflict[0], conflict[1] + 1, 0, int(Source.PUSH)))
    once = World()
    once.deliver(rows)
    once.run(now_s)
    world = World()
    chance.shuffle(rows)
    cuts = sorted(chance.sample(range(1, len(rows)), 4))
    for first, end in pairwise([0, *cuts, len(rows)]):
        world.deliver(rows[first:end])
        if chance.random() < 0.7:
            world.run(now_s)
    world.deliver(rows[: chance.randrange(1, 6)])
    world.run(now_s)
    assert world.current() == once.current()
    assert world.recorded == once.recorded


def test_a_planted_rule_that_ignores_rollovers_loses_energy() -> None:
    def ignore(previous: Int64s, current: Int64s, modulus: int | None, advance_max: Int64s) -> Int64s:
        advance: Int64s = np.maximum(current - previous, 0)
        return advance

    rows = [(at_s, (value + 99_900) % 10**6, flags, source) for at_s, value, flags, source in hours(0, 25)]
    right, wrong = World(), World()
    for world in (right, wrong):
        world.deliver(rows)
    right.run(START_S + DAY_S)
    wrong.run(START_S + DAY_S, advance_rule=ignore)
    assert sum(value[0] for value in right.current().values()) == 1000 * 24 * 25 // 2
    assert sum(value[0] for value in wrong.current().values()) < 1000 * 24 * 25 // 2


def test_spans_that_touch_are_one() -> None:
    assert merge_spans([(5, 7), (1, 3), (3, 4), (6, 9)]) == [(1, 4), (5, 9)]


def test_the_days_are_those_of_the_place() -> None:
    autumn = date(2026, 10, 25)
    start_s = to_seconds(local_midnight(autumn, ZONE))
    world = World(ChannelInstallation(1, start_s, None, Fraction(1000), 10**6, ALWAYS))
    world.deliver([(start_s + i * HOUR_S, i, 0, int(Source.PROFILE)) for i in range(26)])
    end_s = to_seconds(local_midnight(autumn + timedelta(days=1), ZONE))
    world.run(end_s)
    assert len(world.current()) == 25
    assert not world.recorded


def test_reads_that_are_intervals_already_keep_their_values() -> None:
    world = World()
    world.facts = replace(world.facts, kind=Kind.INTERVAL)
    rows = [(START_S + i * HOUR_S, i, 0, int(Source.FILE)) for i in range(24 * 9) if i != 24 * 8 + 3]
    world.deliver(rows)
    world.run(START_S + 9 * DAY_S)
    values = world.current()
    assert [value[0] for value in values.values()] == [1000 * i for i in range(24 * 9)]
    lost = values[START_S + (24 * 8 + 3) * HOUR_S]
    assert lost == (1000 * (24 * 8 + 3), Provenance.ESTIMATED, 0, Method.LINEAR)
