"""Slices of series: interrupted between any two steps, late data, and how little is asked and written."""

from fractions import Fraction
from itertools import count
from zoneinfo import ZoneInfo

import pytest

from pipeline_street import Row, Street
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import derive
from wattkeeper.pipeline.ports import SeriesFacts

HOUR_S = 3600
DAY_S = 86_400
START_S = 1_780_243_200  # midnight in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")
NOW_S = START_S + 2 * DAY_S + 600


def facts_of(series_id: int) -> SeriesFacts:
    """Return the facts of a plain series."""
    multipliers = (MultiplierPeriod(0, None, Fraction(1)),)
    installation = ChannelInstallation(series_id, 0, None, Fraction(10_000), 10**6, multipliers)
    return SeriesFacts(series_id, (installation,), HOUR_S, ZONE, 10_000)


def reads_of(series_id: int, *, without: range = range(0)) -> list[Row]:
    """Return two days of hourly reads, less those of some hours."""
    return [
        (START_S + hour * HOUR_S, 1000 * series_id + hour * (hour + 3), 0, int(Source.PROFILE))
        for hour in range(49)
        if hour not in without
    ]


def make_street(series_count: int = 20, *, is_many: bool = True) -> Street:
    """Return a street whose reads have come; every third series lacks some hours."""
    street = Street([facts_of(series_id) for series_id in range(1, series_count + 1)], is_many=is_many)
    for series_id in street.facts:
        lost = range(10, 10 + series_id % 3) if series_id % 3 else range(0)
        street.deliver(series_id, series_id, reads_of(series_id, without=lost))
    return street


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive a handful of series at a time."""
    monkeypatch.setattr(derive, "SLICE_DAYS_COUNT", 12)


def test_a_slice_asks_as_much_for_many_as_for_few() -> None:
    few, many = make_street(5), make_street(60)
    for street in (few, many):
        street.run(NOW_S)
    assert few.asked == many.asked
    assert many.asked["get_facts"] == many.asked["read"] == 0


def test_memory_is_bounded_by_slices(small_slices: None) -> None:
    street = make_street(60)
    street.run(NOW_S)
    assert street.asked["append"] == 15
    whole = make_street(60, is_many=False)
    whole.run(NOW_S)
    assert street.current() == whole.current()


def test_killed_between_any_two_steps_and_run_again(small_slices: None) -> None:
    whole = make_street()
    whole.run(NOW_S)
    for at in count(1):
        street = make_street()
        street.fail_at = at
        try:
            street.run(NOW_S)
            break
        except KeyboardInterrupt:
            assert street.dirty
        street.run(NOW_S)
        assert street.current() == whole.current()
        assert street.recorded == whole.recorded
        assert not street.dirty
    assert at > 30


def test_finished_slices_are_not_done_again(small_slices: None) -> None:
    street = make_street()
    street.fail_at = 20
    with pytest.raises(KeyboardInterrupt):
        street.run(NOW_S)
    left = {series_id for series_id, _, _ in street.dirty.values()}
    done = {series_id for _, series_id, _ in street.written} - left
    assert done
    written = len(street.written)
    street.run(NOW_S)
    assert not done & {series_id for _, series_id, _ in street.written[written:]}


def test_late_data_drives_what_depends_on_it_and_nothing_else() -> None:
    street = make_street()
    street.run(NOW_S)
    street.asked.clear()
    before, written = street.current(), len(street.written)
    late = [row for row in reads_of(2) if START_S + 10 * HOUR_S <= row[0] < START_S + 12 * HOUR_S]
    street.deliver(2, 2, late)
    report = street.run(NOW_S)
    changed = [(series_id, (at_s - START_S) // HOUR_S) for _, series_id, at_s in street.written[written:]]
    assert changed == [(2, 9), (2, 10), (2, 11)]
    assert report.row_count == 3
    assert report.series_count == 1
    after = street.current()
    assert {series_id for series_id in after if after[series_id] != before[series_id]} == {2}
    assert {value[1] for value in after[2].values()} == {Provenance.MEASURED}
    assert street.asked["append"] == street.asked["record"] == 1


def test_the_same_again_writes_nothing() -> None:
    street = make_street()
    street.run(NOW_S)
    written = len(street.written)
    for series_id in street.facts:
        street.deliver(series_id, series_id, reads_of(series_id, without=range(10, 10 + series_id % 3)))
    assert street.run(NOW_S).row_count == 0
    assert len(street.written) == written
