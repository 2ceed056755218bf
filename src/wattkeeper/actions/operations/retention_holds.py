"""What still needs readings, and from which month on: nothing from there on leaves on retention."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from wattkeeper.actions.operations.archive_months import LATE_RULE, first_open
from wattkeeper.actions.operations.set_retention import SET_VERB
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, Contract, RebillCheck, RebillProposal
from wattkeeper.data.collection.models import DirtyWindow, Retention
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.models import Series
from wattkeeper.data.vee.models import ReadWithdrawal, StoredEdit
from wattkeeper.store.windows import month_of

MARGIN = timedelta(days=2)  # a local day, and the register before it
YEAR = timedelta(days=366)
THINKS_AGAIN = timedelta(days=7)  # after a rule was set nothing is destroyed by it
VALUES, DESTROY = Retention.Kind.VALUES.value, "destroy"
NAMED_COUNT = 20  # of what holds by one code; the rest is named when these are gone


@dataclass(frozen=True, slots=True)
class Need:
    """From when on something is needed and where: an organisation, the code of a usage point of it."""

    at: datetime
    tenant_id: int
    usage_point: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Why months (yyyymm, UTC) from `from_month` on stay; of one `kind` or `step` only where one is named.

    `needs`: the oldest of those that hold, at most `NAMED_COUNT`, each with the month from which it does.
    """

    code: str
    from_month: int
    kind: str = ""
    step: str = ""
    needs: tuple[tuple[int, Need], ...] = field(default=(), compare=False)

    def holds(self, month: int, kind: str, step: str) -> bool:
        """Whether a month of a kind stays as it is by this."""
        return self.from_month <= month and self.kind in {"", kind} and self.step in {"", step}


def find_holds(now: datetime) -> list[Hold]:
    """Return what holds, of all organisations, what holds the oldest month first."""
    found = [Hold("operations.held-open", first_open(now))]
    set_lately = AuditRecord.objects.filter(verb=SET_VERB, recorded_at__gte=now - THINKS_AGAIN)
    found.extend(
        Hold("operations.held-set-lately", 0, subject.removeprefix("retention:"), DESTROY)
        for subject in set(set_lately.values_list("subject", flat=True))
    )
    for code, needs, kind, step in _needs():
        named = tuple((month_of(need.at - MARGIN), need) for need in needs)
        if named:
            found.append(Hold(code, named[0][0], kind, step, named))
    return sorted(found, key=lambda hold: (hold.from_month, hold.code))


def _needs() -> Iterator[tuple[str, list[Need], str, str]]:
    """Yield code, what needs something, oldest first, and of which kind and for which step only."""
    yield "operations.held-deriving", _underived(), "", ""
    pending = StoredEdit.objects.filter(state=StoredEdit.State.PENDING)
    yield "operations.held-edit", _first(pending, point="series__usage_point__code"), "", ""
    withdrawals = ReadWithdrawal.objects.filter(state=StoredEdit.State.PENDING)
    read, serial = "field_read__measured_at", "field_read__channel__meter__serial_number"
    yield "operations.held-edit", _first(withdrawals, read, point=serial), "", ""
    open_ones = RebillProposal.objects.filter(state=RebillProposal.State.OPEN).values("bill_id")
    bills = Bill.objects.filter(Q(id__in=open_ones) | Q(id__in=RebillCheck.objects.values("bill_id")))
    yield "operations.held-rebill", _first(bills), "", ""
    yield "operations.held-rebill", _first(bills.exclude(depends_from=None), "depends_from"), VALUES, ""
    unknown = _first(bills.filter(depends_from__isnull=True))
    yield "operations.held-rebill", [replace(need, at=need.at - YEAR) for need in unknown], VALUES, ""
    unbilled = _unbilled()
    yield "operations.held-unbilled", unbilled, "", ""
    yield "operations.held-unbilled", [replace(need, at=_year_of(need.at)) for need in unbilled], VALUES, ""
    late = Finding.objects.filter(rule=LATE_RULE, state=Finding.State.OPEN).order_by("starts_at")
    rows = late.values_list("starts_at", "subject_key")[:NAMED_COUNT]
    yield "operations.held-late", _of_series((at, int(key.split(":")[1])) for at, key in rows), "", DESTROY


def _year_of(at: datetime) -> datetime:
    """Return the start of the year from which tiers count."""
    return datetime(at.astimezone(UTC).year, 1, 1, tzinfo=UTC)


def _first(rows: QuerySet[Any], column: str = "starts_at", *, point: str = "usage_point__code") -> list[Need]:
    return [
        Need(*row)
        for row in rows.order_by(column, "id").values_list(column, "tenant_id", point)[:NAMED_COUNT]
    ]


def _underived() -> list[Need]:
    """Return what waits to be derived: the oldest span of each series in the oldest rows."""
    packed = DirtyWindow.objects.order_by("starts_at", "id").values_list("spans", flat=True)[:NAMED_COUNT]
    found: list[tuple[datetime, int]] = []
    for content in packed:
        spans = Spans.unpack(bytes(content))
        oldest = np.argsort(spans.from_s, kind="stable")[:NAMED_COUNT].tolist()
        found += [(from_seconds(spans.from_s[place]), int(spans.series_id[place])) for place in oldest]
    return _of_series(sorted(found)[:NAMED_COUNT])


def _of_series(found: Iterable[tuple[datetime, int]]) -> list[Need]:
    """Return instants with the usage points of their series."""
    rows = list(found)
    series = Series.objects.filter(id__in={series_id for _, series_id in rows})
    places = {row[0]: row[1:] for row in series.values_list("id", "tenant_id", "usage_point__code")}
    return [Need(at, *places.get(series_id, (0, ""))) for at, series_id in rows]


def _unbilled() -> list[Need]:
    """Return from when on a contract says that something is billed that is not yet."""
    issued = Q(usage_point__bills__state=Bill.State.ISSUED)
    billed_to = Coalesce(Max("usage_point__bills__ends_at", filter=issued), F("starts_at"))
    contracts = Contract.objects.annotate(billed_to=Greatest(billed_to, F("starts_at")))
    return _first(contracts.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=F("billed_to"))), "billed_to")
