"""Virtual series in the pipeline: late data re-drives what uses it, whatever interrupts a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_street import Street
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.registry.virtual_series import Term, VirtualFacts, VirtualSet
from wattkeeper.pipeline.derive import PipelineReport, run_once
from wattkeeper.pipeline.ports import MeasurementRows, Ports, SeriesFacts
from wattkeeper.pipeline.rederive import rederive
from wattkeeper.pipeline.virtual import mark_users

ZONE = ZoneInfo("Asia/Shanghai")
DAY = 86_400
T0 = 20_000 * DAY - 8 * 3600  # a midnight in Shanghai
NOW_S = T0 + 3 * DAY
STEP = 1000
MAIN, ONE, OTHER, REST, TWICE = 1, 2, 3, 10, 11


def physical(series_id: int, interval_s: int = 900) -> SeriesFacts:
    installation = ChannelInstallation(
        100 + series_id, 0, None, Fraction(STEP), None, (MultiplierPeriod(0, None, Fraction(1)),)
    )
    return SeriesFacts(series_id, (installation,), interval_s, ZONE, 10**9)


def term(series_id: int, coefficient: int, from_s: int = 0, to_s: int | None = None) -> Term:
    return Term(series_id, Fraction(coefficient), from_s, to_s)


FORMULAS = (
    VirtualFacts(TWICE, (term(REST, 2),), 1800, ZONE),
    VirtualFacts(REST, (term(MAIN, 1), term(ONE, -1), term(OTHER, -1, T0 + DAY)), 900, ZONE),
)


class Virtual:
    """The virtual series of a street; `is_forgetful` plants a run that marks nobody."""

    def __init__(self, street: Street, *, is_forgetful: bool = False) -> None:
        self.street = street
        self.is_forgetful = is_forgetful
        self.known = VirtualSet.sound_of(FORMULAS, {MAIN: 900, ONE: 900, OTHER: 900, REST: 900})
        self.marked: list[tuple[int, int, int]] = []

    def load(self) -> VirtualSet:
        return self.known

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        self.street.step("mark")
        for series_id, own in spans.items():
            for from_s, to_s in own:
                self.marked.append((series_id, from_s, to_s))
                if not self.is_forgetful:
                    self.street.mark(series_id, from_s, to_s)


class Place:
    """A main meter, two sub-meters, what they leave, and twice of that by half-hours."""

    def __init__(self, *, is_forgetful: bool = False) -> None:
        self.street = Street([physical(MAIN), physical(ONE), physical(OTHER)], is_many=False)
        self.virtual = Virtual(self.street, is_forgetful=is_forgetful)

    def read(self, series_id: int, power: int, first: int = 0, count: int = 289) -> None:
        rows = [(T0 + at * 900, at * power, 0, int(Source.PROFILE)) for at in range(first, first + count)]
        self.street.deliver(series_id, 100 + series_id, rows)

    def ports(self) -> Ports:
        """Return the street's ports with the virtual ones."""
        caught: list[Ports] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline_street.run_once", lambda ports, *_a, **_k: caught.append(ports))
            self.street.run(NOW_S)
        return replace(caught[0], virtual=self.virtual)

    def run(self) -> PipelineReport:
        return run_once(self.ports(), from_seconds(NOW_S), limit=10**9)

    def settle(self) -> None:
        for _ in range(20):
            if not self.street.dirty:
                return
            self.run()
        raise AssertionError("it never ends")

    def values(self, series_id: int) -> dict[int, int]:
        """Return the current values by index of their start's quarter of an hour."""
        own = self.street.current().get(series_id, {})
        return {(at_s - T0) // 900: value[0] // STEP for at_s, value in own.items()}


@pytest.fixture
def place() -> Place:
    found = Place()
    for series_id, power in ((MAIN, 100), (ONE, 30), (OTHER, 20)):
        found.read(series_id, power)
    found.settle()
    return found


def test_what_the_sub_meters_leave(place: Place) -> None:
    rest = place.values(REST)
    assert [rest[at] for at in (0, 95, 96, 287)] == [70, 70, 50, 50]
    twice = place.values(TWICE)
    assert [twice[at] for at in (0, 94, 96, 286)] == [280, 280, 200, 200]
    kinds = {value[1] for value in place.street.current()[REST].values()}
    assert kinds == {Provenance.DERIVED}


def test_late_data_re_drives_what_uses_it_and_nothing_else(place: Place) -> None:
    place.street.written.clear()
    place.virtual.marked.clear()
    raw = place.street.raw[100 + OTHER]
    raw.discard((T0 + 200 * 900, 4000, 0, int(Source.PROFILE)))
    place.street.deliver(OTHER, 100 + OTHER, [(T0 + 200 * 900, 4007, 0, int(Source.FIELD))])
    place.settle()
    rest = place.values(REST)
    assert (rest[198], rest[199], rest[200], rest[201]) == (50, 43, 57, 50)
    assert place.values(TWICE)[198] == 2 * (50 + 43)
    written = {(series_id, (at_s - T0) // 900) for _, series_id, at_s in place.street.written}
    assert written == {(OTHER, 199), (OTHER, 200), (REST, 199), (REST, 200), (TWICE, 198), (TWICE, 200)}
    assert {own[0] for own in place.virtual.marked} == {REST, TWICE}


def test_before_a_term_is_in_force_its_series_changes_nothing(place: Place) -> None:
    place.street.written.clear()
    place.street.deliver(OTHER, 100 + OTHER, [(T0 + 20 * 900, 407, 0, int(Source.FIELD))])
    place.settle()
    assert {series_id for _, series_id, _ in place.street.written} == {OTHER}


def test_a_run_that_marks_nobody_is_caught() -> None:
    found = Place(is_forgetful=True)
    for series_id, power in ((MAIN, 100), (ONE, 30), (OTHER, 20)):
        found.read(series_id, power)
    found.settle()
    assert not found.values(REST)


def test_those_that_use_themselves_stay_dirty_and_hold_up_nobody(place: Place) -> None:
    zone = ZoneInfo("UTC")
    loop = [VirtualFacts(20, (term(21, 1),), 900, zone), VirtualFacts(21, (term(20, 1),), 900, zone)]
    place.virtual.known = VirtualSet.sound_of([*FORMULAS, *loop], {})
    assert place.virtual.known.broken == {20, 21}
    place.street.mark(20, T0, T0 + 900)
    place.read(MAIN, 110, first=289, count=5)
    report = place.run()
    assert [(failure.series_id, failure.code) for failure in report.failures] == [(20, "formulas.cycle")]
    assert {window[0] for window in place.street.dirty.values()} >= {20}


def test_verify_derives_them_again_without_marking(place: Place) -> None:
    place.virtual.marked.clear()
    found = rederive(place.ports(), [REST, TWICE], T0, NOW_S, NOW_S)
    assert (len(found.rows), found.failures, place.virtual.marked) == (0, (), [])
    assert found.interval_count == 288 + 144
    place.street.values[REST][T0 + 900] = (1, 4, 1, 0)
    wrong = rederive(place.ports(), [REST], T0, NOW_S, NOW_S)
    assert wrong.rows.starts_at_s.tolist() == [T0 + 900]


def test_changes_far_apart_are_marked_apart() -> None:
    place = Place()
    at_s = np.array([T0, T0 + 900, T0 + 40 * DAY], dtype=np.int64)
    nothing = np.zeros(3, dtype=np.int64)
    rows = MeasurementRows(nothing + ONE, at_s, nothing, nothing, nothing, nothing)
    assert mark_users(place.virtual, place.virtual.known, rows) == 1
    assert place.virtual.marked == [(REST, T0, T0 + 901), (REST, T0 + 40 * DAY, T0 + 40 * DAY + 1)]


@given(st.integers(1, 160))
def test_whatever_interrupts_a_run_the_end_is_the_same(fail_at: int) -> None:
    calm, cut = Place(), Place()
    for each in (calm, cut):
        for series_id, power in ((MAIN, 100), (ONE, 30), (OTHER, 20)):
            each.read(series_id, power)
    calm.settle()
    cut.street.fail_at = fail_at
    for _ in range(3):
        try:
            cut.settle()
        except KeyboardInterrupt:
            continue
    cut.settle()
    assert cut.street.current() == calm.street.current()


PARTS = [(series_id, first) for series_id in (MAIN, ONE, OTHER) for first in range(0, 289, 48)]
POWERS = {MAIN: 100, ONE: 30, OTHER: 20}


@settings(max_examples=40)
@given(st.permutations(PARTS), st.lists(st.integers(0, len(PARTS)), max_size=6), st.integers(0, 5))
def test_any_order_and_batching_ends_in_the_same_values(
    order: list[tuple[int, int]], stops: list[int], again_count: int
) -> None:
    calm, mixed = Place(), Place()
    for series_id, power in POWERS.items():
        calm.read(series_id, power)
    calm.settle()
    for index, (series_id, first) in enumerate([*order, *order[:again_count]]):
        mixed.read(series_id, POWERS[series_id], first, min(49, 289 - first))
        if index in stops:
            mixed.run()
    mixed.settle()
    assert mixed.street.current() == calm.street.current()
