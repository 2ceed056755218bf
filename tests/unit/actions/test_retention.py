"""How long readings stay: what may be set and by whom, and what holds a month that is due."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from console_street import Home, same_home
from relational import LONG_AGO, NOW, People, Street, make_people
from wattkeeper.actions.operations.keep_retention import Due, _Looked
from wattkeeper.actions.operations.retention_holds import MARGIN, Hold, find_holds
from wattkeeper.actions.operations.set_retention import set_retention
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, Contract, RebillCheck, RebillProposal
from wattkeeper.data.collection.models import Retention
from wattkeeper.data.collection.retention import RetentionRule, own_rules, rules_in_force
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.interfaces.reads.held import held_text
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.windows import month_of

OPEN = Hold("operations.held-open", 202610)  # it is November
UNBILLED = "operations.held-unbilled"


def set_rule(
    people: People, kind: str, months: int | None, file_months: int | None = None, **who: Any
) -> None:
    actor = who.get("actor", people.administrator)
    set_retention(actor=actor, now=NOW, kind=kind, store_months_count=months, file_months_count=file_months)


@pytest.fixture
def home(ours: People, street: Street, services: Services) -> Home:
    """Our street with a home whose October is billed."""
    return same_home(ours, street, services)


def test_a_rule_is_set_changed_and_taken_away(ours: People, theirs: People) -> None:
    nothing = [RetentionRule(kind, None, None) for kind in ("FRAMES", "READS", "VALUES")]
    assert own_rules(ours.tenant.id) == nothing
    set_rule(ours, "READS", 24)
    set_rule(ours, "READS", 24, 120)
    assert own_rules(ours.tenant.id)[1] == RetentionRule("READS", 24, 120)
    assert own_rules(theirs.tenant.id) == nothing
    set_rule(ours, "READS", None)
    assert own_rules(ours.tenant.id) == nothing
    said = AuditRecord.objects.filter(verb="operations.set-retention").order_by("sequence")
    assert [(row.actor, row.subject, row.detail) for row in said] == [
        ("web:ours-administrator", "retention:READS", {"store_months": pair, "file_months": files})
        for pair, files in (([None, 24], [None, None]), ([24, 24], [None, 120]), ([24, None], [120, None]))
    ]


@pytest.mark.parametrize(
    ("kind", "months", "file_months", "code", "field"),
    [
        ("READS", 0, None, "operations.retention-span", "store_months_count"),
        ("READS", -1, None, "operations.retention-span", "store_months_count"),
        ("FRAMES", 1201, None, "operations.retention-span", "store_months_count"),
        ("VALUES", 12, None, "operations.retention-span", "store_months_count"),  # a year's tiers
        ("READS", 24, 24, "operations.retention-files", "file_months_count"),
        ("READS", 24, 3, "operations.retention-files", "file_months_count"),
        ("READS", 24, 1201, "operations.retention-files", "file_months_count"),
        ("READS", None, 24, "operations.retention-no-files", "file_months_count"),
        ("BILLS", 24, None, "operations.retention-kind", None),
    ],
)
def test_what_makes_no_sense_is_refused(
    ours: People, kind: str, months: int | None, file_months: int | None, code: str, field: str | None
) -> None:
    with pytest.raises(WattkeeperError) as caught:
        set_rule(ours, kind, months, file_months)
    assert (caught.value.code, caught.value.params.get("field")) == (code, field)
    assert not Retention.objects.exists()
    assert not AuditRecord.objects.filter(verb="operations.set-retention").exists()


@pytest.mark.parametrize(("months", "file_months"), [(0, None), (24, 24), (24, 3)])
def test_the_database_refuses_it_too(ours: People, months: int, file_months: int | None) -> None:
    with pytest.raises(IntegrityError, match="retention_order"):
        Retention.objects.create(
            tenant=ours.tenant, kind="READS", store_months_count=months, file_months_count=file_months
        )


def test_only_an_administrator_says_how_long(ours: People) -> None:
    for actor in (ours.viewer, ours.operator):
        with pytest.raises(WattkeeperError) as caught:
            set_rule(ours, "READS", 24, actor=actor)
        assert caught.value.code == "accounts.not-allowed"
    assert not Retention.objects.exists()


def test_the_longest_wish_of_all_organisations_holds(ours: People, theirs: People) -> None:
    set_rule(ours, "READS", 3, 9)
    assert rules_in_force() == [], "theirs said nothing: for good"
    set_rule(theirs, "READS", 6, 8)
    assert rules_in_force() == [RetentionRule("READS", 6, 9)]
    set_rule(theirs, "READS", 6)
    assert rules_in_force() == [RetentionRule("READS", 6, None)]
    make_people("others")
    assert rules_in_force() == []


def test_only_what_is_open_holds_where_all_is_decided(home: Home) -> None:
    assert [hold for hold in find_holds(NOW) if not hold.kind] == [
        OPEN,
        Hold(UNBILLED, 202610),
    ]


def test_what_is_not_billed_holds_and_a_year_of_its_values(home: Home) -> None:
    billed_to = Bill.objects.get().ends_at
    Contract.objects.update(ends_at=billed_to)
    assert UNBILLED not in {hold.code for hold in find_holds(NOW)}, "all of the contract is billed"
    Contract.objects.update(ends_at=billed_to + timedelta(hours=1))
    assert Hold(UNBILLED, 202610) in find_holds(NOW), "its last hour is not"
    Bill.objects.update(state=Bill.State.REVERSED)
    holds = [hold for hold in find_holds(NOW) if hold.code == UNBILLED]
    assert holds == [Hold(UNBILLED, 202512, "VALUES"), Hold(UNBILLED, 202609)]


def test_an_open_rebill_holds_its_month_until_it_is_decided(home: Home) -> None:
    code = "operations.held-rebill"
    bill = Bill.objects.get()
    assert code not in {hold.code for hold in find_holds(NOW)}
    check = RebillCheck.objects.create(bill=bill, marks_count=1)
    assert Hold(code, 202609) in find_holds(NOW), "local October begins in September of UTC"
    check.delete()
    proposal = RebillProposal.objects.create(
        tenant=bill.tenant, bill=bill, data_version="v", energy_milliwh=1, raised_at=NOW, looked_at=NOW
    )
    assert Hold(code, 202609) in find_holds(NOW)
    assert bill.depends_from is not None
    assert Hold(code, month_of(bill.depends_from - MARGIN), "VALUES") in find_holds(NOW), "its tiers"
    proposal.state = RebillProposal.State.REJECTED
    proposal.save()
    assert code not in {hold.code for hold in find_holds(NOW)}


def test_an_edit_that_waits_holds(ours: People, home: Home) -> None:
    edit = StoredEdit.objects.create(
        tenant=ours.tenant,
        series_id=home.series_id,
        starts_at=LONG_AGO,
        ends_at=LONG_AGO + timedelta(hours=1),
        energy_milliwh=[1],
        rejected_milliwh=[None],
        changed_milliwh=1,
        reason_code=100,
        state=StoredEdit.State.PENDING,
        author_id=ours.operator.user_id,
        recorded_at=NOW,
    )
    assert Hold("operations.held-edit", 202609) in find_holds(NOW)
    StoredEdit.objects.filter(id=edit.id).update(state=StoredEdit.State.REJECTED)
    assert "operations.held-edit" not in {hold.code for hold in find_holds(NOW)}


def test_what_holds_is_named_to_its_own_organisation_alone(
    ours: People, theirs: People, home: Home, make_street: Callable[[People], Street], services: Services
) -> None:
    """A contract of a usage point that nobody reads holds everything: whose it is can be told."""
    point = UsagePoint.objects.get(id=home.point_id)
    elsewhere = UsagePoint.objects.get(id=make_street(theirs).point_id)
    years = [LONG_AGO - timedelta(days=days) for days in (900, 400)]
    Bill.objects.update(state=Bill.State.REVERSED)
    Contract.objects.update(starts_at=years[1])
    tariff = Contract.objects.get().tariff
    tariff.id, tariff.tenant = None, theirs.tenant
    tariff.save()
    Contract.objects.create(
        tenant=theirs.tenant, usage_point=elsewhere, tariff=tariff, starts_at=years[0], recorded_at=NOW
    )
    (hold,) = (hold for hold in find_holds(NOW) if hold.code == UNBILLED and not hold.kind)
    assert [(month, need.tenant_id, need.usage_point) for month, need in hold.needs[:2]] == [
        (month_of(at - MARGIN), place.tenant_id, place.code)
        for place, at in zip((elsewhere, point), years, strict=True)
    ]

    def told(people: People, month: int) -> tuple[str, tuple[str, ...], bool]:
        looked = _Looked(
            NOW, HttpReadingStore.__new__(HttpReadingStore), {}, find_holds(NOW), set(), people.tenant.id
        )
        due = looked.held(Due(month, "archive", "READS", "raw_read", 1))
        return due.held_by, due.held_at, due.held_elsewhere

    first, second = (month_of(at) for at in years)
    assert told(theirs, first) == (UNBILLED, (elsewhere.code,), False)
    assert told(ours, first) == (UNBILLED, (), True)
    assert told(ours, second) == (UNBILLED, (point.code,), True)
    assert "A contract covers it" in held_text(Due(1, "archive", "READS", "x", 1, UNBILLED, ("P1",)), "en")
    assert "P1, P2" in held_text(Due(1, "archive", "READS", "x", 1, UNBILLED, ("P1", "P2")), "zh-hans")
    many = Due(1, "archive", "READS", "x", 1, UNBILLED, tuple("ABCDEF"))
    assert held_text(many, "en").endswith("A, B, C, D, E, ….")


def test_what_waits_to_be_derived_is_named(ours: People, home: Home) -> None:
    span = {home.series_id: Period(LONG_AGO, NOW)}
    mark_dirty(tenant_id=ours.tenant.id, now=NOW, reason="x", series=span)
    (hold,) = (hold for hold in find_holds(NOW) if hold.code == "operations.held-deriving")
    point = Series.objects.get(id=home.series_id).usage_point
    assert [(need.at, need.usage_point) for _, need in hold.needs] == [(LONG_AGO, point.code)]
