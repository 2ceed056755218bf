"""Gaps of a supply that was off and of meters in a node, wired: commands and topology in, values stored."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street
from unit.data.test_hints import (
    GAP,
    GAP_DAY,
    STEP_MILLIWH,
    Town,
    energy_of,
    peak_of,
    start_of,
    town,
    wired,
)
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check, retire_accuracy_check
from wattkeeper.bootstrap import pipeline_hints
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.collection.windows import mark_recent_dirty
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Meter, Series, Topology
from wattkeeper.data.virtual.models import AccuracyCheck

__all__ = ["town", "wired"]
OFF, ON = 41, 71  # quarters of an hour of the gap day, half an hour after the read before
LOSS_PPM = 100_000


def quarter(place: int, minutes: int = 0) -> datetime:
    """Return an instant of the gap day."""
    return from_seconds(start_of(GAP_DAY) + 900 * place) + timedelta(minutes=minutes)


def command(people: People, street: Street, kind: Kind, at: datetime, **fields: Any) -> None:
    """Keep a verified command that was sent, and read back, at an instant."""
    relay = {"relay_state_code": int(kind is Kind.RECONNECT), "read_back_at": at}
    Command.objects.create(
        tenant_id=people.tenant.id,
        meter_id=street.meter_id,
        kind=kind.value,
        reason="unpaid",
        idempotency_key=f"{kind}-{at}",
        requested_by_id=people.operator.user_id,
        requested_at=at,
        valid_until=at,
        sent_at=at,
        **{"state": State.VERIFIED.value, **relay, **fields},
    )


def without_tail(town: Town, place: int = 0) -> None:
    """Deliver a register that says nothing more from the gap day's tenth hour on."""
    town.deliver(place, range(OFF, 10**6))


def test_a_supply_that_was_off_used_nothing_until_a_reconnection_was_sent(
    wired: Town, ours: People, street: Street
) -> None:
    command(ours, street, Kind.DISCONNECT, quarter(OFF, 2))
    command(ours, street, Kind.RECONNECT, quarter(ON, 2))
    without_tail(wired)
    wired.run()
    values, provenance, methods = wired.values(0, 40, 96)
    zero = slice(OFF + 1 - 40, ON - 40)  # what lies within, not the intervals that it cuts
    assert set(methods[zero]) == {Method.KNOWN_ZERO}
    assert set(values[zero]) == {0}
    assert set(provenance[zero]) == {Provenance.ESTIMATED}
    assert set(methods[: zero.start] + methods[zero.stop :]) == {Method.LIKE_DAY}


def test_a_supply_that_is_still_off_uses_nothing(wired: Town, ours: People, street: Street) -> None:
    command(ours, street, Kind.DISCONNECT, quarter(OFF))
    without_tail(wired)
    wired.run()
    assert set(wired.values(0, OFF, 96)[2]) == {Method.KNOWN_ZERO}


def test_what_the_registers_moved_stands_over_a_supply_that_was_off(
    wired: Town, ours: People, street: Street
) -> None:
    command(ours, street, Kind.DISCONNECT, quarter(OFF))
    command(ours, street, Kind.RECONNECT, quarter(ON))
    wired.deliver(0, GAP)
    wired.run()
    values, _, methods = wired.values(0, 40, 72)
    assert sum(values) == energy_of(0, 40, 72)
    assert set(methods[1:-1]) == {Method.KNOWN_ZERO}
    assert set(values[1:-1]) == {0}  # all of it in the two intervals in which it was on for a while


def test_a_supply_whose_registers_moved_all_the_while_was_not_off(
    wired: Town, ours: People, street: Street
) -> None:
    command(ours, street, Kind.DISCONNECT, quarter(30))
    command(ours, street, Kind.RECONNECT, quarter(80))
    wired.deliver(0, GAP)
    wired.run()
    values, _, methods = wired.values(0, 40, 72)
    assert sum(values) == energy_of(0, 40, 72)
    assert set(methods) == {Method.EVEN_SPREAD}


@pytest.mark.parametrize("fields", [{"state": State.UNKNOWN.value}, {"read_back_at": None}])
def test_a_disconnection_that_was_not_read_back_is_no_zero(
    town: Town, ours: People, street: Street, fields: dict[str, Any]
) -> None:
    command(ours, street, Kind.DISCONNECT, quarter(OFF), **fields)
    without_tail(town)
    town.run()
    assert set(town.values(0, OFF, 96)[2]) == {Method.LIKE_DAY}


def test_who_does_not_know_that_it_was_off_takes_the_like_day(
    town: Town, ours: People, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault to catch: disconnections never reach the estimates."""
    monkeypatch.setattr(pipeline_hints, "_off_spans", lambda _tenant_id: {})
    command(ours, street, Kind.DISCONNECT, quarter(OFF))
    without_tail(town)
    town.run()
    assert set(town.values(0, OFF, 96)[2]) == {Method.LIKE_DAY}


def feed(people: People, street: Street, at: datetime = LONG_AGO, *, is_fed: bool = True) -> None:
    """Say from when on the second point feeds the first."""
    parent_id = street.other_point_id if is_fed else None
    set_topology(actor=people.operator, now=NOW, child_id=street.point_id, parent_id=parent_id, at=at)


def balance(people: People, street: Street) -> int:
    """Compare the second point with what it feeds."""
    return add_accuracy_check(
        actor=people.operator,
        now=NOW,
        main_id=street.other_point_id,
        reference_id=None,
        main_class="1",
        reference_class="1",
        base_power_w=1000,
        loss_ppm=LOSS_PPM,
    )


def assert_balanced(town: Town) -> None:
    """Assert that the first series has, where it is silent, what the second took less the loss."""
    values, _, methods = town.values(0, OFF, 96)
    assert set(methods) == {Method.NETWORK_BALANCE}
    taken = np.full(96 - OFF, 4) * STEP_MILLIWH
    taken[peak_of(GAP_DAY) - OFF] = 9 * STEP_MILLIWH
    assert values == (taken - taken // 10).tolist()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["silent first", "feeder first"])
def test_a_silent_meter_gets_what_the_balance_of_its_node_leaves(
    wired: Town, ours: People, street: Street, order: tuple[int, ...]
) -> None:
    feed(ours, street)
    balance(ours, street)
    for place in order:
        without_tail(wired) if place == 0 else wired.deliver(1)
        wired.run()
    assert_balanced(wired)


@pytest.mark.alike
@pytest.mark.parametrize("order", [(0, 1, -1), (-1, 1, 0), (0, -1, 1)])
def test_what_a_feeder_gives_back_counts_against_what_it_takes(
    wired: Town, ours: People, street: Street, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ChannelSpec("energy_export_register_kwh", Fraction(1, 100))
    wired.channels += [each.id for each in make_channels(Meter.objects.get(id=street.other_meter_id), [spec])]
    Series.objects.create(
        tenant_id=ours.tenant.id, usage_point_id=street.other_point_id, quantity="energy_export"
    )
    feed(ours, street)
    balance(ours, street)
    for place in order:
        without_tail(wired) if place == 0 else wired.deliver(place)
        wired.run()
    values, _, methods = wired.values(0, OFF, 96)
    assert set(methods) == {Method.NETWORK_BALANCE}
    net = np.full(96 - OFF, 4 - 2) * STEP_MILLIWH
    net[peak_of(GAP_DAY) - OFF] = 0
    assert values == (net - net // 10).tolist()
    monkeypatch.setattr(pipeline_hints, "given_back_spans", lambda *_: ([], []))  # the plant
    balance(ours, street)
    wired.run()
    assert_balanced(wired)


def test_the_sum_of_what_it_feeds_checks_a_meter(wired: Town, ours: People, street: Street) -> None:
    feed(ours, street)
    balance(ours, street)
    wired.deliver(1, GAP)
    wired.deliver(0)
    wired.run()
    values, _, methods = wired.values(1, 40, 72)
    assert set(methods) == {Method.CHECK_METER}
    assert sum(values) == energy_of(1, 40, 72)
    assert int(np.argmax(values)) == peak_of(GAP_DAY) - 40


def test_a_node_that_changes_has_its_gaps_estimated_again_and_nothing_else(
    town: Town, ours: People, street: Street
) -> None:
    without_tail(town)
    town.deliver(1)
    mark_recent_dirty(tenant_id=ours.tenant.id, since=quarter(0), now=NOW)
    feed(ours, street, quarter(OFF))
    assert not DirtyWindow.objects.filter(reason="node").exists()  # no comparison stands
    town.run()
    plain = town.all_values()
    check_id = balance(ours, street)
    town.run()
    assert_balanced(town)
    feed(ours, street, quarter(60), is_fed=False)
    assert DirtyWindow.objects.get().starts_at == quarter(60)
    town.run()
    assert set(town.values(0, 60, 96)[2]) == {Method.LIKE_DAY}
    feed(ours, street, quarter(60))
    town.run()
    assert_balanced(town)
    retire_accuracy_check(actor=ours.operator, now=NOW, check_id=check_id)
    town.run()
    assert town.all_values() == plain


def test_a_node_knows_since_when_who_gives_energy_back_and_needs_all_to_be_measured(
    town: Town, ours: People, street: Street
) -> None:
    feed(ours, street)
    balance(ours, street)
    hints = town.ports.hints
    assert hints is not None
    assert len(hints.get_nodes()) == 1
    own = Series.objects.filter(usage_point_id=street.point_id)
    given = own.create(tenant_id=ours.tenant.id, usage_point_id=street.point_id, quantity="energy_export")
    hints.begin()
    assert hints.get_nodes()[0].backs == ()  # no meter was there that measures it
    spec = ChannelSpec("energy_export_register_kwh", Fraction(1, 100))
    make_channels(Meter.objects.get(id=street.meter_id), [spec])
    hints.begin()
    (node,) = hints.get_nodes()
    since_s = to_seconds(LONG_AGO)
    assert (node.backs, node.feeder_backs) == (((given.id, since_s, None),), ())
    assert node.interval_s_of.keys() == {*town.series, given.id}
    feed(ours, street, quarter(OFF), is_fed=False)
    hints.begin()
    assert hints.get_nodes()[0].backs == ((given.id, since_s, to_seconds(quarter(OFF))),)
    Topology.objects.update(parent=street.point_id, child=street.other_point_id)
    AccuracyCheck.objects.update(main=street.point_id)
    hints.begin()
    (node,) = hints.get_nodes()
    assert (node.backs, node.feeder_backs) == ((), ((given.id, since_s, None),))
    given.delete()
    Series.objects.filter(id=town.series[1]).update(quantity="energy_export")
    hints.begin()
    assert hints.get_nodes() == []
    Series.objects.filter(id=town.series[1]).update(quantity="energy_import")
    hints.begin()
    assert len(hints.get_nodes()) == 1
    AccuracyCheck.objects.update(loss_ppm=1_000_000)
    hints.begin()
    assert hints.get_nodes() == []
