"""Virtual meters as lists and pages show them, and what a formula would say before it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import RollUpRows, day_bounds, find_days
from wattkeeper.core.registry.formulas import parse_formula
from wattkeeper.core.registry.virtual_series import (
    MemberRows,
    VirtualFacts,
    common_interval_s,
    evaluate,
)
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.virtual.formulas import Registered, codes_of, resolve, stored_text, to_stored
from wattkeeper.data.virtual.models import Formula
from wattkeeper.store.api import ReadingStore

PREVIEW_DAYS = 7
DEFAULT_INTERVAL_S = 900


@dataclass(frozen=True, slots=True)
class VirtualRow:
    """A virtual meter; `formula` in force now, with the codes of now, empty where none is."""

    usage_point_id: int
    code: str
    name: str
    site_id: int
    site_code: str
    time_zone: str
    series_id: int | None
    interval_s: int
    formula: str
    since_at: datetime | None


@dataclass(frozen=True, slots=True)
class FormulaRow:
    """One formula of a virtual meter's history."""

    formula: str
    starts_at: datetime
    ends_at: datetime | None
    recorded_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class PreviewDay:
    """What a formula says of a local day; counts of its intervals."""

    day: date
    energy_milliwh: int
    known_count: int
    estimated_count: int
    missing_count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a formula says of the newest days: its canonical text, interval and parts."""

    formula: str
    interval_s: int
    members_count: int
    days: tuple[PreviewDay, ...]


def list_virtual(*, tenant_id: int, now: datetime, search: str = "") -> list[VirtualRow]:
    """Return the virtual meters of a tenant, by code."""
    points = UsagePoint.objects.filter(
        tenant_id=tenant_id, kind=UsagePoint.Kind.VIRTUAL, retired_at__isnull=True
    ).select_related("site")
    ids = [point.id for point in points]
    formulas = [row for row in Formula.objects.filter(usage_point_id__in=ids) if _holds(row, now)]
    codes = codes_of([row.terms for row in formulas])
    of_point = {row.usage_point_id: row for row in formulas}
    series = {row.usage_point_id: row for row in Series.objects.filter(usage_point_id__in=ids)}
    rows = [_row(point, of_point.get(point.id), series.get(point.id), codes) for point in points]
    wanted = search.casefold()
    found = [row for row in rows if wanted in f"{row.code} {row.name} {row.formula}".casefold()]
    return sorted(found, key=lambda row: row.code)


def get_virtual(*, tenant_id: int, usage_point_id: int, now: datetime) -> VirtualRow | None:
    """Return one virtual meter, None where the tenant has none of that id."""
    rows = list_virtual(tenant_id=tenant_id, now=now)
    return next((row for row in rows if row.usage_point_id == usage_point_id), None)


def list_formulas(usage_point_id: int) -> list[FormulaRow]:
    """Return the formulas of a virtual meter, newest first."""
    rows = list(Formula.objects.filter(usage_point_id=usage_point_id).order_by("-starts_at"))
    codes = codes_of([row.terms for row in rows])
    return [
        FormulaRow(stored_text(row.terms, codes), row.starts_at, row.ends_at, row.recorded_at, row.made_by)
        for row in rows
    ]


def preview_formula(
    store: ReadingStore,
    *,
    tenant_id: int,
    text: str,
    zone: str,
    now: datetime,
    days_count: int = PREVIEW_DAYS,
) -> Preview:
    """
    Return what a formula says of the newest whole local days, without keeping anything.

    :raises WattkeeperError: ``formulas.*``
    """
    stored = to_stored(tenant_id, parse_formula(text))
    known = Registered.of(tenant_id, [stored])
    terms = tuple(resolve(stored, known, 0, None))
    members = sorted({term.series_id for term in terms})
    interval_s = common_interval_s(known.interval_s_of[own] for own in members) if members else 0
    facts = VirtualFacts(0, terms, interval_s or DEFAULT_INTERVAL_S, ZoneInfo(zone))
    days = _evaluated(store, tenant_id, facts, members, known, now, days_count)
    return Preview(stored_text(stored, codes_of([stored])), facts.interval_s, len(members), tuple(days))


def _evaluated(
    store: ReadingStore,
    tenant_id: int,
    facts: VirtualFacts,
    members: Sequence[int],
    known: Registered,
    now: datetime,
    days_count: int,
) -> list[PreviewDay]:
    today = now.astimezone(facts.zone).date()
    first_s = to_seconds(local_midnight(today - timedelta(days=days_count), facts.zone))
    end_s = to_seconds(local_midnight(today, facts.zone))
    starts_at_s = np.arange(first_s, end_s, facts.interval_s, dtype=np.int64)
    rows = store.measurements(tenant_id, members, first_s, end_s)
    columns = (rows.series_id, rows.starts_at_s, rows.value_milliwh, rows.provenance, rows.flags, rows.method)
    bounds_s = np.array(day_bounds(first_s, end_s, facts.zone), dtype=np.int64)
    day = np.searchsorted(bounds_s, starts_at_s, side="right") - 1
    first = np.searchsorted(starts_at_s, bounds_s)[day].astype(np.int64)
    found = evaluate(facts, MemberRows(*columns), starts_at_s, first, known.interval_s_of)
    provenance = np.where(found.is_covered, found.provenance, int(Provenance.MISSING))
    days = find_days(
        np.zeros(1, dtype=np.int64),
        starts_at_s,
        found.value_milliwh[None],
        provenance[None],
        interval_s=facts.interval_s,
        zone=facts.zone,
    )
    return _preview_days(days.rows, facts.zone)


def _preview_days(rows: RollUpRows, zone: ZoneInfo) -> list[PreviewDay]:
    counts: Int64s = rows.derived_count + rows.edited_count + rows.measured_count
    estimated = rows.estimated_count + rows.projected_count
    columns = (rows.starts_at_s, rows.energy_milliwh, counts + estimated, estimated, rows.expected_count)
    return [
        PreviewDay(from_seconds(at_s).astimezone(zone).date(), energy, known, guessed, expected - known)
        for at_s, energy, known, guessed, expected in zip(*(c.tolist() for c in columns), strict=True)
    ]


def _holds(row: Formula, now: datetime) -> bool:
    return row.starts_at <= now and (row.ends_at is None or row.ends_at > now)


def _row(
    point: UsagePoint, formula: Formula | None, series: Series | None, codes: dict[int, str]
) -> VirtualRow:
    return VirtualRow(
        usage_point_id=point.id,
        code=point.code,
        name=point.name,
        site_id=point.site_id,
        site_code=point.site.code,
        time_zone=point.site.time_zone,
        series_id=series.id if series else None,
        interval_s=series.interval_s if series else DEFAULT_INTERVAL_S,
        formula=stored_text(formula.terms, codes) if formula else "",
        since_at=formula.starts_at if formula else None,
    )
