"""Rules over what meters said at one instant, wired: rates against totals, phases against each other."""

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from period_world import assign
from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.instant_rules import judge_instants
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.registry.models import Channel, Installation, Meter
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

NOON_S = to_seconds(NOW)  # 20:00 in Shanghai
TOTAL = "energy_import_register_kwh"
HUNDREDTH = Fraction(1, 100)
RATES = {f"energy_import_t{rate}_register_kwh": HUNDREDTH for rate in range(1, 5)}
PHASES = {
    f"{what}_l{phase}_{unit}": step
    for phase in (2, 3)
    for what, unit, step in (("voltage", "v", Fraction(1, 10)), ("current", "a", Fraction(1, 1000)))
}
AGREE = {TOTAL: 9000, **dict(zip(RATES, (1000, 2000, 3000, 2997), strict=True))}
QUIET = {
    **{f"voltage_l{phase}_v": 2300 for phase in (1, 2, 3)},
    **{f"current_l{phase}_a": 20_000 for phase in (1, 2, 3)},
    "power_import_w": 130_000,
}


@pytest.fixture(autouse=True)
def meter(ours: People, street: Street, services: Services) -> Meter:
    """A meter of three phases and four rates, installed long ago on a service of 20 kW."""
    meter = Meter.objects.get(id=street.meter_id)
    make_channels(meter, [ChannelSpec(code, step, 8) for code, step in (RATES | PHASES).items()])
    install_first(ours, street, services)
    return meter


def say(
    store: MemoryReadingStore, meter: Meter, said: Mapping[str, int], ago_s: int = 0, flags: int = 0
) -> None:
    """Deliver what a meter says at one instant, in counts of its channels."""
    ids = dict(Channel.objects.filter(meter=meter).values_list("reading_type", "id"))
    rows = [(ids[code], NOON_S - ago_s, count, flags, Source.LIVE, -1) for code, count in said.items()]
    columns = np.array(rows, dtype=np.int64).T.copy()
    StoreSink(store, lambda: NOW).deliver([RawBatch(meter.tenant_id, ago_s + 1, NOON_S, *columns)])


def judge(store: MemoryReadingStore, ours: People, **given: Any) -> list[tuple[str, int, Any]]:
    """Return the open findings after judging: rule, seconds ago, evidence."""
    judge_instants(store, tenant_id=ours.tenant.id, now=NOW, rule_set=RuleSet(), **given)
    return [
        (found.rule, NOON_S - to_seconds(found.starts_at), found.evidence)
        for found in Finding.objects.filter(state="OPEN").order_by("rule", "starts_at")
    ]


def test_rates_that_do_not_add_up_are_one_finding_a_day_until_they_do(
    ours: People, meter: Meter, store: MemoryReadingStore
) -> None:
    say(store, meter, AGREE)
    say(store, meter, AGREE | {TOTAL: 9005 - 3}, 900)  # five registers drop five remainders
    assert judge(store, ours) == []
    for ago_s in (1800, 2700, 86_400):
        say(store, meter, AGREE | {TOTAL: 9003}, ago_s)
    figures = {"total_milliwh": 90_030_000, "difference_milliwh": 60_000, "tolerance_milliwh": 50_000}
    assert judge(store, ours) == [
        ("vee.tou-sum", 86_400, {"read_count": 1, **figures}),
        ("vee.tou-sum", 2700, {"read_count": 2, **figures}),
    ]
    (found, *_) = Finding.objects.all()
    assert (found.subject_key, found.meter_id) == (f"meter:{meter.id}", meter.id)
    assert found.usage_point_id == Installation.objects.get().usage_point_id
    assign(ours, {"code": "quiet-1", "rules": {"vee.tou-sum": {"severity": "off"}}}, 300)
    assert judge(store, ours) == []


@pytest.mark.parametrize("told", [None, 0, -7])
def test_a_register_of_which_no_step_was_told_moves_by_one(
    ours: People, meter: Meter, store: MemoryReadingStore, told: int | None
) -> None:
    Channel.objects.filter(meter=meter).update(shown_count=told)
    say(store, meter, AGREE)
    assert judge(store, ours) == []


def test_a_rate_that_was_not_read_is_no_zero(ours: People, meter: Meter, store: MemoryReadingStore) -> None:
    said = dict(AGREE)
    del said["energy_import_t3_register_kwh"]
    say(store, meter, said)
    assert judge(store, ours) == []
    say(store, meter, said | {"energy_import_t3_register_kwh": 0}, 900)
    assert [found[:2] for found in judge(store, ours)] == [("vee.tou-sum", 900)]


def test_registers_roll_over_one_after_the_other(
    ours: People, meter: Meter, store: MemoryReadingStore
) -> None:
    rates = dict(zip(RATES, (60_000_000, 40_000_000, 0, 5), strict=True))
    say(store, meter, {TOTAL: 5, **rates})
    assert judge(store, ours) == []
    Channel.objects.filter(meter=meter).update(register_digits=None)
    assert [found[0] for found in judge(store, ours)] == ["vee.tou-sum"]


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({"voltage_l2_v": 3}, ["vee.voltage-missing"]),
        ({"voltage_l2_v": 3, "current_l2_a": 0}, ["vee.current-imbalance"]),
        ({"power_import_w": -130_000}, ["vee.reverse-power"]),
        (
            {"voltage_l2_v": 3, **{f"current_l{phase}_a": -20_000 for phase in (1, 2, 3)}},
            ["vee.voltage-missing"],
        ),
    ],
)
def test_phases_are_judged(
    ours: People, meter: Meter, store: MemoryReadingStore, changed: dict[str, int], rules: list[str]
) -> None:
    say(store, meter, QUIET, 900)
    assert judge(store, ours) == []
    say(store, meter, QUIET | changed)
    found = judge(store, ours)
    assert [each[:2] for each in found] == [(rule, 0) for rule in rules]
    assign(ours, {"code": "quiet-1", "rules": {"vee.voltage-missing": {"severity": "off"}}}, 300)
    assert judge(store, ours) == []


def test_what_a_service_carries_is_seen_behind_its_transformers(
    ours: People, street: Street, meter: Meter, store: MemoryReadingStore
) -> None:
    say(store, meter, QUIET | {"power_import_w": -1000})  # 100 W of 20 kW: less than a hundredth
    assert judge(store, ours) == []
    change_multiplier(
        actor=ours.operator,
        now=NOW,
        usage_point_id=street.point_id,
        at=LONG_AGO + timedelta(days=1),
        numerator=40,
    )
    assert [found[0] for found in judge(store, ours)] == ["vee.reverse-power"]


def test_who_may_feed_in_is_not_found_for_it(ours: People, meter: Meter, store: MemoryReadingStore) -> None:
    say(store, meter, QUIET | {"power_import_w": -130_000})
    assert len(judge(store, ours)) == 1
    make_channels(meter, [ChannelSpec("energy_export_register_kwh", HUNDREDTH)])
    assert judge(store, ours) == []


def test_each_day_is_judged_by_its_own_rules(ours: People, meter: Meter, store: MemoryReadingStore) -> None:
    for days_ago in (1, 2, 3):
        say(store, meter, QUIET | {"voltage_l3_v": 1100}, days_ago * 86_400)
    assert len(judge(store, ours)) == 3
    assign(ours, {"code": "low-1", "rules": {"vee.voltage-missing": {"voltage_nominal_v": 200}}}, 2)
    assert [found[1] // 86_400 for found in judge(store, ours)] == [3]


def test_what_the_meter_doubts_and_where_it_was_not_is_left_out(
    ours: People, meter: Meter, store: MemoryReadingStore
) -> None:
    say(store, meter, QUIET | {"voltage_l2_v": 3}, flags=int(Flag.CLOCK_INVALID))
    assert judge(store, ours) == []
    say(store, meter, QUIET | {"voltage_l2_v": 3}, 86_400)
    assert len(judge(store, ours)) == 1
    Installation.objects.update(ends_at=NOW - timedelta(days=1))
    assert judge(store, ours) == []


def test_what_was_found_before_the_days_looked_at_stands(
    ours: People, meter: Meter, store: MemoryReadingStore
) -> None:
    say(store, meter, AGREE | {TOTAL: 1}, 3 * 86_400)
    assert len(judge(store, ours)) == 1
    assert len(judge(store, ours, day_count=2)) == 1
    assert judge(MemoryReadingStore(), ours) == []


def test_meters_that_tell_nothing_but_energy_cost_one_look(
    ours: People, meter: Meter, store: MemoryReadingStore
) -> None:
    say(store, meter, {TOTAL: 5})
    with CaptureQueriesContext(
        connection,
    ) as asked:
        judge_instants(store, tenant_id=ours.tenant.id, now=NOW, rule_set=RuleSet())
    assert len(asked) == 2
