"""Silent meters of files are asked for together: few questions for a dozen of them, the state the same."""

from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_street import Row, Street
from unit.pipeline.test_later import DAY_S, HOUR_S, Alone, facts_of, hourly, start_of
from unit.pipeline.test_open_gaps import LAST_READ, LOOK_BACK_S, YEAR, run
from unit.pipeline.test_rollups import RollUpsOf, held
from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.pipeline import read_ahead
from wattkeeper.pipeline.later import YEAR_S
from wattkeeper.pipeline.ports import MeasurementRows, Ports, SeriesFacts
from wattkeeper.pipeline.read_ahead import REACH_S

QUESTIONS = ("read", "read_raw", "find_nearest", "read_values", "find_methods", "read_roll_ups", "record")
FIRST_CHANNEL = 100


def file_meter(series_id: int, kind: Kind) -> SeriesFacts:
    facts = facts_of()
    installation = replace(facts.installations[0], channel_id=FIRST_CHANNEL + series_id)
    return replace(facts, series_id=series_id, installations=(installation,), kind=kind)


def reads_of(series_id: int, kind: Kind, chance: Random) -> list[Row]:
    """Return what a file said of a meter until it fell silent, in some a year before too, or nothing."""
    days = chance.randrange(30, 60)
    end = LAST_READ - timedelta(days=chance.randrange(90))
    rows = hourly(end - timedelta(days=days), days, 20 + series_id, 90_000)
    if chance.random() < 0.5:
        rows = [*hourly(end - YEAR - timedelta(days=10), 60, 10, 1000), *rows]
    if kind is Kind.INTERVAL:
        rows = [(at_s, 20 + at_s // HOUR_S % 7, 0, int(Source.FILE)) for at_s, *_ in rows]
    return rows if chance.random() < 0.9 else []


def live(kinds: Sequence[Kind], *, is_many: bool, looks: int = 3) -> Street:
    """Return a street of silent meters after some looks, the last one's questions alone counted."""
    chance = Random(7)
    meters = [file_meter(1 + place, kind) for place, kind in enumerate(kinds)]
    street = Street(meters, is_many=is_many)
    street.hints, street.roll_ups = Alone(street), RollUpsOf(street)
    for facts in meters:
        rows = reads_of(facts.series_id, facts.kind, chance)
        street.deliver(facts.series_id, FIRST_CHANNEL + facts.series_id, rows)
    now_s = start_of(LAST_READ + timedelta(days=60))
    for _ in range(looks):
        street.asked.clear()
        for facts in meters:
            street.mark(facts.series_id, now_s - LOOK_BACK_S, now_s)
        run(street, now_s)
        now_s += 6 * HOUR_S
    late = hourly(LAST_READ + timedelta(days=20), 2, 30, 200_000)
    street.deliver(1, FIRST_CHANNEL + 1, [(at_s, 5, 0, int(Source.FILE)) for at_s, *_ in late])
    return street


def state_of(street: Street) -> Any:
    run(street, start_of(LAST_READ + timedelta(days=62)))
    findings = sorted(str(astuple(found)) for found in street.recorded.values())
    assert isinstance(street.roll_ups, RollUpsOf)
    return street.current(), findings, held(street.roll_ups, street)


@pytest.mark.parametrize("pairs_count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_silent_meters_read_ahead_end_as_those_asked_for_one_by_one(pairs_count: int) -> None:
    kinds = [Kind.INTERVAL, Kind.CUMULATIVE] * pairs_count
    assert state_of(live(kinds, is_many=True)) == state_of(live(kinds, is_many=False))


@pytest.mark.slow
def test_what_is_not_known_and_taken_for_known_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: reads from before what was read ahead are taken not to be there."""
    kinds = [Kind.INTERVAL] * 6
    wanted = state_of(live(kinds, is_many=False))
    monkeypatch.setattr(read_ahead, "REACH_S", 2 * DAY_S)
    assert state_of(live(kinds, is_many=True)) == wanted
    monkeypatch.setattr(read_ahead._ReadAhead, "_known_from_s", lambda _self, _channel_ids: 0)
    assert state_of(live(kinds, is_many=True)) != wanted


NOW_S = start_of(LAST_READ)
EDGES_S = [
    NOW_S + sign * far_s + near_s
    for far_s in (0, REACH_S, 2 * REACH_S, YEAR_S, YEAR_S + REACH_S)
    for sign in (-1, 1)
    for near_s in (-HOUR_S, 0, HOUR_S)
]
stamps_s = st.one_of(st.sampled_from(EDGES_S), st.integers(NOW_S - 3 * YEAR_S, NOW_S + YEAR_S))


def rows_of(columns: ReadColumns | MeasurementRows) -> list[tuple[int, ...]]:
    return sorted(zip(*(column.tolist() for column in astuple(columns)), strict=True))


def reads_told(ports: Ports, channel_ids: Sequence[int], from_s: int, to_s: int) -> dict[int, list[Any]]:
    told = ports.raw_reads.read(channel_ids, from_s, to_s)
    return {own: rows_of(each) for own, each in told.items() if len(each)}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_what_was_read_ahead_is_what_the_store_says(data: st.DataObject) -> None:
    """Of any span and instant, for series of one channel and of two, wherever their last reads lie."""
    meters = [file_meter(series_id, Kind.INTERVAL) for series_id in range(1, 5)]
    second = replace(meters[0].installations[0], channel_id=FIRST_CHANNEL)
    meters[0] = replace(meters[0], installations=(*meters[0].installations, second))
    street = Street(meters, is_many=True)
    for channel_id in range(FIRST_CHANNEL, FIRST_CHANNEL + 5):
        found = data.draw(st.lists(stamps_s, max_size=6, unique=True))
        street.raw[channel_id] = {(at_s, at_s % 1000, 0, int(Source.FILE)) for at_s in found}
    for facts in meters:
        for at_s in data.draw(st.lists(stamps_s, max_size=6)):
            street.values[facts.series_id][at_s // HOUR_S * HOUR_S] = (at_s, 1, 0, 0)
    ports = street.ports()
    window = ClaimedWindow(1, 1, NOW_S - data.draw(st.integers(1, 60)) * DAY_S, NOW_S, fence_id=1)
    ways = list(read_ahead.read_ahead(ports, ports.many, {own.series_id: [window] for own in meters}))
    assert {series_id for _, series_id in ways} == {own.series_id for own in meters}
    for near, series_id in ways:
        channel_ids = street.facts[series_id].channel_ids
        from_s, to_s = sorted(data.draw(st.tuples(stamps_s, stamps_s)))
        assert reads_told(near, channel_ids, from_s, to_s) == reads_told(ports, channel_ids, from_s, to_s)
        for is_before in (True, False):
            told = near.raw_reads.find_nearest(channel_ids, from_s, is_before=is_before)
            assert told == ports.raw_reads.find_nearest(channel_ids, from_s, is_before=is_before)
        values = rows_of(near.measurements.read(series_id, from_s, to_s))
        assert values == rows_of(ports.measurements.read(series_id, from_s, to_s))


@pytest.mark.parametrize("kind", [Kind.INTERVAL, Kind.CUMULATIVE])
def test_a_look_at_many_silent_meters_asks_few_questions(kind: Kind) -> None:
    """Five for each bucket of last reads, of which there are three, and two more; one by one 160."""
    asked = live([kind] * 12, is_many=True, looks=2).asked
    assert sum(asked[name] for name in QUESTIONS) < 40, dict(asked)
