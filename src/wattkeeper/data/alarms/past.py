"""Findings as they stood at an instant: each change keeps what stood before it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding, FindingPast

_CHUNK_COUNT = 500
_CLOSED, _OPEN = Value(Finding.State.CLOSED.value), Value(Finding.State.OPEN.value)


def findings_as_of(tenant_id: int, at: datetime | None) -> QuerySet[Any]:
    """Return the findings of a tenant that were raised by an instant, or all that are known now.

    Each tells in `then_state`, `then_closed_at`, `then_ends_at` and `then_evidence` how it stood.

    :raises WattkeeperError: ``registry.instant-naive``
    """
    rows = Finding.objects.filter(tenant_id=tenant_id)
    if at is None:
        return rows.annotate(
            then_state=F("state"),
            then_closed_at=F("closed_at"),
            then_ends_at=F("ends_at"),
            then_evidence=F("evidence"),
        )
    if at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    later = FindingPast.objects.filter(finding=OuterRef("pk"), until_at__gt=at).order_by("until_at", "id")

    def stood(name: str) -> Case:
        return Case(When(Exists(later), then=Subquery(later.values(name)[:1])), default=F(name))

    known = rows.filter(opened_at__lte=at).annotate(
        closing_at=stood("closed_at"), then_ends_at=stood("ends_at"), then_evidence=stood("evidence")
    )
    is_closed = Q(closing_at__lte=at)
    return known.annotate(
        then_state=Case(When(is_closed, then=_CLOSED), default=_OPEN),
        then_closed_at=Case(When(is_closed, then=F("closing_at"))),
    )


def keep_past(findings: Iterable[Finding], *, now: datetime) -> None:
    """Keep how findings, as they were read, stood until now: they are about to stand otherwise."""
    FindingPast.objects.bulk_create(
        [
            FindingPast(
                finding=finding,
                until_at=now,
                ends_at=finding.ends_at,
                evidence=finding.evidence,
                closed_at=finding.closed_at,
            )
            for finding in findings
        ],
        batch_size=_CHUNK_COUNT,
    )


def forget_past(*, before: datetime) -> None:
    """Let go how findings stood until instants up to `before`: as of then they are as they stood next."""
    gone = FindingPast.objects.filter(until_at__lte=before).order_by("id").values_list("id", flat=True)
    while ids := list(gone[:_CHUNK_COUNT]):
        FindingPast.objects.filter(id__in=ids).delete()
