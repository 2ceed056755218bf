"""A run bills what is not billed; of what is, it says what waits for a decision, and changes nothing."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from relational import NOW
from unit.data.test_contract_parts import CHANGE, HOME, move_in, spans
from unit.data.test_exact_bills import (
    FIRST_S,
    LATE_S,
    NOVEMBER,
    OCTOBER,
    SPLIT,
    STEP_S,
    ZONE,
    Town,
    assign,
    check_sums,
    edit,
    issued,
    shown,
    tariff,
    total_minor,
    town,
)
from wattkeeper.actions.billing import figures, run_billing
from wattkeeper.actions.billing.inputs import read_inputs
from wattkeeper.actions.billing.propose_rebills import REST, propose_rebills, reject_rebill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.billing.models import Bill, RebillCheck, RebillProposal
from wattkeeper.data.billing.rebills import version_of
from wattkeeper.data.registry.models import Series
from wattkeeper.store.api import Measurements

__all__ = ["town"]
NOON_S = to_seconds(local_midnight(date(2026, 10, 14), ZONE)) + 12 * 3600


def billed(town: Town) -> Bill:
    """Bill October and return the bill of U2."""
    assign(town, HOME)
    town.bill(OCTOBER, NOVEMBER)
    return issued("U2")


def change(town: Town, more_milliwh: int = 500_000) -> None:
    """Let an interval of U2 hold more than was billed."""
    value = town.used["U2"][NOON_S] * 10_000 + more_milliwh
    town.changed["U2", NOON_S] = value
    edit(town, "U2", NOON_S, [value])


def reject(town: Town, proposal: RebillProposal) -> None:
    """Decide that the bill stays."""
    reject_rebill(
        actor=town.people.operator,
        now=NOW,
        proposal_id=proposal.id,
        version=version_of(proposal),
        note="agreed",
    )


def requality(town: Town, monkeypatch: pytest.MonkeyPatch, **columns: Any) -> None:
    """Let the intervals of the day of `NOON_S` read otherwise in columns of the store; their marks come."""
    measurements = town.store.measurements

    def other(*args: Any, **options: Any) -> Measurements:
        values = measurements(*args, **options)
        is_there = (values.starts_at_s >= NOON_S) & (values.starts_at_s < NOON_S + 4 * STEP_S)
        put = {
            name: np.where(is_there, value, getattr(values, name)).astype(getattr(values, name).dtype)
            for name, value in columns.items()
        }
        return replace(values, **put)

    monkeypatch.setattr(town.store, "measurements", other)
    for bill in Bill.objects.filter(state="ISSUED"):
        RebillCheck.objects.create(bill=bill)


def test_a_run_changes_no_bill_that_is_issued(town: Town) -> None:
    """Values that came since wait for a person: `bill run` names them, and what they are is approved."""
    old = billed(town)
    change(town)
    town.settle()
    RebillProposal.objects.all().delete()  # nobody looked yet: the run does
    report = town.bill(OCTOBER, NOVEMBER)
    assert (report.issued_ids, len(report.unchanged_ids), report.held) == ([], 1, [])
    assert report.proposed_ids == [old.id]
    assert issued("U2").id == old.id
    proposal = RebillProposal.objects.get()
    assert (proposal.state, proposal.total_minor) == (
        "OPEN",
        total_minor(town, "U2", [(OCTOBER, NOVEMBER, HOME)]),
    )
    assert town.bill(OCTOBER, NOVEMBER).proposed_ids == [old.id]
    town.approve([proposal])
    assert issued("U2").total_minor == proposal.total_minor
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    check_sums(town)


def test_values_that_were_rejected_wait_for_nobody(town: Town) -> None:
    old = billed(town)
    change(town)
    reject(town, town.settle()[0])
    report = town.bill(OCTOBER, NOVEMBER)
    assert (report.proposed_ids, len(report.unchanged_ids)) == ([], 2)
    assert issued("U2").id == old.id


def test_figures_that_were_rejected_are_not_proposed_again_for_their_flags(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed(town)
    change(town)
    reject(town, town.settle()[0])
    requality(town, monkeypatch, flags=int(Flag.VALIDATED | Flag.LATE))
    assert town.settle() == []
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    assert [each.state for each in RebillProposal.objects.all()] == ["REJECTED"]


def test_a_proposal_ends_where_its_figures_become_those_that_were_rejected(town: Town) -> None:
    old = billed(town)
    change(town)
    reject(town, town.settle()[0])
    change(town, 900_000)
    assert [each.state for each in town.settle()] == ["OPEN"]
    change(town)
    assert town.settle() == []
    states = RebillProposal.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == ["REJECTED", "OBSOLETE"]
    assert old.id in town.bill(OCTOBER, NOVEMBER).unchanged_ids


def test_a_split_is_told_once_as_waiting_and_never_as_a_fault(town: Town) -> None:
    old = billed(town)
    move_in(town, local_midnight(CHANGE, ZONE))
    report = town.bill(OCTOBER, NOVEMBER)
    assert (report.proposed_ids, report.held) == ([old.id], [])  # two parts, one decision
    (proposal,) = town.settle()
    assert [part["first"] for part in proposal.parts or ()] == ["2026-10-01", "2026-10-13"]
    reject(town, proposal)
    for _ in range(2):
        report = town.bill(OCTOBER, NOVEMBER)
        assert (report.proposed_ids, report.held, report.unchanged_ids.count(old.id)) == ([], [], 1)
    assert not Finding.objects.filter(rule="billing.held", state="OPEN").exists()
    assert spans() == [(OCTOBER, NOVEMBER)]


def test_a_bill_of_the_first_days_is_proposed_to_grow(town: Town) -> None:
    """Somebody billed twelve days of a contract that holds all month: one bill of the month, if approved."""
    assign(town, HOME)
    town.bill(OCTOBER, CHANGE)
    part = issued("U2")
    report = town.bill(OCTOBER, NOVEMBER)
    assert (report.held, len(report.proposed_ids), report.issued_ids) == ([], 2, [])
    RebillCheck.objects.create(bill=part)  # what a worker looks at again stays as wide
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER), ("U2", OCTOBER)}
    town.approve(proposals)
    assert spans() == [(OCTOBER, NOVEMBER)]
    whole = issued("U2")
    assert whole.total_minor == total_minor(town, "U2", [(OCTOBER, NOVEMBER, HOME)])
    assert whole.corrects_id == part.id
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2


def test_of_a_rejected_growth_the_other_days_are_billed_by_their_dates(town: Town) -> None:
    assign(town, HOME)
    town.bill(OCTOBER, CHANGE)
    town.bill(OCTOBER, NOVEMBER)
    for proposal in town.settle():
        reject(town, proposal)
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    assert len(town.bill(CHANGE, NOVEMBER).issued_ids) == 2
    assert spans() == [(OCTOBER, CHANGE), (CHANGE, NOVEMBER)]


def test_flags_that_change_nothing_on_the_bill_propose_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed(town)
    requality(town, monkeypatch, flags=int(Flag.VALIDATED | Flag.LATE))
    assert town.settle() == []
    assert len(town.bill(OCTOBER, NOVEMBER).unchanged_ids) == 2
    requality(town, monkeypatch, provenance=int(Provenance.EDITED))
    assert town.settle() == []


def test_what_is_estimated_now_is_proposed_with_that_reason(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same energy and money; the bill says how much of each line was estimated."""
    old = billed(town)
    columns = {"provenance": int(Provenance.ESTIMATED), "flags": int(Flag.REGISTER_BRACKETED)}
    requality(town, monkeypatch, **columns)
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER), ("U2", OCTOBER)}
    proposal = RebillProposal.objects.get(bill=old)
    assert (proposal.total_minor, proposal.energy_milliwh) == (old.total_minor, old.energy_milliwh)
    assert proposal.reason == "QUALITY"
    town.approve(proposals)
    shares = [line["estimated_share"] for line in issued("U2").document["lines"] if line["rate_code"]]
    assert any(share != "0" for share in shares)
    assert town.settle() == []


def test_a_correction_that_estimates_hold_back_is_proposed_with_them_if_asked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured when it was billed is estimated now, and no register brackets it."""
    old = billed(town)
    requality(town, monkeypatch, provenance=int(Provenance.ESTIMATED), flags=0)

    def proposed() -> tuple[int, int | None, str]:
        proposal = RebillProposal.objects.get(bill=old, state="OPEN")
        return proposal.bill_id, proposal.total_minor, proposal.held_code

    town.settle()
    held = (old.id, None, "billing.unbracketed-estimates")
    assert proposed() == held
    month: dict[str, Any] = {"first": OCTOBER, "end": NOVEMBER}
    about: dict[str, Any] = {"actor": town.people.operator, "now": NOW, "services": town.services, **month}
    assert run_billing.run_billing(**about).held
    assert proposed() == held
    report = run_billing.run_billing(**about, accept_estimates=True)
    assert (report.held, old.id in report.proposed_ids) == ([], True)
    accepted = (old.id, old.total_minor, "")
    assert proposed() == accepted
    RebillCheck.objects.create(bill=old)
    town.settle()
    assert proposed() == accepted  # who looks again forgets nothing
    assert not run_billing.run_billing(**about).held
    town.approve([RebillProposal.objects.get(bill=old)])
    assert issued("U2").corrects_id == old.id
    assert not RebillProposal.objects.filter(bill=issued("U2"), state="OPEN").exists()


def test_other_figures_have_their_reason(town: Town) -> None:
    billed(town)
    change(town)
    assert [each.reason for each in town.settle()] == ["FIGURES"]
    move_in(town, local_midnight(CHANGE, ZONE))
    assert [each.reason for each in town.settle()] == ["PARTS"]


def test_tiers_that_can_be_counted_no_more_are_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was swallowed: intervals before the period went missing, and nobody heard of it."""
    assign(town, tariff(1, "2026-01-01", "0.3127", {"mode": "time_order", "counter": "year"}))
    town.bill(SPLIT, OCTOBER)
    town.bill(OCTOBER, NOVEMBER)
    measurements = town.store.measurements

    def with_a_gap(*args: Any, **options: Any) -> Measurements:
        values = measurements(*args, **options)
        is_gone = values.starts_at_s == FIRST_S + 9 * STEP_S
        put = {
            "provenance": np.where(is_gone, Provenance.MISSING, values.provenance),
            "value_milliwh": np.where(is_gone, 0, values.value_milliwh),
        }
        return replace(values, **put)

    monkeypatch.setattr(town.store, "measurements", with_a_gap)
    RebillCheck.objects.create(bill=issued("U2"))
    (proposal,) = town.settle()
    assert (proposal.bill_id, proposal.held_code) == (issued("U2").id, "billing.tier-use-incomplete")
    assert (proposal.held_params or {})["first_missing_at"] == from_seconds(FIRST_S + 9 * STEP_S).isoformat()
    held = {(row.usage_point.code, row.error.code) for row in town.bill(OCTOBER, NOVEMBER).held}
    assert ("U2", "billing.tier-use-incomplete") in held


def test_a_bill_that_nothing_can_be_compared_with_is_a_finding(town: Town) -> None:
    billed(town)
    Series.objects.filter(id=town.series["U2"].id).update(quantity="energy_export")
    RebillCheck.objects.create(bill=issued("U2"))
    town.settle()
    finding = Finding.objects.get(rule="billing.held")
    assert (finding.usage_point_id, finding.evidence["code"]) == (town.points["U2"], "billing.no-series")
    assert finding.evidence["usage_point"] == "U2"
    Series.objects.filter(id=town.series["U2"].id).update(quantity="energy_import")
    RebillCheck.objects.create(bill=issued("U2"))
    town.settle()
    finding.refresh_from_db()
    assert finding.state == "CLOSED"


def test_late_data_of_a_billed_month_wait_for_approval(town: Town) -> None:
    """By their own way through the pipeline: the estimate gives way to what was read."""
    old = billed(town)
    town.read("U1", town.meters["U1"], LATE_S, FIRST_S, 1000)
    proposals = town.settle()
    assert shown(proposals) == {("U1", OCTOBER)}
    report = town.bill(OCTOBER, NOVEMBER)
    assert report.proposed_ids == [issued("U1").id]
    assert old.id in report.unchanged_ids


def burst(monkeypatch: pytest.MonkeyPatch, town: Town, name: str) -> None:
    """Let the figures of a usage point's bills meet what nobody foresaw."""

    def read(usage_point: Any, *args: Any, **options: Any) -> Any:
        if usage_point.code == name:
            raise ZeroDivisionError("integer division or modulo by zero")
        return read_inputs(usage_point, *args, **options)

    for module in (figures, run_billing):
        monkeypatch.setattr(module, "read_inputs", read)


def test_a_bill_that_bursts_costs_only_itself(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    billed(town)
    edit(town, "U2", NOON_S, [town.used["U2"][NOON_S] * 10_000 + 1])
    with monkeypatch.context() as patch:
        burst(patch, town, "U1")
        RebillCheck.objects.create(bill=issued("U1"))
        for _ in range(2):  # what rests isn't tried again at once
            assert shown(town.settle()) == {("U2", OCTOBER)}
        finding = Finding.objects.get(rule="billing.held", state="OPEN")
        assert (finding.subject_key, finding.usage_point_id) == (
            f"bill:{issued('U1').id}",
            town.points["U1"],
        )
        told = {"code": "billing.failed", "usage_point": "U1", "reason": "ZeroDivisionError"}
        assert finding.evidence == told
    assert propose_rebills(services=town.services, now=NOW + REST - timedelta(seconds=1)) == 0
    assert propose_rebills(services=town.services, now=NOW + REST) == 1
    finding.refresh_from_db()
    assert (finding.state, RebillCheck.objects.count()) == ("CLOSED", 0)


def test_what_rests_is_looked_at_as_soon_as_its_values_change(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed(town)
    with monkeypatch.context() as patch:
        burst(patch, town, "U2")
        RebillCheck.objects.create(bill=issued("U2"))
        assert town.settle() == []
    change(town)
    assert shown(town.settle()) == {("U2", OCTOBER)}
    assert not Finding.objects.filter(rule="billing.held", state="OPEN").exists()


def test_a_store_that_is_away_holds_up_every_bill_and_forgets_none(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed(town)
    RebillCheck.objects.create(bill=issued("U1"))
    gone = WattkeeperError("store.unreachable", is_permanent=False)
    monkeypatch.setattr(town.store, "measurements", Mock(side_effect=gone))
    with pytest.raises(WattkeeperError):
        town.settle()
    assert RebillCheck.objects.filter(failed_at__isnull=True).count() == 1
    assert not Finding.objects.filter(rule="billing.held").exists()


def test_a_run_bills_everybody_but_who_bursts(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    assign(town, HOME)
    with monkeypatch.context() as patch:
        burst(patch, town, "U1")
        report = town.bill(OCTOBER, NOVEMBER)
        assert [(row.usage_point.code, row.error.code) for row in report.held] == [("U1", "billing.failed")]
        assert report.issued_ids == [issued("U2").id]
        assert Finding.objects.get(rule="billing.held").evidence["reason"] == "ZeroDivisionError"
    assert town.bill(OCTOBER, NOVEMBER).issued_ids == [issued("U1").id]
    assert Finding.objects.get(rule="billing.held").state == "CLOSED"
