"""Intervals of another length stand as if they had always been so long, up to the last whole one."""

from dataclasses import replace

import pytest

from pipeline_street import Street
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Source
from wattkeeper.pipeline import plain_derive, single_derive

LENGTHS = [(900, 1800), (900, 3600), (1800, 3600), (3600, 900), (300, 900)]
State = dict[int, dict[int, tuple[int, ...]]]


def street_at(now_s: int, interval_s: int, *, is_many: bool) -> Street:
    street = Street([facts(interval_s=interval_s)], is_many=is_many)
    stamps = range(START_S, now_s + 1, QUARTER_S)
    street.deliver(1, REGISTER, [(at_s, at_s - START_S, 0, int(Source.PROFILE)) for at_s in stamps])
    street.run(now_s)
    return street


def changed_to(street: Street, interval_s: int, now_s: int) -> State:
    street.facts[1] = replace(street.facts[1], interval_s=interval_s)
    street.mark(1, START_S, now_s)
    street.run(now_s)
    return street.current()


@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("lengths_s", LENGTHS)
def test_another_length_leaves_nothing_of_the_one_before(
    lengths_s: tuple[int, int], *, is_many: bool
) -> None:
    for now_s in range(START_S + DAY_S - 3600, START_S + DAY_S + 3 * 3600, 700):
        before, after = (street_at(now_s, each, is_many=is_many) for each in lengths_s)
        assert changed_to(before, lengths_s[1], now_s) == after.current(), now_s - START_S


@pytest.mark.parametrize("is_many", [True, False])
def test_to_look_at_whole_intervals_alone_is_caught(
    monkeypatch: pytest.MonkeyPatch, *, is_many: bool
) -> None:
    for module in (single_derive, plain_derive):
        monkeypatch.setattr(module, "written_span", lambda span, *_: span)  # the plant
    now_s = START_S + DAY_S + 3000
    assert (
        changed_to(street_at(now_s, 900, is_many=is_many), 3600, now_s)
        != street_at(now_s, 3600, is_many=is_many).current()
    )


@pytest.mark.parametrize("is_many", [True, False])
def test_what_a_clock_ahead_derived_stays_until_its_time(*, is_many: bool) -> None:
    now_s = START_S + DAY_S + 3000
    street = street_at(now_s + 3600, 900, is_many=is_many)
    ahead = street.current()
    assert changed_to(street, 900, now_s) == ahead
