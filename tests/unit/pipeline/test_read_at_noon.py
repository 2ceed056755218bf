"""A register read every few days, not at midnight: the next read re-drives those beside it, not all."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_beside_the_grid import DAY_S, PROFILE, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.vee.like_days import AHEAD_DAYS
from wattkeeper.pipeline import widen
from wattkeeper.pipeline.ports import SeriesFacts

DAYS = 30
NOW_S = START_S + DAYS * DAY_S
Delivery = tuple[int, Row]


def make_world(seed: int, *, has_profile: bool) -> tuple[SeriesFacts, list[Delivery], int]:
    """Return reads of a register at a time of day of its own, on the grid or off it, and of a profile.

    And how many days lie between the former.
    """
    chance = Random(seed)
    days = chance.choice((1, 1, 5))
    own = facts(has_profile=has_profile)
    known = replace(
        own,
        installations=tuple(replace(each, starts_at_s=START_S - 900 * DAY_S) for each in own.installations),
        profiles=tuple(replace(each, starts_at_s=START_S - 900 * DAY_S) for each in own.profiles),
    )
    used = [chance.randrange(900) for _ in range(DAYS * 96)]
    total = [0]
    for each in used:
        total.append(total[-1] + each)
    first = chance.randrange(1, 96)
    off_s = chance.choice((0, 421))
    rows: list[Delivery] = [
        (REGISTER, (START_S + place * QUARTER_S + off_s, total[place], 0, int(Source.FILE)))
        for place in range(first, DAYS * 96, days * 96)
    ]
    if has_profile:
        lost = range(first + 10 * 96 + 50, first + 11 * 96 + 90)
        rows += [
            (PROFILE, (START_S + place * QUARTER_S, value, 0, int(Source.FILE)))
            for place, value in enumerate(used)
            if place not in lost
        ]
    return known, rows, days


def live(
    known: SeriesFacts, parts: Sequence[Sequence[Delivery]], *, is_many: bool
) -> tuple[Street, list[int]]:
    """Return the street, and how many intervals each run derived."""
    street = Street([known], is_many=is_many)
    counts = []
    for part in parts:
        for channel_id, row in part:
            street.deliver(1, channel_id, [row])
        counts.append(street.run(NOW_S).interval_count)
    street.mark(1, NOW_S - 2 * DAY_S, NOW_S)
    street.run(NOW_S)
    return street, counts


def check(seed: int, *, is_many: bool, has_profile: bool) -> None:
    known, rows, days = make_world(seed, has_profile=has_profile)
    at_once, _ = live(known, [rows], is_many=not is_many)
    chance = Random(seed)
    newest = max(rows, key=lambda row: (row[1][0], row[0]))
    late = chance.sample([row for row in rows if row != newest], 3 + 9 * has_profile)
    parts = [[row for row in rows if row not in (*late, newest)], late[::2], late[1::2], [newest]]
    street, counts = live(known, parts, is_many=is_many)
    assert street.current() == at_once.current()
    assert street.recorded == at_once.recorded
    assert counts[-1] <= (AHEAD_DAYS + 4 * days + 2) * 96  # two reads beside it, and the gaps there


@pytest.mark.parametrize("has_profile", [True, False])
@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_next_read_re_drives_the_days_beside_it(seed: int, *, is_many: bool, has_profile: bool) -> None:
    """Before, each midnight lay in a gap, and so a year was derived again for every day's read."""
    check(seed, is_many=is_many, has_profile=has_profile)


@pytest.mark.parametrize("is_many", [True, False])
def test_to_go_on_from_gap_to_gap_is_caught(monkeypatch: pytest.MonkeyPatch, *, is_many: bool) -> None:
    monkeypatch.setattr(widen, "_gaps_over", lambda derived, _span: list(derived.gaps))  # the plant
    with pytest.raises(AssertionError):
        check(0, is_many=is_many, has_profile=False)
