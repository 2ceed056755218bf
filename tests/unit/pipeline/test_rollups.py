"""Days and months against the current values, whatever is delivered, corrected, late or interrupted."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_street import Street
from unit.pipeline.test_plain import DAYS, FEATURES, ZONES, make_series, start_of
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import COUNTED, DAY, MONTH, RollUpRows, find_days
from wattkeeper.store.memory import MemoryReadingStore

DAY_S = 86_400
TENANT_ID = 1
ALL = [(0, 2**32)]


class RollUpsOf:
    """The pipeline's port on a store in memory; every call is a step that may fail."""

    def __init__(self, street: Street) -> None:
        self.street, self.store = street, MemoryReadingStore()

    def read(self, series_id: Int64s, days: Sequence[tuple[int, int]], months_s: Sequence[int]) -> RollUpRows:
        self.street.step("read_roll_ups")
        return self.store.roll_ups(TENANT_ID, series_id.tolist(), days, months_s)

    def sum_days(
        self, series_id: Int64s, bounds_s: Sequence[int], without: Sequence[tuple[int, int]]
    ) -> RollUpRows:
        self.street.step("sum_days")
        return self.store.sum_days(TENANT_ID, series_id.tolist(), bounds_s, without)

    def append(self, run_id: int, rows: RollUpRows) -> None:
        self.street.step("append_roll_ups")
        keys = list(zip(rows.grain.tolist(), rows.series_id.tolist(), rows.starts_at_s.tolist(), strict=True))
        assert len(set(keys)) == len(keys), "one version of a period in one run"
        self.keep(run_id, rows.take(rows.grain == DAY))
        self.street.step("appended_days")
        self.keep(run_id, rows.take(rows.grain == MONTH))
        self.street.step("appended_roll_ups")

    def keep(self, run_id: int, rows: RollUpRows) -> None:
        self.store.insert_roll_ups(TENANT_ID, run_id, rows)


class ForgetsMonths(RollUpsOf):
    """Knows neither a month nor its other days: the fault the comparison must see."""

    def read(self, *args: Any) -> RollUpRows:
        rows = super().read(*args)
        return rows.take(rows.grain == DAY)

    def sum_days(self, *args: Any) -> RollUpRows:
        return RollUpRows.concatenate([])


class NeverCorrected(RollUpsOf):
    """Keeps the first version of a period."""

    def keep(self, run_id: int, rows: RollUpRows) -> None:
        super().keep(10**9 - run_id, rows)


class CutOnce(RollUpsOf):
    """Is interrupted once between the days of a run and their months."""

    is_cut = False

    def keep(self, run_id: int, rows: RollUpRows) -> None:
        if not self.is_cut and run_id > 1 and len(rows) and rows.grain[0] == MONTH:
            self.is_cut = True
            raise KeyboardInterrupt
        super().keep(run_id, rows)


class TrustsCutMonths(CutOnce):
    """Says that every month was written with its days."""

    def read(self, *args: Any) -> RollUpRows:
        rows = super().read(*args)
        return replace(rows, run_id=np.zeros(len(rows), dtype=np.int64))


def expected(street: Street) -> dict[tuple[int, int, int], tuple[int, ...]]:
    """Figures of every day and month with a value, from the current values one by one."""
    energy: dict[tuple[int, int, int], int] = defaultdict(int)
    counts: dict[tuple[int, int, int], Counter[int]] = defaultdict(Counter)
    for series_id, own in street.current().items():
        zone = street.facts[series_id].zone
        for at_s, value in own.items():
            local = from_seconds(at_s).astimezone(zone)
            day = local.replace(hour=0, minute=0, second=0, fold=0)
            for grain, start in ((DAY, day), (MONTH, day.replace(day=1))):
                key = (series_id, grain, int(start.timestamp()))
                energy[key] += value[0]
                counts[key][value[1]] += 1
    return {key: (energy[key], *(counts[key][each] for each in COUNTED)) for key in energy}


def held(roll_ups: RollUpsOf, street: Street) -> dict[tuple[int, int, int], tuple[int, ...]]:
    """Current roll-ups that count anything."""
    found = {}
    for series_id, facts in street.facts.items():
        starts = {to_seconds(local_midnight(date(2026, month, 1), facts.zone)) for month in range(1, 13)}
        rows = roll_ups.store.roll_ups(TENANT_ID, [series_id], ALL, sorted(starts))
        columns = [getattr(rows, name).tolist() for name in RollUpRows.__slots__]
        for grain, own_id, at_s, count, *figures, _ in zip(*columns, strict=True):
            assert sum(figures[1:]) <= count
            if sum(figures[1:]):
                found[own_id, grain, at_s] = tuple(figures)
    return found


def live(street: Street, roll_ups: RollUpsOf, seed: int, series: list[list[str]], cut_at: int = -1) -> None:
    """Deliver reads in any order over some runs, cut one of them short, and compare after each."""
    chance = Random(seed)
    everything = [make_series(i + 1, features, chance) for i, features in enumerate(series)]
    street.facts = {facts.series_id: facts for facts, _ in everything}
    street.roll_ups = roll_ups
    deliveries = [
        (facts.series_id, channel_id, sorted(rows)[len(rows) * i // 3 : len(rows) * (i + 1) // 3])
        for facts, reads in everything
        for channel_id, rows in reads.items()
        for i in range(3)
    ]
    chance.shuffle(deliveries)
    now_s = start_of(ZONES[0]) + (DAYS + 2) * DAY_S
    for turn in range(4):
        for series_id, channel_id, rows in deliveries[turn::4]:
            street.deliver(series_id, channel_id, rows)
        street.fail_at = street.calls + cut_at if turn == 1 and cut_at > 0 else -1
        try:
            street.run(now_s)
        except KeyboardInterrupt:
            continue
        assert held(roll_ups, street) == expected(street)
    street.run(now_s)
    assert held(roll_ups, street) == expected(street)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    series=st.lists(st.lists(st.sampled_from(FEATURES), max_size=2), min_size=1, max_size=3),
    is_many=st.booleans(),
    cut_at=st.one_of(st.just(-1), st.integers(1, 40)),
)
def test_days_and_months_are_the_current_values(
    seed: int, series: list[list[str]], is_many: bool, cut_at: int
) -> None:
    allowed = [[f for f in features if f not in ("exchange", "multiplier")] for features in series]
    street = Street([], is_many=is_many)
    live(street, RollUpsOf(street), seed, allowed, cut_at)


@pytest.mark.parametrize("seed", range(5))
def test_a_run_cut_between_days_and_months_is_mended(seed: int) -> None:
    street = Street([], is_many=True)
    live(street, CutOnce(street), seed, [["gaps"], ["long-gap"], []])


@pytest.mark.parametrize("kind", [ForgetsMonths, NeverCorrected, TrustsCutMonths])
def test_a_wrong_sum_is_seen(kind: type[RollUpsOf]) -> None:
    def attempt() -> None:
        for seed in range(20):
            street = Street([], is_many=True)
            live(street, kind(street), seed, [["gaps"], ["long-gap"]])

    with pytest.raises(AssertionError):
        attempt()


@pytest.mark.parametrize(
    ("zone", "hours"), [("Europe/Berlin", 23), ("Asia/Kolkata", 24), ("Australia/Lord_Howe", 24)]
)
def test_a_day_has_the_intervals_of_its_clock(zone: str, hours: int) -> None:
    own = ZoneInfo(zone)
    from_s = start_of(own) if zone != "Europe/Berlin" else 1_774_738_800  # 2026-03-29, summer time begins
    starts_at_s = from_s + np.arange(hours * 4, dtype=np.int64) * 900
    values = np.ones((2, hours * 4), dtype=np.int64)
    provenance = np.full((2, hours * 4), int(Provenance.MEASURED))
    provenance[1, :5] = Provenance.MISSING
    days = find_days(np.array([3, 9]), starts_at_s, values, provenance, interval_s=900, zone=own)
    assert days.rows.expected_count.tolist() == [hours * 4] * 2
    assert days.rows.energy_milliwh.tolist() == [hours * 4, hours * 4 - 5]
    assert days.rows.measured_count.tolist() == [hours * 4, hours * 4 - 5]
