"""Which issued bills rest on values that changed, and what was proposed for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from numpy.typing import NDArray

from wattkeeper.core.billing.document import document_key as digest_of
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.data.billing.models import Bill, Contract, RebillCheck, RebillProposal
from wattkeeper.data.registry.paging import Page, read_page
from wattkeeper.data.registry.plain_facts import among

Int64s = NDArray[np.int64]
VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A proposal beside its bill; totals in minor units, `total_minor` None where it can't be billed now.

    `version`: that of these figures (`version_of`); who decides names it. `parts`: what replaces the bill
    where that is of other days, each with `first`, `end` (local days, half-open), `total_minor` (None: held)
    and, once approved, `bill_id`; an empty tuple takes the bill back and puts nothing in its place; None: one
    bill of the same period.
    """

    proposal_id: int
    bill_id: int
    usage_point_id: int
    usage_point_code: str
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    state: str
    reason: str
    old_energy_milliwh: int
    energy_milliwh: int
    old_total_minor: int
    total_minor: int | None
    held_code: str
    held_params: Mapping[str, str]
    version: str
    raised_at: datetime
    looked_at: datetime
    decided_at: datetime | None
    decided_by: str
    note: str
    new_bill_id: int | None
    parts: tuple[Mapping[str, Any], ...] | None

    @property
    def difference_minor(self) -> int | None:
        """What the customer's balance would change by."""
        return None if self.total_minor is None else self.total_minor - self.old_total_minor


def mark_bills(*, tenant_id: int, series_id: Int64s, starts_at_s: Int64s) -> int:
    """Note that values of intervals change: each issued bill that rests on one is looked at again.

    A bill rests on the intervals of its period and on those since its tier counter began. Returns how many.
    """
    if not len(series_id):
        return 0
    first_at, last_at = from_seconds(int(starts_at_s.min())), from_seconds(int(starts_at_s.max()))
    issued = Bill.objects.filter(tenant_id=tenant_id, state=Bill.State.ISSUED, ends_at__gt=first_at)
    if not issued.exists():
        return 0
    is_begun = Q(depends_from__lte=last_at) | Q(depends_from__isnull=True)
    billed = Q(usage_point__series__quantity="energy_import")
    billed &= among("usage_point__series__id", np.unique(series_id))
    columns = ("id", "usage_point__series__id", "depends_from", "starts_at", "ends_at")
    rows = list(issued.filter(is_begun, billed).values_list(*columns))
    return _mark([row[0] for row in _resting(rows, series_id, starts_at_s)])


def mark_repriced(contracts: QuerySet[Contract], *, since: datetime) -> int:
    """Note that prices change from an instant on, and return how many bills are looked at for it.

    They are the issued bills by these contracts that end later.
    """
    issued = Bill.objects.filter(state=Bill.State.ISSUED, ends_at__gt=since)
    in_force = contracts.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=OuterRef("starts_at")),
        usage_point=OuterRef("usage_point"),
        starts_at__lt=OuterRef("ends_at"),
    )
    return _mark(list(issued.filter(Exists(in_force)).values_list("id", flat=True)))


def mark_after(at: datetime, *, usage_point_id: int) -> int:
    """Note that issued bills of a usage point that end at `at` or later are looked at; return how many."""
    issued = Bill.objects.filter(usage_point_id=usage_point_id, state=Bill.State.ISSUED, ends_at__gte=at)
    return _mark(list(issued.values_list("id", flat=True)))


def mark_waiting(usage_point_id: int) -> int:
    """Note that the bills of a usage point whose correction waits are looked at; return how many."""
    waiting = RebillProposal.objects.filter(
        bill__usage_point_id=usage_point_id, state=RebillProposal.State.OPEN
    )
    return _mark(list(waiting.values_list("bill_id", flat=True)))


def _mark(bill_ids: Sequence[int]) -> int:
    if bill_ids:
        RebillCheck.objects.bulk_create([RebillCheck(bill_id=own) for own in bill_ids], ignore_conflicts=True)
        RebillCheck.objects.filter(bill_id__in=bill_ids).update(
            marks_count=F("marks_count") + 1, failed_at=None
        )
    return len(bill_ids)


def list_proposals(
    *,
    tenant_id: int,
    state: str | None = None,
    bill_id: int | None = None,
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[ProposalRow]:
    """Return one page of proposals, newest first."""
    exact = {"state": state, "bill_id": bill_id}
    rows = RebillProposal.objects.filter(
        tenant_id=tenant_id, **{name: value for name, value in exact.items() if value is not None}
    )
    rows = rows.select_related("bill__usage_point__site").order_by("-id")
    return read_page(
        rows, lambda page: list(map(_row, page)), offset_index=offset_index, limit_count=limit_count
    )


def get_proposal(*, tenant_id: int, proposal_id: int) -> ProposalRow | None:
    """Return one proposal, None where the tenant has none of that id."""
    rows = RebillProposal.objects.select_related("bill__usage_point__site")
    row = rows.filter(tenant_id=tenant_id, id=proposal_id).first()
    return None if row is None else _row(row)


def version_of(proposal: RebillProposal) -> str:
    """Return the version of what a proposal shows, 12 hex digits: other values or figures have another."""
    basis = proposal.data_version, proposal.tier_used_milliwh, proposal.document_key
    figures = proposal.energy_milliwh, proposal.total_minor, proposal.held_code
    return digest_of(*basis, *figures)[:VERSION_DIGITS]


def is_rejected(*, bill_id: int, data_version: str, tier_used_milliwh: int, document_key: str | None) -> bool:
    """Whether somebody decided that a bill stays as it is, beside these figures.

    `document_key`: of what would be charged, None where it can't be billed. What was rejected while it could
    not be stays for the same values.
    """
    values = {"data_version": data_version, "tier_used_milliwh": tier_used_milliwh}
    same = Q(document_key__isnull=True, **values)
    if document_key is not None:
        same |= Q(document_key=document_key)
    rejected = RebillProposal.objects.filter(bill_id=bill_id, state=RebillProposal.State.REJECTED)
    return rejected.filter(same).exists()


_Candidate = tuple[int, int, datetime | None, datetime, datetime]


def _resting(rows: Sequence[_Candidate], series_id: Int64s, starts_at_s: Int64s) -> list[_Candidate]:
    """Return the bills in whose span an interval of their series changed."""
    ids, place = np.unique(series_id, return_inverse=True)
    least_s = int(starts_at_s.min())
    width_s = int(starts_at_s.max()) - least_s + 2
    changed = np.sort(place * width_s + (starts_at_s - least_s))
    found = []
    for row in rows:
        own = int(np.searchsorted(ids, row[1]))
        if own == len(ids) or ids[own] != row[1]:
            continue
        depends_from = row[2] or datetime(row[3].astimezone(UTC).year - 1, 12, 31, tzinfo=UTC)
        bounds = [min(max(to_seconds(at) - least_s, 0), width_s - 1) for at in (depends_from, row[4])]
        first, end = np.searchsorted(changed, own * width_s + np.array(bounds))
        if first < end:
            found.append(row)
    return found


def _row(row: RebillProposal) -> ProposalRow:
    bill = row.bill
    point = bill.usage_point
    return ProposalRow(
        proposal_id=row.id,
        bill_id=bill.id,
        usage_point_id=point.id,
        usage_point_code=point.code,
        time_zone=point.site.time_zone,
        starts_at=bill.starts_at,
        ends_at=bill.ends_at,
        currency=bill.currency,
        state=row.state,
        reason=row.reason,
        old_energy_milliwh=bill.energy_milliwh,
        energy_milliwh=row.energy_milliwh,
        old_total_minor=bill.total_minor,
        total_minor=row.total_minor,
        held_code=row.held_code,
        held_params=row.held_params or {},
        version=version_of(row),
        raised_at=row.raised_at,
        looked_at=row.looked_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        note=row.note,
        new_bill_id=row.new_bill_id,
        parts=None if row.parts is None else tuple(row.parts),
    )
