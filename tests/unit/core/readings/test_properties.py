"""Whatever the order, the repetition and the faults: energy is conserved and the result is the same."""

import json
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared import shared_path
from wattkeeper.core.kernel.instants import local_day, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings import positions
from wattkeeper.core.readings.advance import BACKWARDS, register_advance
from wattkeeper.core.readings.intervals import Intervals, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

QUARTER_S = 900
START_S = 1_760_000_400 // 86_400 * 86_400
POWER_MAX_W = 400_000
Row = tuple[int, int, int, int]

steps = st.sampled_from(
    [Fraction(1000), Fraction(10_000), Fraction(625), Fraction(10**6, 3000), Fraction(625, 2)]
)
ratios = st.sampled_from([Fraction(1), Fraction(40), Fraction(100, 3)])


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[ChannelInstallation], dict[int, list[Row]], int, int]:
    """Return installations, all reads, the quarters and the sum that a clerk would add up by hand."""
    quarters = draw(st.integers(2, 40))
    end_s = START_S + quarters * QUARTER_S
    cuts = sorted(draw(st.sets(st.integers(START_S + 1, end_s - 1), max_size=2)))
    spans = list(zip([START_S, *cuts], [*cuts, None], strict=True))
    installations, rows, truth_milliwh = [], {}, 0
    for channel_id, (starts_at_s, ends_at_s) in enumerate(spans, start=1):
        until_s = ends_at_s or end_s
        change_s = draw(st.none() | st.integers(starts_at_s + 1, max(starts_at_s + 1, until_s - 1)))
        first, second = draw(ratios), draw(ratios)
        if change_s is None or change_s >= until_s:
            multipliers = (MultiplierPeriod(START_S, None, first),)
        else:
            multipliers = (
                MultiplierPeriod(START_S, change_s, first),
                MultiplierPeriod(change_s, None, second),
            )
        step_milliwh = draw(steps)
        modulus = 10 ** draw(st.integers(4, 8))
        installations.append(
            ChannelInstallation(channel_id, starts_at_s, ends_at_s, step_milliwh, modulus, multipliers)
        )
        stamps = {at_s for at_s in range(START_S, end_s + 1, QUARTER_S) if starts_at_s <= at_s <= until_s}
        stamps |= {starts_at_s, until_s} | {p.starts_at_s for p in multipliers[1:]}
        value = draw(st.integers(0, modulus - 1))
        own, previous_s = [], None
        for at_s in sorted(stamps):
            if previous_s is not None:
                ratio = next(p.ratio for p in multipliers if p.ends_at_s is None or previous_s < p.ends_at_s)
                most = min(POWER_MAX_W * (at_s - previous_s) * 1000 // 3600 / (step_milliwh * ratio), 200)
                advance = draw(st.integers(0, int(most)))
                before = _floor(value, step_milliwh * ratio, modulus)
                value += advance
                truth_milliwh += _floor(value, step_milliwh * ratio, modulus) - before
            own.append(
                (at_s, value % modulus, 0, int(Source.PROFILE if at_s % QUARTER_S == 0 else Source.FIELD))
            )
            previous_s = at_s
        rows[channel_id] = own
    return installations, rows, quarters, truth_milliwh


def _floor(value: int, rate: Fraction, modulus: int) -> int:
    turns, rest = divmod(value, modulus)
    return turns * int(modulus * rate) + int(rest * rate)


def derive(
    installations: list[ChannelInstallation],
    rows: dict[int, list[Row]],
    quarters: int,
    rule: Callable[[Int64s, Int64s, int | None, Int64s], Int64s] = register_advance,
) -> Intervals:
    return derive_intervals(
        installations=installations,
        reads={channel_id: ReadColumns.of(own) for channel_id, own in rows.items()},
        from_s=START_S,
        to_s=START_S + quarters * QUARTER_S,
        interval_s=QUARTER_S,
        power_max_w=POWER_MAX_W,
        advance_rule=rule,
    )


def total_milliwh(found: Intervals) -> int:
    return int(found.value_milliwh.sum()) + sum(gap.energy_milliwh or 0 for gap in found.gaps)


def unsure_of(found: Intervals) -> NDArray[np.bool_]:
    """Return in which intervals the findings say that the register may have turned once more."""
    spans = [
        (each.starts_at_s, each.ends_at_s)
        for each in found.findings
        if each.rule == "readings.rollover-ambiguous"
    ]
    starts = found.starts_at_s.tolist()
    return np.array([any(a < at_s + QUARTER_S and at_s < b for a, b in spans) for at_s in starts])


def columns(found: Intervals) -> list[Any]:
    arrays = (found.value_milliwh, found.provenance, found.flags, found.method, found.position_chain)
    return [*(array.tolist() for array in arrays), found.gaps, found.findings]


@given(lives())
@settings(max_examples=40, deadline=None)
def test_complete_reads_are_measured_and_conserve_energy(life: tuple[Any, ...]) -> None:
    installations, rows, quarters, truth_milliwh = life
    found = derive(installations, rows, quarters)
    assert total_milliwh(found) == truth_milliwh
    is_unsure = unsure_of(found)
    assert (found.provenance == np.where(is_unsure, Provenance.ESTIMATED, Provenance.MEASURED)).all()
    assert not (found.flags[is_unsure] & Flag.REGISTER_BRACKETED).any()
    assert (found.value_milliwh >= 0).all()


@given(lives(), st.data())
@settings(max_examples=40, deadline=None)
def test_gaps_move_no_energy(life: tuple[Any, ...], data: st.DataObject) -> None:
    installations, rows, quarters, truth_milliwh = life
    edges = {START_S, START_S + quarters * QUARTER_S}
    kept = {
        channel_id: [
            row
            for row in own
            if row[3] == Source.FIELD or row[0] in _anchors(installations) | edges or data.draw(st.booleans())
        ]
        for channel_id, own in rows.items()
    }
    found = derive(installations, kept, quarters)
    assert total_milliwh(found) == truth_milliwh
    complete = derive(installations, rows, quarters)
    measured = found.provenance == Provenance.MEASURED
    np.testing.assert_array_equal(found.value_milliwh[measured], complete.value_milliwh[measured])


def _anchors(installations: list[ChannelInstallation]) -> set[int]:
    facts = {p.starts_at_s for own in installations for p in own.multipliers}
    return facts | {s for own in installations for s in (own.starts_at_s, own.ends_at_s) if s is not None}


@given(lives(), st.data())
@settings(max_examples=40, deadline=None)
def test_order_and_repetition_change_nothing(life: tuple[Any, ...], data: st.DataObject) -> None:
    installations, rows, quarters, _ = life
    noise = st.tuples(
        st.integers(START_S, START_S + quarters * QUARTER_S).map(lambda at_s: at_s // 300 * 300),
        st.integers(0, 9999),
        st.sampled_from([0, 2, 4, 16]),
        st.sampled_from([int(source) for source in Source]),
    )
    dirty = {channel_id: own + data.draw(st.lists(noise, max_size=12)) for channel_id, own in rows.items()}
    shuffled = {
        channel_id: data.draw(st.permutations(own + data.draw(st.lists(st.sampled_from(own), max_size=5))))
        for channel_id, own in dirty.items()
    }
    found = derive(installations, dirty, quarters)
    assert columns(found) == columns(derive(installations, shuffled, quarters))
    assert (found.value_milliwh >= 0).all()
    assert all((gap.energy_milliwh or 0) >= 0 for gap in found.gaps)


def test_an_arrival_order_winner_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_wins(channel_id: int, reads: ReadColumns, *, interval_s: int) -> tuple[ReadColumns, list[Any]]:
        by_instant = {int(row[0]): row for row in np.stack([*_columns_of(reads)], axis=1).tolist()}
        return ReadColumns.of([tuple(by_instant[at_s]) for at_s in sorted(by_instant)]), []

    always = (MultiplierPeriod(0, None, Fraction(1)),)
    installation = ChannelInstallation(1, 0, None, Fraction(10_000), 10**6, always)
    rows = [(START_S + at_s, value, 0, 5) for at_s, value in ((0, 1), (900, 2), (900, 3), (1800, 4))]
    forwards, backwards = {1: rows}, {1: rows[::-1]}
    assert columns(derive([installation], forwards, 2)) == columns(derive([installation], backwards, 2))
    monkeypatch.setattr(positions, "settle_reads", last_wins)
    assert columns(derive([installation], forwards, 2)) != columns(derive([installation], backwards, 2))


def _columns_of(reads: ReadColumns) -> tuple[Int64s, ...]:
    return reads.measured_at_s, reads.value, reads.flags, reads.source


def _ignore_rollover(previous: Int64s, current: Int64s, modulus: int | None, advance_max: Int64s) -> Int64s:
    return np.where(current < previous, 0, register_advance(previous, current, modulus, advance_max))


@pytest.mark.parametrize("digits", range(4, 9))
def test_an_ignored_rollover_would_be_caught(digits: int) -> None:
    modulus = 10**digits
    always = (MultiplierPeriod(0, None, Fraction(1)),)
    installation = ChannelInstallation(1, 0, None, Fraction(10_000), modulus, always)
    rows = [
        (START_S + i * QUARTER_S, (modulus - 20 + 5 * i) % modulus, 0, int(Source.PROFILE))
        for i in (0, 1, 9, 10)
    ]
    right = derive([installation], {1: rows}, 10)
    assert total_milliwh(right) == 10 * 5 * 10_000
    assert right.gaps[0].energy_milliwh == 8 * 5 * 10_000
    wrong = derive([installation], {1: rows}, 10, _ignore_rollover)
    assert total_milliwh(wrong) < total_milliwh(right)


DAYS = [
    day for day in json.loads(shared_path("vectors/calendar/day_lengths.json").read_text()) if day["n15"] > 0
]  # a day that a zone skipped altogether is no period


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day['tz']} {day['day']}")
def test_a_local_day_has_as_many_intervals_as_it_has_quarters(day: dict[str, Any]) -> None:
    period = local_day(date.fromisoformat(day["day"]), ZoneInfo(day["tz"]))
    assert period.ends_at is not None
    from_s, to_s = to_seconds(period.starts_at), to_seconds(period.ends_at)
    installation = ChannelInstallation(
        1, from_s, None, Fraction(1), None, (MultiplierPeriod(from_s, None, Fraction(1)),)
    )
    stamps = range(from_s, to_s + 1, QUARTER_S)
    found = derive_intervals(
        installations=[installation],
        reads={1: ReadColumns.of([(at_s, i, 0, int(Source.PROFILE)) for i, at_s in enumerate(stamps)])},
        from_s=from_s,
        to_s=to_s,
        interval_s=QUARTER_S,
        power_max_w=1000,
    )
    assert len(found) == day["n15"]
    assert int(found.value_milliwh.sum()) == day["n15"]


CASES = json.loads(shared_path("vectors/vee/vee_cases.json").read_text())


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["rule"] == "register_advance"], ids=lambda c: c["name"]
)
def test_published_register_advances(case: dict[str, Any]) -> None:
    scale = 10 ** case.get("decimals", 1)
    modulus = 10 ** case["dials"] * scale
    previous, current = (np.array([round(case[key] * scale)]) for key in ("previous", "current"))
    most = case.get("max_daily_kwh", 10**3) * case.get("days", 1) * scale
    advance = int(register_advance(previous, current, modulus, np.array([most]))[0])
    if case.get("expect") == "negative_advance":
        assert advance == BACKWARDS
    else:
        assert Fraction(advance * case.get("multiplier", 1), scale) == Fraction(str(case["expect_advance"]))
