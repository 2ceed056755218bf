"""Tariffs, contracts and bills as pages, API and the billing action ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Q

from wattkeeper.data.billing.models import Bill, Contract, Tariff
from wattkeeper.data.billing.parts import counts_on
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.data.registry.paging import Page, read_page
from wattkeeper.data.sealing.words import matching


@dataclass(frozen=True, slots=True)
class TariffVersionRow:
    """A tariff's document from a date on."""

    tariff_version_id: int
    valid_from_date: date
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A tariff with its versions, newest first."""

    tariff_id: int
    code: str
    name: str
    versions: tuple[TariffVersionRow, ...]


@dataclass(frozen=True, slots=True)
class ContractRow:
    """By which tariff a usage point is billed, and when; `is_same_customer`: as of the one before.

    None for what an earlier release kept: nobody was asked. `tiers_count_on`: from the one before.
    """

    contract_id: int
    usage_point_id: int
    tariff_id: int
    tariff_code: str
    starts_at: datetime
    ends_at: datetime | None
    is_same_customer: bool | None
    tiers_count_on: bool


@dataclass(frozen=True, slots=True)
class BillRow:
    """A bill as lists show it."""

    bill_id: int
    usage_point_id: int
    usage_point_code: str
    usage_point_name: str
    customer_name: str
    state: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    total_minor: int
    energy_milliwh: int
    issued_at: datetime
    run_id: int
    corrects_id: int | None


@dataclass(frozen=True, slots=True)
class BillLineRow:
    """One line; `quantity` and `unit_price` are exact decimal texts."""

    position: int
    component: str
    label_code: str
    rate: str
    tier: int | None
    quantity: str
    unit: str
    unit_price: str
    amount_minor: int
    trace: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BillDetail:
    """A bill with its lines and the tariff document it rests on."""

    row: BillRow
    document: Mapping[str, Any]
    tariff_code: str
    tariff_name: str
    tariff_version_id: int
    time_zone: str
    lines: tuple[BillLineRow, ...]


def list_tariffs(*, tenant_id: int, tariff_id: int | None = None) -> list[TariffRow]:
    """Return the tariffs of a tenant, or one of them."""
    query = Tariff.objects.filter(tenant_id=tenant_id).prefetch_related("versions").order_by("code")
    if tariff_id is not None:
        query = query.filter(id=tariff_id)
    return [
        TariffRow(
            tariff.id,
            tariff.code,
            tariff.name,
            tuple(
                TariffVersionRow(version.id, version.valid_from_date, version.document)
                for version in sorted(tariff.versions.all(), key=lambda v: v.valid_from_date, reverse=True)
            ),
        )
        for tariff in query
    ]


def list_contracts(*, tenant_id: int, usage_point_ids: Sequence[int] | None = None) -> list[ContractRow]:
    """Return the contracts of a tenant, or of some of its usage points, in order of time."""
    query = Contract.objects.filter(tenant_id=tenant_id).select_related("tariff").order_by("starts_at")
    if usage_point_ids is not None:
        query = query.filter(usage_point_id__in=usage_point_ids)
    rows = list(query)
    latest: dict[int, Contract] = {}
    counting: set[int] = set()
    for row in rows:
        if counts_on(latest.get(row.usage_point_id), row):
            counting.add(row.id)
        latest[row.usage_point_id] = row
    return [
        ContractRow(
            contract_id=row.id,
            usage_point_id=row.usage_point_id,
            tariff_id=row.tariff_id,
            tariff_code=row.tariff.code,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            is_same_customer=row.is_same_customer,
            tiers_count_on=row.id in counting,
        )
        for row in rows
    ]


def list_bills(
    *,
    tenant_id: int,
    usage_point_id: int | None = None,
    site_id: int | None = None,
    state: str | None = None,
    search: str = "",
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[BillRow]:
    """Return one page of bills, newest first."""
    exact = {"usage_point_id": usage_point_id, "usage_point__site_id": site_id, "state": state}
    query = Bill.objects.filter(
        tenant_id=tenant_id, **{name: value for name, value in exact.items() if value is not None}
    )
    for word in search.split():
        query = query.filter(
            Q(usage_point__code__icontains=word)
            | matching(UsagePoint, tenant_id=tenant_id, text=word, at="usage_point_id")
        )
    rows = query.select_related("usage_point").order_by("-starts_at", "-id")
    return read_page(
        rows, lambda page: list(map(_row, page)), offset_index=offset_index, limit_count=limit_count
    )


def get_bill(*, tenant_id: int, bill_id: int) -> BillDetail | None:
    """Return one bill with its lines, None where the tenant has none of that id."""
    bill = (
        Bill.objects.select_related("usage_point__site", "tariff_version__tariff")
        .filter(tenant_id=tenant_id, id=bill_id)
        .first()
    )
    if bill is None:
        return None
    return BillDetail(
        row=_row(bill),
        document=bill.document,
        tariff_code=bill.tariff_version.tariff.code,
        tariff_name=bill.tariff_version.tariff.name,
        tariff_version_id=bill.tariff_version_id,
        time_zone=bill.usage_point.site.time_zone,
        lines=tuple(
            BillLineRow(
                line.position,
                line.component,
                line.label_code,
                line.rate,
                line.tier,
                line.quantity,
                line.unit,
                line.unit_price,
                line.amount_minor,
                line.trace,
            )
            for line in bill.lines.order_by("position")
        ),
    )


def _row(bill: Bill) -> BillRow:
    point = bill.usage_point
    return BillRow(
        bill_id=bill.id,
        usage_point_id=point.id,
        usage_point_code=point.code,
        usage_point_name=point.name,
        customer_name=point.customer_name,
        state=bill.state,
        starts_at=bill.starts_at,
        ends_at=bill.ends_at,
        currency=bill.currency,
        total_minor=bill.total_minor,
        energy_milliwh=bill.energy_milliwh,
        issued_at=bill.issued_at,
        run_id=bill.run_id,
        corrects_id=bill.corrects_id,
    )
