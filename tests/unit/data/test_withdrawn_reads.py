"""A noted read that is withdrawn leaves nothing behind: the same values, findings and sums as never noted."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relational import NOW, People, Street
from unit.data.test_exact_bills import NOVEMBER, OCTOBER, ZONE, Town, assign, tariff, town
from unit.data.test_vee_edits import refused
from wattkeeper.actions.operations.verify_bills import _check_document
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee import withdraw_read as verb
from wattkeeper.actions.vee.decide_edit import set_edit_threshold
from wattkeeper.actions.vee.decide_withdrawal import approve_withdrawal, reject_withdrawal
from wattkeeper.actions.vee.withdraw_read import withdraw_read
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance, Source
from wattkeeper.core.readings.rollups import FIGURES
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.collection.models import DirtyWindow, FieldRead, Run
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.data.vee.models import ReadWithdrawal
from wattkeeper.data.vee.noted_reads import list_noted
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore
from wattkeeper.store.standing import as_corrected, latest_standing, nearest_standing
from wattkeeper.store.verify import Check

__all__ = ["town"]

FIRST_S = to_seconds(NOW - timedelta(days=4))
STEP_S, READS_COUNT = 900, 370
TOKEN_KWH = 10**6
REGISTER = "energy_import_register_kwh"


@dataclass
class Twins:
    """Two points with the same telemetry; of one, reads are noted and withdrawn."""

    people: People
    street: Street
    services: Services
    store: MemoryReadingStore

    def __post_init__(self) -> None:
        places = (
            (self.street.meter_id, self.street.point_id),
            (
                self.street.other_meter_id,
                self.street.other_point_id,
            ),
        )
        for meter_id, point_id in places:
            install_meter(**self.who, meter_id=meter_id, usage_point_id=point_id, at=NOW - timedelta(days=20))
        self.series = [
            Series.objects.get(usage_point_id=point_id, quantity="energy_import").id for _, point_id in places
        ]
        self.channels = [
            Channel.objects.get(meter_id=meter_id, reading_type=REGISTER).id for meter_id, _ in places
        ]

    @property
    def who(self) -> dict[str, Any]:
        return {"actor": self.people.operator, "now": NOW, "services": self.services}

    def deliver(self, places: list[int]) -> None:
        """Deliver what both registers showed: three counts more each quarter of an hour."""
        own = np.array(sorted(places), dtype=np.int64)
        zeros = np.zeros(len(own), dtype=np.int64)
        for channel_id in self.channels:
            told = (zeros + channel_id, FIRST_S + own * STEP_S, 5000 + 3 * own, zeros, zeros + Source.PUSH)
            batch = RawBatch(self.people.tenant.id, random.getrandbits(60), FIRST_S, *told, zeros - 1)
            StoreSink(self.store, lambda: NOW).deliver([batch])

    def note(self, at_s: int, read: int, set_to: int | None = None) -> None:
        note_read(**self.who, meter_id=self.street.meter_id, at=from_seconds(at_s), read=read, set_to=set_to)

    def withdraw(self, at_s: int) -> int:
        return withdraw_read(
            **self.who, meter_id=self.street.meter_id, at=from_seconds(at_s), reason="of another meter"
        )

    def derive(self) -> None:
        while DirtyWindow.objects.exists():
            ports = pipeline_ports(self.store, self.people.tenant.id, lambda: NOW)
            assert not run_once(ports, NOW).failures

    def state(self, place: int) -> tuple[Any, ...]:
        """Return all that is derived of one of them, and what its register shows last.

        Where a value stood, a row says that none is known now: it says no more than no row. Nor does a day
        that counts nothing.
        """
        tenant_id, series_id, channel_id = self.people.tenant.id, self.series[place], self.channels[place]
        rows = self.store.measurements(tenant_id, [series_id], 0, 2**32 - 1)
        says = (rows.provenance != Provenance.MISSING) | (rows.method != Method.NONE)
        values = (rows.starts_at_s, rows.value_milliwh, rows.provenance, rows.flags, rows.method)
        sums = self.store.roll_ups(tenant_id, [series_id], [(0, 2**32 - 1)])
        sums = sums.take(np.any([getattr(sums, name) for name in FIGURES[1:]], axis=0))
        figures = [
            getattr(sums, name).tolist() for name in sums.__slots__ if name not in {"series_id", "run_id"}
        ]
        found = Finding.objects.filter(subject_key=f"series:{series_id}", state="OPEN")
        latest = latest_standing(self.store, tenant_id, [channel_id])
        return (
            [column[says].tolist() for column in values],
            figures,
            sorted((row.rule, row.starts_at, row.ends_at, str(row.evidence)) for row in found),
            [replace(read, channel_id=0) for read in latest.values()],
        )


def twins_of(people: People, street: Street, services: Services) -> Twins:
    """Return both, with nothing told of them; no withdrawal waits for anybody."""
    set_edit_threshold(actor=people.administrator, now=NOW, milliwh=2**62)
    store = MemoryReadingStore()
    return Twins(people, street, replace(services, store=store), store)


@pytest.fixture
def twins(ours: People, street: Street, services: Services) -> Twins:
    """Both."""
    return twins_of(ours, street, services)


def tell(twins: Twins, chance: random.Random) -> None:
    """Deliver in pieces, note and withdraw, each in its own order and all mixed; derive now and then."""
    gap = range(chance.randrange(READS_COUNT), READS_COUNT, chance.choice((1, READS_COUNT)))
    lost = set(gap[: chance.choice((0, 3, 60, 200))])
    kept = [place for place in range(READS_COUNT) if place not in lost]
    chance.shuffle(kept)
    cut = chance.randrange(1, len(kept))
    courses: list[list[tuple[Any, ...]]] = [[(twins.deliver, kept[:cut])], [(twins.deliver, kept[cut:])]]
    for _ in range(chance.randrange(1, 4)):
        at_s = FIRST_S + chance.randrange(READS_COUNT + 8) * STEP_S + chance.choice((0, 0, 420))
        if any(at_s == step[1] for course in courses[2:] for step in course):
            continue
        true = 5000 + 3 * (at_s - FIRST_S) // STEP_S
        reads = [true + chance.choice((0, 1, -40, 9000)) for _ in range(chance.randrange(1, 3))]
        set_to = chance.choice((None, None, 7))
        courses.append([*((twins.note, at_s, read, set_to) for read in reads), (twins.withdraw, at_s)])
    for step in mixed(courses, chance):
        step[0](*step[1:])
        if chance.random() < 0.5:
            twins.derive()
    twins.derive()


def mixed(courses: list[list[tuple[Any, ...]]], chance: random.Random) -> Iterator[tuple[Any, ...]]:
    while any(courses):
        yield chance.choice([course for course in courses if course]).pop(0)


def check_never_noted(people: People, street: Street, services: Services, chance: random.Random) -> None:
    """Whatever is told in whatever order, nothing is left of what was noted and withdrawn."""
    with transaction.atomic():
        twins = twins_of(people, street, services)
        tell(twins, chance)
        assert twins.state(0) == twins.state(1)
        transaction.set_rollback(True)


ANY_COURSE = given(chance=st.randoms(use_true_random=False))
AS_DRAWN: dict[str, Any] = {
    "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@ANY_COURSE
@settings(max_examples=3, **AS_DRAWN)
def test_noted_and_withdrawn_is_never_noted(
    ours: People, street: Street, services: Services, chance: random.Random
) -> None:
    check_never_noted(ours, street, services, chance)


@pytest.mark.slow
@ANY_COURSE
@settings(max_examples=12, **AS_DRAWN)
def test_noted_and_withdrawn_is_never_noted_in_more_courses(
    ours: People, street: Street, services: Services, chance: random.Random
) -> None:
    check_never_noted(ours, street, services, chance)


AT_S = FIRST_S + 100 * STEP_S + 420


def test_what_was_noted_stays_and_says_who_withdrew_it_and_why(twins: Twins) -> None:
    twins.deliver(list(range(READS_COUNT)))
    twins.note(AT_S, 5290)
    twins.withdraw(AT_S)
    raw = twins.store.raw_reads(twins.people.tenant.id, [twins.channels[0]], AT_S, AT_S + 1)
    assert sorted(raw.value.tolist()) == [-1, 5290]
    own = ReadWithdrawal.objects.get()
    assert (own.state, own.reason, own.author_id) == (
        "IN_FORCE",
        "of another meter",
        twins.people.operator.user_id,
    )
    record = AuditRecord.objects.get(verb="vee.withdraw-read")
    assert (record.detail["reason"], record.detail["value_count"]) == ("of another meter", 5290)
    refused("readings.not-noted", lambda: twins.withdraw(AT_S))
    twins.note(AT_S, 5301)  # it counts again
    twins.derive()
    assert [row.is_withdrawal for row in FieldRead.objects.order_by("id")] == [False, True, False]
    found = nearest_standing(twins.store, twins.people.tenant.id, [twins.channels[0]], AT_S, before=False)
    assert found.value.tolist() == [5301]


def test_what_was_noted_is_listed_with_one_question_for_all_withdrawals(twins: Twins) -> None:
    """Each line names the newest withdrawal of its own instant, however many there are."""
    tenant_id, meter_id = twins.people.tenant.id, twins.street.meter_id
    instants = [AT_S + STEP_S * index for index in range(8)]
    for at_s in instants:
        twins.note(at_s, 5290)
    for at_s in instants[::2]:
        twins.withdraw(at_s)
    with CaptureQueriesContext(connection) as captured:
        rows = list_noted(tenant_id=tenant_id, meter_id=meter_id)
    assert len(captured) == 2
    withdrawn_s = [to_seconds(row.measured_at) for row in rows if row.is_withdrawn]
    assert withdrawn_s == instants[::2][::-1]
    told = {row.withdrawal_id: row.measured_at for row in rows if row.withdrawal_id}
    asked = ReadWithdrawal.objects.values_list("id", "field_read__measured_at")
    assert told == dict(asked)


def test_a_withdrawal_that_moves_much_waits_for_somebody_else(twins: Twins) -> None:
    people, now = twins.people, NOW
    set_edit_threshold(actor=people.administrator, now=now, milliwh=10 * TOKEN_KWH)
    twins.deliver(list(range(READS_COUNT)))
    twins.note(AT_S, 5300)
    twins.note(AT_S + STEP_S, 6303)
    twins.withdraw(AT_S)
    assert ReadWithdrawal.objects.get().state == "IN_FORCE"
    own_id = twins.withdraw(AT_S + STEP_S)
    waiting = ReadWithdrawal.objects.get(id=own_id)
    assert (waiting.state, waiting.changed_milliwh) == (
        "PENDING",
        1000 * 10_000,
    )  # 5303 was read before it
    refused("readings.withdrawal-waits", lambda: twins.withdraw(AT_S + STEP_S))
    about: dict[str, Any] = {"now": now, "withdrawal_id": own_id}
    approval = {**about, "services": twins.services}
    refused("vee.edit-own-approval", lambda: approve_withdrawal(actor=people.operator, **approval))
    refused("accounts.not-allowed", lambda: approve_withdrawal(actor=people.viewer, **approval))
    refused("vee.edit-note", lambda: reject_withdrawal(actor=people.administrator, note=" ", **about))
    reject_withdrawal(actor=people.administrator, note="it is right", **about)
    refused("readings.withdrawal-state", lambda: approve_withdrawal(actor=people.administrator, **approval))
    twins.derive()
    assert twins.state(0) != twins.state(1)
    about["withdrawal_id"] = approval["withdrawal_id"] = twins.withdraw(AT_S + STEP_S)
    approve_withdrawal(actor=people.administrator, **approval)
    twins.derive()
    assert twins.state(0) == twins.state(1)


def test_a_withdrawal_that_waits_ends_when_its_read_is_corrected(twins: Twins) -> None:
    """It is in nobody's way then: the corrected read can be withdrawn, too."""
    set_edit_threshold(actor=twins.people.administrator, now=NOW, milliwh=0)
    tenant_id, meter_id = twins.people.tenant.id, twins.street.meter_id

    def listed() -> tuple[str, str, bool]:
        (row,) = list_noted(tenant_id=tenant_id, meter_id=meter_id)
        return row.state, row.read, row.is_withdrawn

    twins.note(AT_S, 5300)
    ended_id = twins.withdraw(AT_S)
    assert listed() == ("PENDING", "53", False)
    twins.note(AT_S, 5300)  # the same again corrects nothing
    assert listed() == ("PENDING", "53", False)
    twins.note(AT_S, 5301)
    assert listed() == ("WITHDRAWN", "53.01", False)
    own: dict[str, Any] = {"actor": twins.people.administrator, "now": NOW}
    about: dict[str, Any] = {**own, "services": twins.services}
    refused("readings.withdrawal-state", lambda: approve_withdrawal(withdrawal_id=ended_id, **about))
    refused("readings.withdrawal-state", lambda: reject_withdrawal(withdrawal_id=ended_id, note="x", **own))
    approve_withdrawal(withdrawal_id=twins.withdraw(AT_S), **about)
    assert listed() == ("IN_FORCE", "53.01", True)


def test_what_cannot_be_withdrawn_is_refused(twins: Twins) -> None:
    twins.note(AT_S, 5300)
    given: dict[str, Any] = {
        **twins.who,
        "meter_id": twins.street.meter_id,
        "at": from_seconds(AT_S),
        "reason": "misread",
    }
    nobody = replace(twins.people.operator, user_id=None)
    for changed, code in (
        ({"actor": twins.people.viewer}, "accounts.not-allowed"),
        ({"actor": nobody}, "vee.edit-person"),
        ({"reason": " "}, "readings.withdrawal-reason"),
        ({"at": from_seconds(AT_S + 1)}, "readings.not-noted"),
        ({"meter_id": 10**6}, "registry.not-found"),
        ({"services": replace(twins.services, store=None)}, "store.not-running"),
    ):
        refused(code, lambda changed=changed: withdraw_read(**{**given, **changed}))
    assert not ReadWithdrawal.objects.exists()


def test_the_newest_read_is_told_as_it_was_corrected_or_as_it_was_before(twins: Twins) -> None:
    twins.deliver(list(range(50)))
    twins.note(AT_S, 5300)
    twins.note(AT_S, 5310)  # a store alone tells the least of an instant
    tenant_id, channel_id = twins.people.tenant.id, twins.channels[0]

    def newest() -> int:
        latest = latest_standing(twins.store, tenant_id, [channel_id])
        return as_corrected(twins.store, tenant_id, latest)[channel_id].value

    assert newest() == 5310
    twins.withdraw(AT_S)
    assert newest() == 5000 + 3 * 49


def test_without_its_withdrawal_the_twins_differ(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "drop_and_mark", lambda *_args, **_more: None)  # the plant
    twins.deliver(list(range(READS_COUNT)))
    twins.note(AT_S, 5290)
    twins.withdraw(AT_S)
    twins.derive()
    assert twins.state(0) != twins.state(1)


def test_a_bill_changes_by_a_correction_only_and_ends_as_it_was(town: Town) -> None:
    assign(town, tariff(1, "2026-01-01", "0.4456"))
    town.bill(OCTOBER, NOVEMBER)
    first = Bill.objects.get(usage_point__code="U1")
    at_s = to_seconds(local_midnight(date(2026, 10, 7), ZONE)) + 6 * 3600  # where the dearer rate begins
    who: dict[str, Any] = {"actor": town.people.operator, "now": NOW, "services": town.services}
    at: dict[str, Any] = {"meter_id": town.meters["U1"], "at": from_seconds(at_s)}
    note_read(**who, **at, read=1003 + sum(count for each, count in town.used["U1"].items() if each < at_s))
    (proposal,) = town.settle()
    run_id = Run.objects.latest("id").id
    town.approve([proposal])
    withdraw_read(**who, **at, reason="misread")
    series_id = town.series["U1"].id
    about = town.people.tenant.id, [series_id], at_s - STEP_S, at_s + STEP_S
    before = town.store.measurements(*about).value_milliwh.tolist()
    issued = Bill.objects.filter(usage_point__code="U1", state="ISSUED")
    standing = [(bill.id, bill.total_minor) for bill in issued]
    (proposal,) = town.settle()
    assert [(bill.id, bill.total_minor) for bill in issued.all()] == standing
    town.approve([proposal])
    assert town.settle() == []
    assert Bill.objects.latest("id").total_minor == first.total_minor
    assert Bill.objects.latest("id").energy_milliwh == first.energy_milliwh
    assert town.store.measurements(*about).value_milliwh.tolist() != before
    assert town.store.measurements(*about, as_of_run_id=run_id).value_milliwh.tolist() == before
    check = Check("bills")
    for bill in Bill.objects.all():
        _check_document(check, bill)
    assert not check.faults
    changed = Bill.objects.latest("id")
    changed.document_key = "another"
    _check_document(check, changed)
    assert [fault.code for fault in check.faults] == ["verify.bill-document"]
