"""What gaps get when the days around them say nothing: last year, the daily load, a class profile.

On either path, in any order of arrival, and nothing else is derived again.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from pipeline_street import Row, Street, StreetHints
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method, Source
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee.profile import ClassProfile
from wattkeeper.core.vee.rule_set import Estimation, RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.pipeline import single_derive
from wattkeeper.pipeline.ports import SeriesFacts

OWN, CHANNEL = 1, 10
ZONE = ZoneInfo("Europe/Berlin")
HOUR_S, DAY_S = 3600, 86_400
GAP = date(2026, 5, 4)  # a Monday
GAP_DAYS, KNOWN_DAYS, YEAR = 40, 28, timedelta(days=364)
UNKNOWN_DAY = 34  # of the gap: no measured day lies four weeks before it
STEP = 1000


class Alone(StreetHints):
    """Hints of a street whose series have no others; `marked`: what was marked, unless it is forgotten."""

    def __init__(self, street: Street, *, is_forgetful: bool = False) -> None:
        super().__init__(street)
        self.is_forgetful = is_forgetful
        self.marked: list[tuple[int, int]] = []

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        self.marked += [span for own in spans.values() for span in own]
        if not self.is_forgetful:
            super().mark(spans)


def facts_of(rules: RuleSet | None = None) -> SeriesFacts:
    """Return an hourly series that one register has measured for years."""
    since_s = start_of(date(2024, 1, 1))
    ratio = MultiplierPeriod(since_s, None, Fraction(1))
    installation = ChannelInstallation(CHANNEL, since_s, None, Fraction(STEP), None, (ratio,))
    plan = None if rules is None else RulePlan.of(rules)
    return SeriesFacts(OWN, (installation,), HOUR_S, ZONE, 10**6, rules=plan)


def start_of(day: date) -> int:
    return to_seconds(local_midnight(day, ZONE))


def hourly(first: date, days: int, used: int, from_count: int) -> list[Row]:
    """Return a read each hour: so many counts an hour, one more in the hours of the morning."""
    rows, count = [], from_count
    start_s = start_of(first)
    for hour in range((start_of(first + timedelta(days=days)) - start_s) // HOUR_S + 1):
        rows.append((start_s + hour * HOUR_S, count, 0, int(Source.PROFILE)))
        count += used + (hour % 24 < 6)
    return rows


def street_of(*, is_many: bool, rules: RuleSet | None = None, is_forgetful: bool = False) -> Street:
    street = Street([facts_of(rules)], is_many=is_many)
    street.hints = Alone(street, is_forgetful=is_forgetful)
    return street


def settle(street: Street, now_s: int) -> None:
    """Run until nothing is dirty, with the look that the worker takes again and again."""
    street.mark(OWN, now_s - 2 * DAY_S, now_s)
    for _ in range(6):
        assert not street.run(now_s).failures
        if not street.dirty:
            return
    raise AssertionError


def values_of(street: Street, day: date) -> tuple[list[int], set[int]]:
    """Return energies and methods of the hours of a local day."""
    span = range(start_of(day), start_of(day + timedelta(days=1)))
    rows = [value for at_s, value in street.current().get(OWN, {}).items() if at_s in span]
    return [row[0] for row in rows], {row[3] for row in rows}


THEN = hourly(GAP - timedelta(days=KNOWN_DAYS) - YEAR, KNOWN_DAYS + GAP_DAYS, 10, 1000)
NOW_KNOWN = hourly(GAP - timedelta(days=KNOWN_DAYS), KNOWN_DAYS, 21, 90_000)
AFTER_S = start_of(GAP + timedelta(days=GAP_DAYS))
WANTED = GAP + timedelta(days=UNKNOWN_DAY)


@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["last year first", "last year late"])
def test_days_that_no_like_day_reaches_are_those_of_last_year_times_the_growth(
    *, is_many: bool, order: tuple[int, int]
) -> None:
    street = street_of(is_many=is_many)
    for place in order:
        street.deliver(OWN, CHANNEL, (THEN, NOW_KNOWN)[place])
        settle(street, AFTER_S + 2 * DAY_S)
    values, methods = values_of(street, WANTED)
    assert methods == {Method.PREVIOUS_YEAR}
    growth = Fraction(21 * 24 + 6, 10 * 24 + 6)
    assert values == [int(11 * growth * STEP)] * 6 + [int(10 * growth * STEP)] * 18
    assert Method.PREVIOUS_YEAR not in values_of(street, GAP)[1]


@pytest.mark.parametrize("is_many", [True, False])
def test_marks_of_last_year_that_are_lost_are_caught(*, is_many: bool) -> None:
    """The planted fault: what changed a year ago is not told to what was estimated from it."""
    street = street_of(is_many=is_many, is_forgetful=True)
    for rows in (NOW_KNOWN, THEN):
        street.deliver(OWN, CHANNEL, rows)
        settle(street, AFTER_S + 20 * DAY_S)
    assert Method.PREVIOUS_YEAR not in values_of(street, WANTED)[1]


@pytest.mark.parametrize("is_many", [True, False])
def test_registers_say_how_much_was_used_in_days_shaped_as_last_year(*, is_many: bool) -> None:
    street = street_of(is_many=is_many)
    end = (AFTER_S, NOW_KNOWN[-1][1] + 5000, 0, int(Source.PROFILE))
    street.deliver(OWN, CHANNEL, [*THEN, *NOW_KNOWN, end])
    settle(street, AFTER_S + DAY_S)
    own = street.current()[OWN]
    inside = [value for at_s, value in own.items() if start_of(GAP) <= at_s < AFTER_S]
    assert sum(value[0] for value in inside) == 5000 * STEP
    assert values_of(street, WANTED)[1] == {Method.PREVIOUS_YEAR}


def test_only_what_rests_on_a_day_of_last_year_is_derived_again() -> None:
    street = street_of(is_many=True)
    hints = street.hints
    assert isinstance(hints, Alone)
    street.deliver(OWN, CHANNEL, [*THEN, *NOW_KNOWN])
    settle(street, AFTER_S + 2 * DAY_S)
    hints.marked.clear()
    early = hourly(GAP - YEAR - timedelta(days=70), 20, 1, 10)
    street.deliver(OWN, CHANNEL, early)
    settle(street, AFTER_S + 2 * DAY_S)
    assert hints.marked  # the days before this year's, and no others
    assert max(end_s for _, end_s in hints.marked) < start_of(GAP)
    hints.marked.clear()
    late = [(at_s + HOUR_S // 2, count, 0, int(Source.PROFILE)) for at_s, count, _, _ in THEN[-30:-29]]
    street.deliver(OWN, CHANNEL, late)
    street.raw[CHANNEL] -= set(THEN[-30:-26])  # as if a person rejected them
    settle(street, AFTER_S + 2 * DAY_S)
    assert hints.marked
    assert min(own[0] for own in hints.marked) > start_of(GAP + timedelta(days=KNOWN_DAYS))


MONTHS = [
    (start_of(date(2026, month, 1)), count, 0, int(Source.FIELD)) for month, count in ((1, 0), (2, 310))
]
MONTHS += [(start_of(date(2026, 3, 20)), 310 + 47 * 24, 0, int(Source.FIELD))]
SUMMER_S = start_of(date(2026, 5, 8))


@pytest.mark.parametrize("is_many", [True, False])
def test_a_register_that_is_read_each_month_is_billed_by_its_daily_load_until_the_next_read(
    *, is_many: bool
) -> None:
    street = street_of(is_many=is_many)
    street.deliver(OWN, CHANNEL, MONTHS)
    settle(street, SUMMER_S)
    values, methods = values_of(street, date(2026, 2, 10))
    assert methods == {Method.EVEN_SPREAD}  # a bound between two reads is prorated
    assert values == [STEP] * 24
    later = [row for at_s, row in street.current()[OWN].items() if at_s >= MONTHS[-1][0]]
    assert {row[3] for row in later} == {Method.DAILY_AVERAGE}
    hours = (SUMMER_S - DAY_S - MONTHS[-1][0]) // HOUR_S
    assert sum(row[0] for row in later) == hours * STEP
    true_up = (start_of(date(2026, 4, 20)), MONTHS[-1][1] + 31 * 7, 0, int(Source.FIELD))
    street.deliver(OWN, CHANNEL, [true_up])
    settle(street, SUMMER_S)
    own = street.current()[OWN]
    inside = [row for at_s, row in own.items() if MONTHS[-1][0] <= at_s < true_up[0]]
    assert {row[3] for row in inside} == {Method.EVEN_SPREAD}
    assert sum(row[0] for row in inside) == 31 * 7 * STEP
    assert values_of(street, date(2026, 4, 25))[1] == {Method.DAILY_AVERAGE}


def arrived(order: Sequence[Row], *, is_many: bool) -> object:
    street = street_of(is_many=is_many)
    for row in order:
        street.deliver(OWN, CHANNEL, [row])
        settle(street, SUMMER_S)
    return street.current()


@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("later_s", [0, 8 * HOUR_S + 780], ids=["at midnight", "by hand"])
def test_the_order_in_which_reads_of_months_arrive_changes_nothing(*, is_many: bool, later_s: int) -> None:
    first, *others = permutations([(at_s + later_s, *read) for at_s, *read in MONTHS])
    plain = arrived(first, is_many=is_many)
    assert all(arrived(order, is_many=is_many) == plain for order in others)


PROFILE = ClassProfile(1000, ((114_155,) * 24,) * 3)


@pytest.mark.parametrize("is_many", [True, False])
def test_a_class_profile_comes_after_all_that_is_known_of_the_series(*, is_many: bool) -> None:
    rules = RuleSet(estimation=Estimation(profile=PROFILE))
    street = street_of(is_many=is_many, rules=rules)
    street.deliver(OWN, CHANNEL, NOW_KNOWN[-50:])
    settle(street, AFTER_S + 2 * DAY_S)
    assert values_of(street, WANTED) == ([114_155] * 24, {Method.CLASS_PROFILE})
    street.deliver(OWN, CHANNEL, [*THEN, *NOW_KNOWN])
    settle(street, AFTER_S + 2 * DAY_S)
    assert values_of(street, WANTED)[1] == {Method.PREVIOUS_YEAR}


def test_who_is_asked_nothing_after_its_days_stays_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: candidates after the days are left out."""
    monkeypatch.setattr(single_derive, "candidates_after", lambda *_: ())
    street = street_of(is_many=True)
    street.deliver(OWN, CHANNEL, [*THEN, *NOW_KNOWN])
    settle(street, AFTER_S + 2 * DAY_S)
    assert values_of(street, WANTED)[1] == set()
