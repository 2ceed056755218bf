"""V06 over months, wired: a profile that is a little short every day, beside registers that go their way."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from period_world import assign
from relational import NOW, People
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.channels import ChannelSpec
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.bootstrap import period_sums
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.bootstrap.period_rules import judge_periods
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch, RawReads
from wattkeeper.store.memory import MemoryReadingStore

BERLIN = ZoneInfo("Europe/Berlin")
REGISTER, PROFILE = "energy_import_register_kwh", "energy_import_interval_kwh"
HOUR_S = 3600
FROM_S, MONTH_S, END_S, TO_S = (
    to_seconds(local_midnight(each, BERLIN))
    for each in (date(2026, 9, 29), date(2026, 10, 1), date(2026, 11, 1), date(2026, 11, 3))
)
MIDNIGHTS_S = day_bounds(FROM_S, TO_S, BERLIN)
CUT_S = MIDNIGHTS_S[12] + 10 * HOUR_S  # what happens, happens then
HOURS = 745  # of an October whose clock is set back
USED, SHORT = 1000, 980  # watt-hours an hour: a day of 24 is half a count short
FIRST = 5000
OURS = ("vee.month-sum", "vee.sum-check", "vee.negative-gap")
Delivery = tuple[int, int, int, int]  # channel, instant, value, source
Found = list[tuple[str, dict[str, int]]]


class Place:
    """A usage point in Berlin; its meter has a register of whole kilowatt-hours and an hourly profile."""

    def __init__(
        self, people: People, services: Services, store: MemoryReadingStore, site_id: int, *, code: str = "B1"
    ) -> None:
        self.people, self.services, self.store, self.site_id, self.code = (
            people,
            services,
            store,
            site_id,
            code,
        )
        self.who: dict[str, Any] = {"actor": people.operator, "now": NOW}
        self.point_id = add_usage_point(**self.who, site_id=site_id, code=code, name=code)
        self.meter_id = self.add_meter(code)
        install_meter(
            **self.who,
            services=services,
            meter_id=self.meter_id,
            usage_point_id=self.point_id,
            at=from_seconds(FROM_S - 86_400),
        )

    def beside(self, code: str) -> "Place":
        """Return another such place on the same site."""
        return Place(self.people, self.services, self.store, self.site_id, code=code)

    def add_meter(self, serial: str) -> int:
        """Add such a meter; R.. has no profile, the register of S.. four digits instead of five."""
        digits = 4 if serial.startswith("S") else 5
        specs = [ChannelSpec(REGISTER, Fraction(1), digits), ChannelSpec(PROFILE, Fraction(1, 1000))]
        return add_meter(
            **self.who,
            services=self.services,
            site_id=self.site_id,
            serial_number=serial,
            interval_s=HOUR_S,
            channels=specs[:1] if serial.startswith("R") else specs,
        )

    @property
    def series_id(self) -> int:
        return Series.objects.get(usage_point_id=self.point_id).id

    def channel(self, reading_type: str, meter_id: int | None = None) -> int:
        return Channel.objects.get(meter_id=meter_id or self.meter_id, reading_type=reading_type).id

    def deliver(self, rows: Sequence[Delivery]) -> None:
        """Deliver rows as one batch."""
        channel_id, at_s, value, source = np.array(rows, dtype=np.int64).T.copy()
        nothing = np.zeros(len(rows), dtype=np.int64)
        batch = RawBatch(
            self.people.tenant.id,
            int(np.int64(hash(tuple(rows))) & (2**62 - 1)),
            TO_S,
            channel_id,
            at_s,
            value,
            nothing,
            source,
            nothing - 1,
        )
        StoreSink(self.store, lambda: NOW).deliver([batch])

    def run(self) -> Found:
        """Derive what is dirty, judge the periods, and return what V06 finds open here."""
        self.derive()
        return self.judge()

    def derive(self) -> None:
        """Derive what is dirty."""
        ports = pipeline_ports(self.store, self.people.tenant.id, lambda: NOW)
        while DirtyWindow.objects.exists():
            assert not run_once(ports, NOW).failures

    def judge(self) -> Found:
        """Judge the periods, and return what V06 finds open here."""
        judge_periods(self.store, tenant_id=self.people.tenant.id, now=NOW, rule_set=RuleSet())
        return self.found()

    def found(self) -> Found:
        """Return what V06 finds open here."""
        own = Finding.objects.filter(state="OPEN", rule__in=OURS, subject_key=f"series:{self.series_id}")
        return list(own.order_by("starts_at", "rule").values_list("rule", "evidence"))


@pytest.fixture
def place(ours: People, services: Services, store: MemoryReadingStore) -> Place:
    """The first usage point of a site in Berlin."""
    who: dict[str, Any] = {"actor": ours.operator, "now": NOW}
    site_id = add_site(**who, code="B", name="Hof", kind="RESIDENTIAL", time_zone="Europe/Berlin")
    return Place(ours, services, store, site_id)


def profile(channel_id: int, watt_hours: int, *, source: Source = Source.PROFILE) -> list[Delivery]:
    """Return the hours of a profile."""
    return [(channel_id, at_s, watt_hours, int(source)) for at_s in range(FROM_S, TO_S, HOUR_S)]


def registers(channel_id: int, shown: Callable[[int], int]) -> list[Delivery]:
    """Return what a register shows at local midnights, given the hours since the first."""
    return [
        (channel_id, at_s, shown((at_s - FROM_S) // HOUR_S) % 100_000, int(Source.FREEZE_DAILY))
        for at_s in MIDNIGHTS_S
    ]


def off(sum_kwh: Fraction | int) -> Found:
    """Return what is found of a month."""
    figures = {
        "sum_milliwh": int(sum_kwh * 10**6),
        "advance_milliwh": HOURS * 10**6,
        "tolerance_milliwh": 2 * 10**6 + HOURS * 1000,
    }
    return [("vee.month-sum", figures)]


OFF = off(Fraction(HOURS * SHORT, 1000))


def lose(place: Place, milliwh: int) -> None:
    """Let the stored month hold less than its days do, as after a run that lost something."""
    stored = place.store.roll_ups(place.people.tenant.id, [place.series_id], [], [MONTH_S])
    stored.energy_milliwh[:] -= milliwh
    place.store.insert_roll_ups(place.people.tenant.id, int(stored.run_id[0]) + 1, stored)


def test_what_is_short_every_day_is_found_in_the_month_and_goes_once_corrected(place: Place) -> None:
    channel_id = place.channel(PROFILE)
    place.deliver(profile(channel_id, SHORT) + registers(place.channel(REGISTER), lambda h: FIRST + h))
    assert place.run() == OFF
    assert place.run() == OFF
    corrected = [row for row in profile(channel_id, USED, source=Source.FILE) if row[1] < CUT_S]
    place.deliver(corrected)
    told = (CUT_S - MONTH_S) // HOUR_S
    assert place.run() == off(Fraction(told * USED + (HOURS - told) * SHORT, 1000))
    place.deliver(profile(channel_id, USED, source=Source.FILE))
    assert place.run() == []


def test_a_month_waits_for_the_register_at_its_end(place: Place) -> None:
    rows = registers(place.channel(REGISTER), lambda h: FIRST + h)
    late = [row for row in rows if row[1] == END_S]
    place.deliver(profile(place.channel(PROFILE), SHORT) + [row for row in rows if row not in late])
    assert place.run() == []
    place.deliver(late)
    assert place.run() == OFF


def test_days_that_nobody_read_the_register_on_do_not_matter(place: Place) -> None:
    ends = [
        row for row in registers(place.channel(REGISTER), lambda h: FIRST + h) if row[1] in (MONTH_S, END_S)
    ]
    place.deliver(profile(place.channel(PROFILE), USED) + ends)
    assert place.run() == []
    lose(place, 3 * 10**6)
    assert place.run() == off(HOURS - 3)


def come_round(place: Place, used: int) -> list[Delivery]:
    """Let the register come round."""
    return profile(place.channel(PROFILE), used) + registers(place.channel(REGISTER), lambda h: 99_900 + h)


def exchanged(place: Place, used: int) -> list[Delivery]:
    """Put another meter in the place."""
    hours = (CUT_S - FROM_S) // HOUR_S
    new_id = place.add_meter(f"{place.code}-2")
    exchange_meter(
        **place.who,
        services=place.services,
        meter_id=place.meter_id,
        new_meter_id=new_id,
        at=from_seconds(CUT_S),
        final_read=FIRST + hours,
        initial_read=17,
    )
    old = registers(place.channel(REGISTER), lambda h: FIRST + h) + profile(place.channel(PROFILE), used)
    new = registers(place.channel(REGISTER, new_id), lambda h: 17 + h - hours)
    new += profile(place.channel(PROFILE, new_id), used)
    return [row for row in old if row[1] < CUT_S] + [row for row in new if row[1] >= CUT_S]


def set_anew(place: Place, used: int) -> list[Delivery]:
    """Set the register to another value, and note it."""
    hours = (CUT_S - FROM_S) // HOUR_S
    note_read(
        **place.who,
        services=place.services,
        meter_id=place.meter_id,
        at=from_seconds(CUT_S),
        read=FIRST + hours,
        set_to=3,
    )
    shown = registers(place.channel(REGISTER), lambda h: FIRST + h if h < hours else 3 + h - hours)
    return profile(place.channel(PROFILE), used) + shown


HAPPENINGS = pytest.mark.parametrize("happens", [come_round, exchanged, set_anew])


@pytest.mark.parametrize("used", [USED, SHORT])
@HAPPENINGS
def test_what_happens_to_a_register_within_a_month_counts_exactly(
    place: Place, happens: Callable[[Place, int], list[Delivery]], used: int
) -> None:
    place.deliver(happens(place, used))
    assert place.run() == ([] if used == USED else OFF)


def test_a_register_that_was_set_ahead_does_not_confirm_a_profile_that_ran_ahead(place: Place) -> None:
    hours, more = (CUT_S - FROM_S) // HOUR_S, 15
    note_read(
        **place.who,
        services=place.services,
        meter_id=place.meter_id,
        at=from_seconds(CUT_S),
        read=FIRST + hours,
        set_to=FIRST + hours + more,
    )
    shown = registers(place.channel(REGISTER), lambda h: FIRST + h + more * (h >= hours))
    place.deliver(shown + profile(place.channel(PROFILE), 1020))
    assert place.run() == off(Fraction(HOURS * 1020, 1000))


def test_another_multiplier_from_a_read_on_counts_from_there(place: Place) -> None:
    change_multiplier(
        **place.who, usage_point_id=place.point_id, at=from_seconds(MIDNIGHTS_S[12]), numerator=3
    )
    place.deliver(
        profile(place.channel(PROFILE), SHORT) + registers(place.channel(REGISTER), lambda h: FIRST + h)
    )
    before = (MIDNIGHTS_S[12] - MONTH_S) // HOUR_S
    counted = before + 3 * (HOURS - before)
    figures = {
        "sum_milliwh": counted * SHORT * 1000,
        "advance_milliwh": counted * 10**6,
        "tolerance_milliwh": 6 * 10**6 + counted * 1000,  # of the largest count of the month
    }
    assert place.run() == [("vee.month-sum", figures)]


def test_a_register_that_was_set_back_unseen_is_not_taken_for_one_that_came_round(place: Place) -> None:
    hours = (CUT_S - FROM_S) // HOUR_S
    place.deliver(
        profile(place.channel(PROFILE), USED)
        + registers(place.channel(REGISTER), lambda h: 95_000 + h if h < hours else h - hours)
    )
    assert [rule for rule, _ in place.run() if rule == "vee.month-sum"] == []


@pytest.mark.parametrize("used", [USED, SHORT])
def test_a_register_that_may_have_come_round_in_a_month_is_followed_through_its_days(
    place: Place, used: int
) -> None:
    small = place.beside("S5")
    small.deliver(
        profile(small.channel(PROFILE), used) + registers(small.channel(REGISTER), lambda h: FIRST + h)
    )
    assert small.run() == ([] if used == USED else OFF)


def test_a_rule_set_says_what_a_month_may_be_off_that_of_its_last_day(place: Place) -> None:
    place.deliver(
        profile(place.channel(PROFILE), SHORT) + registers(place.channel(REGISTER), lambda h: FIRST + h)
    )
    wide = {"rules": {"vee.month-sum": {"sum_step_count": 15, "sum_permille": 0}}}
    assign(place.people, {"code": "late-1", **wide}, 20)  # in November
    assert place.run() == OFF
    assign(place.people, {"code": "wide-1", **wide}, 30)
    assert place.run() == []
    assign(place.people, {"code": "narrow-1", "rules": {"vee.month-sum": {"sum_permille": 17}}}, 29)
    ((_, evidence),) = place.run()
    assert evidence["tolerance_milliwh"] == 2 * 10**6 + HOURS * 17_000
    assign(place.people, {"code": "off-1", "rules": {"vee.month-sum": {"severity": "off"}}}, 28)
    assert place.run() == []


def test_all_reads_of_a_month_are_asked_only_of_those_that_its_ends_do_not_clear(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, alone = place.beside("B3"), place.beside("R4")
    asked: list[tuple[int, int]] = []  # seconds, channels
    real = place.store.raw_reads

    def counted(tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int, **how: bool) -> RawReads:
        asked.append((to_s - from_s, len(channel_ids)))
        return real(tenant_id, channel_ids, from_s, to_s, **how)

    for each in (place, other, alone):
        each.deliver(registers(each.channel(REGISTER), lambda h: FIRST + h))
    ends = registers(place.channel(REGISTER), lambda h: FIRST + h)
    place.deliver([(*row[:3], int(Source.FREEZE_MONTHLY)) for row in ends])  # two sources that say the same
    place.deliver(profile(place.channel(PROFILE), USED) + profile(other.channel(PROFILE), USED))
    place.derive()
    monkeypatch.setattr(place.store, "raw_reads", counted)
    assert place.judge() == []
    assert asked == [(1, 2), (1, 2)]  # a register alone is not asked at all
    other.deliver(profile(other.channel(PROFILE), SHORT, source=Source.FILE))
    place.derive()
    asked.clear()
    assert (place.judge(), other.found()) == ([], OFF)
    assert asked == [(1, 2), (1, 2), (END_S - MONTH_S + 2 * 86_400, 1)]


def test_what_a_person_edits_is_held_against_a_register_alone(place: Place) -> None:
    alone = place.beside("R4")
    alone.deliver(
        [
            (alone.channel(REGISTER), at_s, FIRST + (at_s - FROM_S) // HOUR_S, int(Source.PROFILE))
            for at_s in range(FROM_S, TO_S + 1, HOUR_S)
        ]
    )
    assert alone.run() == []
    edit_values(
        **place.who,
        services=replace(place.services, measured=measured_by(place.store, lambda: NOW)),
        series_id=alone.series_id,
        starts_at=from_seconds(CUT_S),
        energy_milliwh=[8 * 10**6],
        reason_code=51,
    )
    assert [each for each in alone.run() if each[0] == "vee.month-sum"] == off(HOURS + 7)


@pytest.mark.parametrize("call", ["get_series_facts", "find_ends"])
def test_a_meter_that_cannot_be_reckoned_holds_up_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    other = place.beside("B3")
    for each in (place, other):
        each.deliver(profile(each.channel(PROFILE), SHORT))
        each.deliver(registers(each.channel(REGISTER), lambda h: FIRST + h))
    assert (place.run(), other.found()) == (OFF, OFF)
    real, channel_id, series_id = getattr(period_sums, call), other.channel(REGISTER), other.series_id

    def stumble(subjects: Sequence[Any], *others: Any) -> Any:
        if series_id in subjects or any(getattr(each, "channel_id", 0) == channel_id for each in subjects):
            raise WattkeeperError("meters.constant-missing", reading_type="pulses_imp")
        return real(subjects, *others)

    monkeypatch.setattr(period_sums, call, stumble)
    assert (place.run(), other.found()) == (OFF, [])


@pytest.mark.alike
@HAPPENINGS
def test_any_order_and_repetition_ends_in_the_same_findings(
    place: Place, happens: Callable[[Place, int], list[Delivery]]
) -> None:
    chance = Random(7)
    places = [place, *(place.beside(f"B{number}") for number in range(10, 16))]
    for each in places:
        rows = happens(each, SHORT)
        own = each.channel(PROFILE)
        rows += [row for row in profile(own, USED, source=Source.FILE) if row[1] < MIDNIGHTS_S[5]]
        batches = [rows]
        if each is not place:
            every = [*rows, *chance.sample(rows, len(rows) // 4)]
            chance.shuffle(every)
            cut = chance.randrange(1, len(every))
            batches = [every[:cut], every[cut:]]
        for batch in batches:
            each.deliver(batch)
            each.run()
    (rule, evidence) = place.found()[0]
    assert (rule, evidence["advance_milliwh"]) == ("vee.month-sum", HOURS * 10**6)
    assert [each.found() for each in places] == [place.found()] * len(places)
