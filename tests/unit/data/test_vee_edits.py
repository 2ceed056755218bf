"""Manual edits, wired: beside raw reads, with a reason and two people when large, withdrawn, overtaken."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from relational import NOW, People, Street
from vee_world import AT, FIRST, KWH, World
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.decide_edit import approve_edit, reject_edit, set_edit_threshold, withdraw_edit
from wattkeeper.actions.vee.edit_values import ALONE, spread_evenly
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.accounts.models import User
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.models import Series, Site, UsagePoint
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.interfaces.reads.versions import rules_between
from wattkeeper.store.memory import MemoryReadingStore


@pytest.fixture
def world(ours: People, services: Services, store: MemoryReadingStore, street: Street) -> World:
    """Our measured series."""
    return World(ours, services, store, street)


def refused(code: str, attempt: Any) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        attempt()
    assert refusal.value.code == code


def test_a_small_edit_holds_at_once_and_raw_stays(world: World, ours: People) -> None:
    world.deliver()
    raw, measured = world.raw(), world.at()
    assert measured == (30_000, Provenance.MEASURED)  # 3 counts of 0.01 kWh
    edit_id = world.edit(ours.operator, 40_000, 50_000)
    world.run()
    assert world.at() == (40_000, Provenance.EDITED)
    assert world.at(AT + timedelta(minutes=15)) == (50_000, Provenance.EDITED)
    assert world.raw() == raw
    assert StoredEdit.objects.get(id=edit_id).rejected_milliwh == [30_000, 30_000]
    withdraw_edit(actor=ours.operator, now=NOW, edit_id=edit_id)
    world.run()
    assert world.at() == measured
    verbs = set(AuditRecord.objects.values_list("verb", flat=True))
    assert {"vee.edit-values", "vee.withdraw-edit"} <= verbs


def test_a_large_edit_waits_for_somebody_else(world: World, ours: People) -> None:
    world.deliver()
    edit_id = world.edit(ours.operator, 200 * KWH)
    world.run()
    assert world.at() == (30_000, Provenance.MEASURED)
    refused("vee.edit-own-approval", lambda: approve_edit(actor=ours.operator, now=NOW, edit_id=edit_id))
    again = replace(ours.operator, origin="cli")
    refused("vee.edit-own-approval", lambda: approve_edit(actor=again, now=NOW, edit_id=edit_id))
    nobody = replace(ours.administrator, user_id=None)
    refused("vee.edit-person", lambda: approve_edit(actor=nobody, now=NOW, edit_id=edit_id))
    refused("accounts.not-allowed", lambda: approve_edit(actor=ours.viewer, now=NOW, edit_id=edit_id))
    User.objects.filter(id=ours.administrator.user_id).update(created_by_id=ours.operator.user_id)
    refused("vee.edit-creator", lambda: approve_edit(actor=ours.administrator, now=NOW, edit_id=edit_id))
    User.objects.update(created_by_id=None)
    approve_edit(actor=ours.administrator, now=NOW, edit_id=edit_id)
    world.run()
    assert world.at() == (200 * KWH, Provenance.EDITED)
    refused("vee.edit-state", lambda: approve_edit(actor=ours.administrator, now=NOW, edit_id=edit_id))


def test_without_the_second_person_the_database_refuses_too(world: World, ours: People) -> None:
    world.deliver()
    edit_id = world.edit(ours.operator, 200 * KWH)
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError, match="vee_edit_two_people"), transaction.atomic():
        StoredEdit.objects.filter(id=edit_id).update(approver_id=ours.operator.user_id)


def test_the_threshold_is_the_tenants(world: World, ours: People) -> None:
    world.deliver()
    refused("accounts.not-allowed", lambda: set_edit_threshold(actor=ours.operator, now=NOW, milliwh=10))
    set_edit_threshold(actor=ours.administrator, now=NOW, milliwh=20_000)
    small, large = world.edit(ours.operator, 49_999), world.edit(ours.operator, 50_000)
    states = dict(StoredEdit.objects.values_list("id", "state"))
    assert states == {small: "IN_FORCE", large: "PENDING"}
    refused("vee.edit-note", lambda: reject_edit(actor=ours.administrator, now=NOW, edit_id=large, note=" "))
    reject_edit(actor=ours.administrator, now=NOW, edit_id=large, note="no such energy")
    world.run()
    assert world.at() == (49_999, Provenance.EDITED)


def test_an_estimate_that_is_taken_away_is_changed_energy(world: World, ours: People) -> None:
    """A gap of 96 quarters between two registers that 500 kWh passed, none of them measured."""
    world.deliver(without=range(64, 160), changed=dict.fromkeys(range(160, 190), 50_000))
    at = FIRST + timedelta(minutes=15 * 63)
    gap = range(97)
    estimated = [world.at(at + timedelta(minutes=15 * place))[0] for place in gap]
    edit_id = world.edit(ours.operator, *(0 for _ in gap), at=at)
    assert sum(estimated) > 500 * KWH
    assert StoredEdit.objects.get(id=edit_id).changed_milliwh == sum(estimated)
    world.run()
    assert world.at(at) == (estimated[0], Provenance.ESTIMATED)  # it waits for a second person
    approve_edit(actor=ours.administrator, now=NOW, edit_id=edit_id)
    world.run()
    assert world.at(at) == (0, Provenance.EDITED)
    more_id = world.edit(ours.operator, estimated[0] + 1, at=at)  # of what nobody measured all of it counts
    assert StoredEdit.objects.get(id=more_id).changed_milliwh == estimated[0] + 1


def test_small_edits_add_up_until_a_second_person_looks(world: World, ours: People) -> None:
    """What one person changes of a series alone within a month is no more than one edit may be."""
    world.deliver()
    ids = [world.edit(ours.operator, 40_030_000, at=AT + timedelta(minutes=15 * place)) for place in range(3)]

    def states() -> list[str]:
        return list(StoredEdit.objects.order_by("id").values_list("state", flat=True))

    assert states() == ["IN_FORCE", "IN_FORCE", "PENDING"]  # 40, 80 and 120 kWh
    later = AT + timedelta(hours=2)
    world.edit(ours.administrator, 40_030_000, at=later)  # somebody else's are another sum
    withdraw_edit(actor=ours.operator, now=NOW, edit_id=ids[0])
    world.edit(ours.operator, 50_030_000, at=AT)  # what was taken back is in no sum: 40 and 50
    approve_edit(actor=ours.administrator, now=NOW, edit_id=ids[2])
    world.edit(ours.operator, 10_029_999, at=later)  # nor is what a second person approved: 99.999999
    world.edit(ours.operator, 30_001, at=later)  # the last milliwatt-hour
    assert states()[3:] == ["IN_FORCE"] * 3 + ["PENDING"]
    world.now += ALONE
    world.edit(ours.operator, 90_030_000, at=later)
    assert states()[-1] == "IN_FORCE"


def test_an_edit_holds_until_a_different_value_is_measured(world: World, ours: People) -> None:
    gap = range(64, 80)
    world.deliver(without=gap)
    at = FIRST + timedelta(minutes=15 * 70)
    world.edit(ours.operator, 77_000, at=at)
    world.run()
    assert world.at(at) == (77_000, Provenance.EDITED)
    rows = world.store.measurements(ours.tenant.id, [world.series.id], 0, 2**31)
    assert int(rows.value_milliwh[:189].sum()) == 189 * 30_000  # what the registers say stays
    world.deliver()
    assert world.at(at) == (30_000, Provenance.MEASURED)
    assert Finding.objects.filter(rule="vee.edit-overtaken", state="OPEN").count() == 1
    assert StoredEdit.objects.get().state == "IN_FORCE"


def test_an_edit_of_a_measured_value_stands_when_the_same_comes_again(world: World, ours: People) -> None:
    world.deliver()
    world.edit(ours.operator, 31_000)
    world.run()
    world.deliver()
    assert world.at() == (31_000, Provenance.EDITED)


def test_another_multiplier_measures_another_value_until_it_is_changed_back(
    world: World, ours: People
) -> None:
    """An edit says primary energy: nobody knows whether it was meant under the new one. A person is asked."""
    world.deliver()
    world.edit(ours.operator, 31_000)
    world.run()
    told = Finding.objects.filter(rule="vee.edit-overtaken", state="OPEN")
    for numerator, wanted in ((40, (1_200_000, Provenance.MEASURED)), (1, (31_000, Provenance.EDITED))):
        point_id = world.series.usage_point_id
        given = {"usage_point_id": point_id, "at": FIRST, "numerator": numerator}
        change_multiplier(actor=ours.operator, now=NOW, **given)
        world.run()
        assert (world.at(), told.count()) == (wanted, int(numerator == 40))


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("vee.edit-reason", {"code": 4}),
        ("vee.edit-free-text", {"code": 0}),
        ("vee.edit-span", {"at": AT + timedelta(minutes=1)}),
        ("vee.edit-span", {"at": NOW}),
        ("vee.edit-span", {"at": datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))}),
        ("vee.edit-span", {"at": datetime(9999, 12, 31, 23, tzinfo=ZoneInfo("America/Lima"))}),
        ("vee.edit-uninstalled", {"at": NOW - timedelta(days=300)}),
        ("registry.instant-naive", {"at": AT.replace(tzinfo=None)}),
    ],
)
def test_what_is_no_edit_is_refused(world: World, ours: People, code: str, options: dict[str, Any]) -> None:
    refused(code, lambda: world.edit(ours.operator, 1000, **options))
    refused("vee.edit-negative", lambda: world.edit(ours.operator, -1))
    refused("vee.edit-energy", lambda: world.edit(ours.operator, 10**15 + 1))
    refused(
        "vee.edit-threshold", lambda: set_edit_threshold(actor=ours.administrator, now=NOW, milliwh=2**63)
    )
    assert not StoredEdit.objects.exists()


def test_a_virtual_meter_is_edited_through_its_parts(world: World, ours: People) -> None:
    UsagePoint.objects.filter(id=world.series.usage_point_id).update(kind="VIRTUAL")
    refused("vee.edit-virtual", lambda: world.edit(ours.operator, 1000))


@pytest.mark.parametrize(
    ("zone", "interval_s", "minute", "is_start"),
    [
        ("Asia/Kolkata", 3600, 30, True),  # 30 past in UTC is the full hour there
        ("Asia/Kolkata", 3600, 0, False),
        ("Asia/Kathmandu", 1800, 15, True),
        ("Asia/Kathmandu", 1800, 30, False),
        ("Asia/Shanghai", 3600, 0, True),
    ],
)
def test_intervals_count_from_local_midnight(
    world: World, ours: People, zone: str, interval_s: int, minute: int, *, is_start: bool
) -> None:
    Series.objects.update(interval_s=interval_s)
    Site.objects.update(time_zone=zone)
    at = AT.replace(minute=minute)
    if not is_start:
        refused("vee.edit-span", lambda: world.edit(ours.operator, 1000, at=at))
        return
    edit_id = world.edit(ours.operator, 1000, 2000, at=at)
    assert StoredEdit.objects.get(id=edit_id).ends_at == at + timedelta(seconds=2 * interval_s)
    series = Series.objects.get(id=world.series.id)
    finding = Finding.objects.create(
        tenant_id=ours.tenant.id,
        rule="vee.spike",
        subject_key=f"series:{series.id}",
        starts_at=at,
        ends_at=at + timedelta(seconds=interval_s),
        opened_at=NOW,
    )
    day_s = to_seconds(at) - 4 * interval_s, to_seconds(at) + 4 * interval_s
    found = rules_between(ours.tenant.id, series.id, interval_s, ZoneInfo(zone), *day_s)
    assert found == {to_seconds(finding.starts_at): ["vee.spike"]}


def test_who_may_edit(world: World, ours: People, theirs: People) -> None:
    world.deliver()
    refused("accounts.not-allowed", lambda: world.edit(ours.viewer, 1000))
    refused("registry.not-found", lambda: world.edit(theirs.operator, 1000))
    refused("vee.edit-person", lambda: world.edit(replace(ours.operator, user_id=None), 1000))
    edit_id = world.edit(ours.operator, 1000)
    refused("registry.not-found", lambda: withdraw_edit(actor=theirs.operator, now=NOW, edit_id=edit_id))
    refused("registry.not-found", lambda: approve_edit(actor=theirs.operator, now=NOW, edit_id=edit_id))


def test_a_total_is_spread_to_the_last_digit() -> None:
    assert spread_evenly(100, 3) in ([34, 33, 33], [33, 34, 33], [33, 33, 34])
    assert sum(spread_evenly(10**15 + 1, 96)) == 10**15 + 1
