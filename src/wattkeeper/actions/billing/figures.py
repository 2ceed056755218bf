"""What an issued bill would be by the values and contracts of now, and the proposal that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from fractions import Fraction
from typing import Any

from django.db import transaction

from wattkeeper.actions.billing.inputs import BillInputs, compute, read_inputs
from wattkeeper.actions.job_work import plain_error
from wattkeeper.core.billing.document import BillDocument, bill_to_json
from wattkeeper.core.billing.document import document_key as digest_of
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.data.billing.models import Bill, RebillProposal
from wattkeeper.data.billing.parts import Days, contract_parts
from wattkeeper.data.billing.rebills import is_rejected
from wattkeeper.data.billing.unbilled import days_around, days_of
from wattkeeper.store.api import ReadingStore

State = RebillProposal.State


class Weighed(Enum):
    """What became of an issued bill that was compared with the figures of now."""

    AS_BILLED = "as billed"
    REJECTED = "rejected"  # somebody decided that it stays
    PROPOSED = "proposed"  # it waits for a decision


@dataclass(frozen=True, slots=True)
class Figures:
    """What a bill would be now: those of the parts of its period that have a contract, or why there is none.

    `days` of each part. `is_as_cut`: the only part is the period that was billed. `accepts_estimates`: also
    those that no register brackets.
    """

    days: tuple[Days, ...]
    inputs: tuple[BillInputs, ...]
    bills: tuple[BillDocument | UnableToBill, ...]
    is_as_cut: bool
    accepts_estimates: bool

    @property
    def held(self) -> UnableToBill | None:
        """Why it can't be billed."""
        return next((bill for bill in self.bills if isinstance(bill, UnableToBill)), None)

    @property
    def documents(self) -> list[tuple[BillInputs, BillDocument]]:
        """What would be issued, with what it rests on."""
        return [
            (inputs, bill)
            for inputs, bill in zip(self.inputs, self.bills, strict=True)
            if isinstance(bill, BillDocument)
        ]

    @property
    def data_version(self) -> str:
        """The version of the values of all parts."""
        versions = [inputs.data_version for inputs in self.inputs]
        return versions[0] if self.is_as_cut else digest_of("parts", *versions)

    @property
    def tier_used_milliwh(self) -> int:
        """What the tier counter held before the first part."""
        return self.inputs[0].tier_used_milliwh if self.inputs else 0

    @property
    def document_key(self) -> str | None:
        """A digest of what would be charged and how much of it is estimated, None where it is held."""
        if self.held is not None:
            return None
        told = [bill_to_json(bill) for _inputs, bill in self.documents]
        return digest_of(self.days, *((_figures_told(each), _estimates_told(each)) for each in told))


def figures_of(
    bill: Bill, store: ReadingStore, reach: Days | None = None, *, accept_estimates: bool = False
) -> Figures:
    """Return what a bill would be now.

    `reach`: days around its period that what replaces it is to hold as well; those of its open proposal do,
    and those that were billed with it once, where its contract goes on to hold them. None that another
    issued bill holds. What was made of estimates, or is asked to be, may be again.

    :raises UnableToBill: ``billing.no-series``: there is nothing to compare with
    """
    period = days_of(bill)
    reaches = [period, *_proposed_days(bill), _regrown(bill), *([reach] if reach else [])]
    least, most = days_around(bill)
    first, end = max(least, min(each[0] for each in reaches)), min(most, max(each[1] for each in reaches))
    days = tuple((part.first, part.end) for part in contract_parts(bill.usage_point, first, end))
    inputs = tuple(read_inputs(bill.usage_point, *span, store=store) for span in days)
    accepts_estimates = accept_estimates or _accepts_estimates(bill)
    bills = tuple(compute(each, accept_estimates=accepts_estimates) for each in inputs)
    return Figures(days, inputs, bills, is_as_cut=days == (period,), accepts_estimates=accepts_estimates)


def weigh(bill: Bill, figures: Figures, now: datetime) -> Weighed:
    """Compare an issued bill with the figures of now: raise, refresh or end its proposal."""
    with transaction.atomic():
        Bill.objects.select_for_update().get(id=bill.id)
        current = RebillProposal.objects.filter(bill=bill, state=State.OPEN).first()
        reason = _reason(bill, figures)
        stays = Weighed.AS_BILLED if reason is None else Weighed.REJECTED
        if reason is None or is_rejected(
            bill_id=bill.id,
            data_version=figures.data_version,
            tier_used_milliwh=figures.tier_used_milliwh,
            document_key=figures.document_key,
        ):
            if current is not None:
                current.state, current.looked_at = State.OBSOLETE, now
                current.save(update_fields=["state", "looked_at"])
            return stays
        proposal = current or RebillProposal(tenant_id=bill.tenant_id, bill=bill, raised_at=now)
        proposal.reason = reason
        _fill(proposal, figures, now)
        return Weighed.PROPOSED


def parts_of(figures: Figures) -> list[dict[str, Any]]:
    """Return the parts as a proposal keeps them."""
    return [
        {
            "first": first.isoformat(),
            "end": end.isoformat(),
            "total_minor": None if isinstance(bill, UnableToBill) else bill.total_minor,
        }
        for (first, end), bill in zip(figures.days, figures.bills, strict=True)
    ]


def _proposed_days(bill: Bill) -> list[Days]:
    parts = RebillProposal.objects.filter(bill=bill, state=State.OPEN).values_list("parts", flat=True).first()
    return [(date.fromisoformat(part["first"]), date.fromisoformat(part["end"])) for part in parts or ()]


def _regrown(bill: Bill) -> Days:
    """Return the days of a bill and of what it took the place of, as far as its last day's contract holds."""
    first, end = days_of(bill)
    once, former = end, bill.corrects
    while former is not None:
        once, former = max(once, days_of(former)[1]), former.corrects
    parts = contract_parts(bill.usage_point, first, once)
    return first, max([end, *(part.end for part in parts if part.first < end)])


def _accepts_estimates(bill: Bill) -> bool:
    """Whether the bill was made of estimates too, or its open proposal is asked to be."""
    asked = RebillProposal.objects.filter(bill=bill, state=State.OPEN, accepts_estimates=True)
    return asked.exists() or any(Fraction(line["estimated_share"]) for line in bill.document["lines"])


def _reason(bill: Bill, figures: Figures) -> RebillProposal.Reason | None:
    """Return why the bill is to be corrected, None where it says what it would say now."""
    reasons = RebillProposal.Reason
    if not figures.is_as_cut:
        return reasons.PARTS
    told, (now,) = bill.document, figures.bills
    if isinstance(now, UnableToBill):
        basis = told["data_version"], told.get("tier_used_milliwh", figures.tier_used_milliwh)
        return None if basis == (figures.data_version, figures.tier_used_milliwh) else reasons.HELD
    document = bill_to_json(now)
    if _figures_told(told) != _figures_told(document):
        return reasons.FIGURES
    return None if _estimates_told(told) == _estimates_told(document) else reasons.QUALITY


def _figures_told(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a document charges, line by line, without where it comes from and how good that is."""
    return [
        {name: value for name, value in line.items() if name not in ("trace", "estimated_share")}
        for line in document["lines"]
    ]


def _estimates_told(document: Mapping[str, Any]) -> list[str]:
    return [line["estimated_share"] for line in document["lines"]]


def _fill(proposal: RebillProposal, figures: Figures, now: datetime) -> None:
    held = figures.held
    proposal.data_version = figures.data_version
    proposal.tier_used_milliwh = figures.tier_used_milliwh
    proposal.energy_milliwh = sum(int(each.intervals.energy_milliwh.sum()) for each in figures.inputs)
    proposal.total_minor, proposal.held_code, proposal.held_params = None, "", None
    proposal.document_key = figures.document_key
    proposal.accepts_estimates = figures.accepts_estimates
    proposal.parts = None if figures.is_as_cut else parts_of(figures)
    if held is not None:
        proposal.held_code, proposal.held_params = held.code, plain_error(held)["params"]
    else:
        proposal.total_minor = sum(bill.total_minor for _inputs, bill in figures.documents)
    proposal.looked_at = now
    proposal.save()
