"""Comparisons of meters: what is compared, what the newest reports say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from wattkeeper.data.registry.models import Topology
from wattkeeper.data.virtual.models import AccuracyCheck, AccuracyResult

TAKEN = "energy_import"


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """A comparison with its newest report; `result` None before the first."""

    check_id: int
    main_id: int
    main_code: str
    main_name: str
    reference_id: int | None
    reference_code: str | None
    main_class: str
    reference_class: str
    base_power_w: int
    loss_ppm: int
    window_days: int
    time_zone: str
    result: AccuracyResult | None


def list_checks(*, tenant_id: int, verdict: str | None = None) -> list[AccuracyRow]:
    """Return the standing comparisons of a tenant, by the code of the main meter's point."""
    rows = [_row(check) for check in _checks(tenant_id).order_by("main__code", "id")]
    return [row for row in rows if verdict is None or (row.result and row.result.verdict == verdict)]


def get_check(*, tenant_id: int, check_id: int) -> AccuracyRow | None:
    """Return one comparison, None where the tenant has none of that id."""
    check = _checks(tenant_id).filter(id=check_id).first()
    return None if check is None else _row(check)


def list_results(check_id: int, *, limit_count: int = 400) -> list[AccuracyResult]:
    """Return the reports of a comparison, newest first."""
    return list(AccuracyResult.objects.filter(comparison_id=check_id).order_by("-to_at")[:limit_count])


def keep_result(check_id: int, *, from_at: datetime, to_at: datetime, **figures: Any) -> None:
    """Keep a report in the place of an earlier one of the same end."""
    AccuracyResult.objects.update_or_create(
        comparison_id=check_id, to_at=to_at, defaults={"from_at": from_at, **figures}
    )


def check_meter_rows(*, tenant_id: int) -> list[tuple[int, int, int, int]]:
    """Return of each standing comparison with a check meter both series and both grids, oldest first.

    A row: main series, series of the same quantity at the reference, its interval, that of the main, seconds.
    """
    checks = AccuracyCheck.objects.filter(
        tenant_id=tenant_id,
        retired_at__isnull=True,
        reference__series__quantity=F("main__series__quantity"),
    ).order_by("id", "main__series__id")
    columns = ("main__series__id", "reference__series__id", "reference__series__interval_s")
    return list(checks.values_list(*columns, "main__series__interval_s"))


def node_rows(*, tenant_id: int) -> list[tuple[int, int, int, int]]:
    """Return of each standing comparison with sub-meters what is balanced by it, oldest first.

    A row: main point, series of what it takes, interval in seconds, loss. Left out are nodes of which a point
    is not measured: the others say nothing then.
    """
    unmeasured = Topology.objects.filter(parent=OuterRef("main")).exclude(child__series__quantity=TAKEN)
    checks = AccuracyCheck.objects.filter(
        tenant_id=tenant_id,
        retired_at__isnull=True,
        reference__isnull=True,
        loss_ppm__lt=1_000_000,
        main__series__quantity=TAKEN,
    ).exclude(Exists(unmeasured))
    columns = ("main_id", "main__series__id", "main__series__interval_s", "loss_ppm")
    return list(checks.order_by("id").values_list(*columns))


def _checks(tenant_id: int) -> QuerySet[AccuracyCheck]:
    newest = AccuracyResult.objects.filter(comparison=OuterRef("pk")).order_by("-to_at").values("id")[:1]
    return (
        AccuracyCheck.objects.filter(tenant_id=tenant_id, retired_at__isnull=True)
        .select_related("main__site", "reference")
        .annotate(newest_id=Subquery(newest))
    )


def _row(check: AccuracyCheck) -> AccuracyRow:
    newest_id = getattr(check, "newest_id", None)
    return AccuracyRow(
        check_id=check.id,
        main_id=check.main_id,
        main_code=check.main.code,
        main_name=check.main.name,
        reference_id=check.reference_id,
        reference_code=check.reference.code if check.reference else None,
        main_class=check.main_class,
        reference_class=check.reference_class,
        base_power_w=check.base_power_w,
        loss_ppm=check.loss_ppm,
        window_days=check.window_days,
        time_zone=check.main.site.time_zone,
        result=AccuracyResult.objects.get(id=newest_id) if newest_id else None,
    )
