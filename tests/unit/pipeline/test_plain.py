"""The array path against the path of single series: value by value, flag by flag, finding by finding."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_street import Row, Street
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.readings import plain, plain_beside
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee import plain_estimate
from wattkeeper.pipeline import plain_derive
from wattkeeper.pipeline.ports import SeriesFacts

HOUR_S = 3600
DAY_S = 86_400
ZONES = (ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"))
FIRST = date(2026, 3, 26)  # Berlin's short day is the fourth from here
DAYS = 4
FLAGS = (Flag.POWER_LOST, Flag.SUSPECT, Flag.CLOCK_INVALID, Flag.CLOCK_ADJUSTED, Flag.DST_AMBIGUOUS)
AHEAD = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
FEATURES = (
    "gaps",
    "long-gap",
    "rollover",
    "spike",
    "dip",
    "stairs",
    "surge",
    "double",
    "beside",
    "live",
    "all-live",
    "flags",
    "poor-gap",
    "reset",
    "exchange",
    "multiplier",
    "new",
    "stuck",
    "negative",
    "lost-end",
    "silent",
    "wide",
    "coarse",
)
AHEADS = ("ahead", "ahead-too")  # reads before their time: in the place of true ones, and beside them
POLLED = ("polled", "polled-half")  # off the grid, all reads and some of them
EVERY = (*FEATURES, *AHEADS, *POLLED)


def start_of(zone: ZoneInfo) -> int:
    """Return the first instant of the street's days."""
    return to_seconds(local_midnight(FIRST, zone))


def make_series(
    series_id: int, features: list[str], chance: Random
) -> tuple[SeriesFacts, dict[int, list[Row]]]:
    """Return the facts of a series that has the features, and its reads by channel."""
    zone = chance.choice(ZONES)
    start_s = start_of(zone)
    step, modulus = chance.choice(
        (
            (Fraction(10_000), 10**6),
            (Fraction(1000), None),
            (Fraction(625_000), 10**8),
            (Fraction(10**6, 3), 10**5),
        )
    )
    ratio = chance.choice((Fraction(1), Fraction(40), Fraction(3, 2)))
    power_max_w = int(step * ratio * 3600 // 3600 // 1000 * 400) + 1000
    if "wide" in features:
        power_max_w = 10**9  # products of it and a time may not fit 64 bits
    channel_id = series_id * 10
    installed_s = start_s + 30 * HOUR_S if "new" in features else start_s - 90 * DAY_S
    periods = [MultiplierPeriod(installed_s, None, ratio)]
    if "multiplier" in features:
        cut_s = start_s + chance.randrange(30, 80) * HOUR_S + chance.choice((0, 1800))
        if cut_s > installed_s:
            periods = [MultiplierPeriod(installed_s, cut_s, ratio), MultiplierPeriod(cut_s, None, ratio * 2)]
    installation = ChannelInstallation(
        channel_id,
        installed_s,
        None,
        step,
        modulus,
        tuple(periods),
        shown_count=100 if "coarse" in features else 1,
    )
    installations = [installation]
    reads = {channel_id: make_reads(features, chance, start_s, modulus)}
    if "exchange" in features:
        cut_s = start_s + chance.randrange(30, 80) * HOUR_S + 420
        if len(periods) == 1 and cut_s > installed_s:
            last = MultiplierPeriod(periods[-1].starts_at_s, cut_s, periods[-1].ratio)
            installations = [
                replace(installation, ends_at_s=cut_s, multipliers=(last,)),
                ChannelInstallation(
                    channel_id + 1, cut_s, None, step, modulus, (MultiplierPeriod(cut_s, None, ratio),)
                ),
            ]
            reads[channel_id + 1] = [
                row for row in make_reads(["gaps"], chance, start_s, modulus) if row[0] > cut_s
            ]
            reads[channel_id] = [row for row in reads[channel_id] if row[0] < cut_s]
    facts = SeriesFacts(series_id, tuple(installations), HOUR_S, zone, power_max_w)
    return facts, reads


def make_reads(features: list[str], chance: Random, start_s: int, modulus: int | None) -> list[Row]:
    """Return hourly reads of a register over the days, with what the features do to them."""
    count = DAYS * 24 + 1
    value, stuck_count = chance.randrange(10, 90_000), chance.choice((3, 300))
    if "rollover" in features and modulus is not None:
        value = modulus - chance.randrange(1, 40 * 24)
    rows: dict[int, Row] = {}
    for i in range(count):
        value += stuck_count if "stuck" in features and 20 < i < 50 else chance.randrange(0, 60)
        if "surge" in features and i == 60:
            value += 330
        if "reset" in features and i == 70:
            value = 0
        rows[i] = (start_s + i * HOUR_S, value % modulus if modulus else value, 0, int(Source.PROFILE))
    for name, alter in ALTER.items():
        if name in features:
            alter(rows, chance)
    extra = list(_extra_reads(rows, features, chance))
    return [*rows.values(), *extra]


def _drop(rows: dict[int, Row], first: int, count: int) -> None:
    for i in range(first, first + count):
        rows.pop(i, None)


def _drop_some(rows: dict[int, Row], chance: Random) -> None:
    for _ in range(chance.randrange(1, 5)):
        _drop(rows, chance.randrange(0, DAYS * 24), chance.randrange(1, 5))


def _change(rows: dict[int, Row], chance: Random, change: Callable[[int], int]) -> None:
    i = chance.choice(sorted(rows))
    at_s, value, flags, source = rows[i]
    rows[i] = (at_s, change(value), flags, source)


def _flag(rows: dict[int, Row], chance: Random) -> None:
    for i in chance.sample(sorted(rows), 5):
        flag = chance.choice(FLAGS)
        rows[i] = (*rows[i][:2], int(flag), rows[i][3])


def _ahead(rows: dict[int, Row], chance: Random) -> None:
    """Let reads come before their time, with other values; the true ones never come."""
    for i in chance.sample(sorted(rows), 3):
        at_s, value, _, source = rows[i]
        rows[i] = (at_s, value + chance.choice((-40, 3, 9, 10**9)), AHEAD, source)


def _only_live(rows: dict[int, Row], _: Random) -> None:
    for i, row in rows.items():
        rows[i] = (*row[:3], int(Source.LIVE))


def _poll(rows: dict[int, Row], chance: Random, pct: int = 100) -> None:
    """Let reads be taken by a poll minutes past the hour, some seconds earlier or later."""
    past_s = chance.randrange(10, 3000)
    for i, (at_s, value, flags, _) in rows.items():
        if chance.randrange(100) < pct:
            rows[i] = (at_s + past_s + chance.randrange(9), value, flags, int(Source.LIVE))


def _poll_half(rows: dict[int, Row], chance: Random) -> None:
    _only_live(rows, chance)
    _poll(rows, chance, 50)


def _drop_beside_flag(rows: dict[int, Row], chance: Random) -> None:
    i = chance.randrange(30, 60)
    if i in rows:
        rows[i] = (*rows[i][:2], int(Flag.POWER_LOST), rows[i][3])
    _drop(rows, i + 1, 1)


def _climb(rows: dict[int, Row], first: int) -> None:
    """Let the register jump twice in a row and stay there."""
    for i in rows:
        if i >= first:
            at_s, value, flags, source = rows[i]
            rows[i] = (at_s, value + 5000 + 5000 * (i > first), flags, source)


ALTER: dict[str, Callable[[dict[int, Row], Random], None]] = {
    "gaps": _drop_some,
    "long-gap": lambda rows, chance: _drop(rows, chance.randrange(0, 80), chance.randrange(3, 40)),
    "spike": lambda rows, chance: _change(rows, chance, lambda value: value + chance.choice((37, 250, 5000))),
    "dip": lambda rows, chance: _change(
        rows, chance, lambda value: max(0, value - chance.choice((37, 5000)))
    ),
    "stairs": lambda rows, chance: _climb(rows, chance.randrange(5, 90)),
    "negative": lambda rows, chance: _change(rows, chance, lambda value: chance.choice((-5, 10**9))),
    "all-live": _only_live,
    "flags": _flag,
    "ahead": _ahead,
    "poor-gap": _drop_beside_flag,
    "lost-end": lambda rows, chance: _drop(rows, chance.randrange(50, 90), DAYS * 24),
    "polled": _poll,
    "polled-half": _poll_half,
    "silent": lambda rows, _: rows.clear(),
}


def _extra_reads(rows: dict[int, Row], features: list[str], chance: Random) -> Iterator[Row]:
    for at_s, value, _, _ in chance.sample(sorted(rows.values()), min(3, len(rows))):
        if "ahead-too" in features:
            yield at_s, value + chance.choice((-7, 0, 7)), AHEAD, int(Source.PUSH)
        if "double" in features:
            yield at_s, value + chance.choice((0, 0, 1, 7)), 0, int(Source.PUSH)
        if "beside" in features:
            yield at_s + chance.randrange(60, 3500), value, 0, int(Source.FREEZE_DAILY)
        if "live" in features:
            yield at_s + chance.choice((0, 600, 3000)), value + 1, 0, int(Source.LIVE)


def live(streets: list[Street], seed: int, series: list[list[str]]) -> Iterator[None]:
    """Deliver the same reads to all streets in the same parts, some of them late; yield after each run."""
    chance = Random(seed)
    everything = [make_series(i + 1, features, chance) for i, features in enumerate(series)]
    for street in streets:
        street.facts = {facts.series_id: facts for facts, _ in everything}
    start_s = start_of(ZONES[0])
    last_s = start_s + DAYS * DAY_S + chance.choice((700, 8 * HOUR_S, 2 * DAY_S))
    now_s = [start_s + chance.randrange(1, DAYS * 24) * HOUR_S + 700, last_s, last_s]
    late_pct = chance.choice((0, 0, 2))
    for turn, own_s in enumerate(now_s):
        for facts, reads in everything:
            for channel_id, rows in reads.items():
                part = [row for row in rows if _turn_of(row, now_s, late_pct) == turn]
                for street in streets:
                    street.deliver(facts.series_id, channel_id, part)
            if turn == 2 and chance.random() < 0.3:
                for street in streets:
                    street.mark(facts.series_id, start_s, start_s + DAYS * DAY_S)
        for street in streets:
            street.run(own_s)
        yield


def _turn_of(row: Row, now_s: list[int], late_pct: int) -> int:
    if hash(row) % 100 < late_pct:
        return 2
    return 0 if row[0] <= now_s[0] else 1


def compare(seed: int, series: list[list[str]]) -> Street:
    """Run both paths and compare everything they leave behind; return the street of the array path."""
    one_by_one, together = Street([], is_many=False), Street([], is_many=True)
    for _ in live([one_by_one, together], seed, series):
        assert together.current() == one_by_one.current()
        assert together.recorded == one_by_one.recorded
        assert sorted(together.written) == sorted(one_by_one.written)
        assert not together.dirty
    return together


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    series=st.lists(st.lists(st.sampled_from(EVERY), max_size=4), min_size=1, max_size=4),
)
def test_the_array_path_equals_the_path_of_single_series(seed: int, series: list[list[str]]) -> None:
    compare(seed, series)


def test_a_read_after_the_last_whole_interval_widens_nothing_for_ever() -> None:
    """A window that is open at its end once went back a day a step, to 1970."""
    odd = ["negative", "reset", "multiplier", "double"]
    compare(7790, [["negative", "beside", "all-live"], odd, ["lost-end"], []])


def test_series_that_are_derived_one_by_one_may_have_no_reads() -> None:
    """So it is when nothing came since the days before the worker was stopped, which are looked at again."""
    facts, _ = make_series(1, ["wide"], Random(1))
    street, start_s = Street([facts], is_many=True), start_of(facts.zone)
    street.mark(1, start_s, start_s + DAY_S)
    assert street.run(start_s + DAY_S).failures == ()


@pytest.mark.parametrize("feature", EVERY)
@pytest.mark.parametrize("seed", range(3))
def test_each_thing_that_may_happen_alone(feature: str, seed: int) -> None:
    compare(seed, [[feature], [], [feature, "gaps"]])


def test_ordinary_series_are_never_derived_one_by_one() -> None:
    ordinary = ["gaps", "rollover", "spike", "surge", "flags", "long-gap", "lost-end", "live", "coarse"]
    street = compare(7, [[feature] for feature in ordinary] + [["gaps"]] * 20)
    assert street.asked["get_facts"] == 0
    assert street.asked["read_raw"] < 60


def test_polled_series_are_derived_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tens of thousands of meters are polled minutes past the hour: none of them is derived by itself."""
    asked = []
    monkeypatch.setattr(plain_derive, "derive_intervals", lambda **own: asked.append(own))
    features = ([], ["gaps"], ["rollover"], ["long-gap"], ["lost-end"])
    series = [[kind, *own] for kind in POLLED for own in features]
    street = Street([], is_many=True)
    for _ in live([street], 7, series):
        pass
    assert not asked
    assert len(street.current()) == len(series)


def _even_shares(shape: np.ndarray, energy_milliwh: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.repeat(energy_milliwh[:, np.newaxis] // shape.shape[1], shape.shape[1], axis=1)


PLANTS: dict[str, tuple[object, str, object]] = {
    "every lone contradiction a stray": (plain, "_is_stray", lambda *_: True),
    "strays not told": (plain, "_report_strays", lambda *_: None),
    "strays kept": (plain, "_all_but", lambda _places, count: np.ones(count, bool)),
    "polled series left as gaps": (
        plain,
        "find_between",
        lambda *_: np.zeros((3, 0), dtype=np.int64),
    ),
    "lines from the last boundary": (
        plain,
        "find_between",
        lambda table, row, at_s, *own: plain_beside.find_between(
            table, row, (at_s - table.from_s) // 60 * 60 + table.from_s, *own
        ),
    ),
    "interpolated ones measured": (
        plain,
        "_read_off",
        lambda table, _, own=plain._read_off: own(table, None),
    ),
    "energy of gaps between polls exact": (
        plain,
        "find_gap_columns",
        lambda table, rows, _, own=plain.find_gap_columns: own(table, rows),
    ),
    "no turn of a register": (
        plain._Steps,
        "find_turns",
        lambda self, reads, is_odd, strays: np.zeros(0, dtype=np.intp),
    ),
    "every step believed": (
        plain._Steps,
        "find_impossible",
        lambda self, facts, reads, interval_s: np.zeros(0, dtype=np.intp),
    ),
    "no live read kept": (
        plain,
        "_without_live_beside_stored",
        lambda reads, interval_s: reads.where(reads.source != Source.LIVE),
    ),
    "reads ahead of their time believed": (plain, "is_untrusted", lambda flags: np.zeros_like(flags, bool)),
    "flags of the start forgotten": (plain, "START_FLAGS", 0),
    "shares rounded down": (plain_estimate, "apportion_rows", _even_shares),
    "poor neighbours": (plain_estimate, "BAD_END_FLAGS", 0),
    "lines as long as you like": (plain_estimate, "_linear_max_s", lambda rules: 10**6),
    "gaps left at the end of the span": (
        plain_derive,
        "find_wider",
        lambda *_: ([], np.zeros(0, dtype=np.intp)),
    ),
    "nothing disputed": (plain_derive, "find_disputed", lambda *_: []),
    "coarse registers taken for fine": (
        plain.PlainFacts,
        "resolution_milliwh",
        property(lambda self: -(-self.numerator // self.denominator)),
    ),
    "no look at what is stored": (
        plain_derive,
        "find_table_changes",
        lambda table, stored, own=plain_derive.find_table_changes: own(table, stored.concatenate([])),
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_difference_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault = PLANTS[name]
    monkeypatch.setattr(owner, attribute, fault)
    for seed in range(15):
        try:
            compare(
                seed,
                [
                    ["poor-gap", "flags"],
                    ["rollover", "all-live"],
                    ["spike", "long-gap"],
                    ["surge", "gaps"],
                    ["stairs"],
                ],
            )
            compare(seed, [["ahead"], ["stuck", "coarse"]])
            compare(seed, [["polled", "rollover"], ["polled-half", "long-gap"], ["polled", "gaps"]])
        except (AssertionError, IndexError, ValueError):
            return
    pytest.fail(f"nobody noticed: {name}")
