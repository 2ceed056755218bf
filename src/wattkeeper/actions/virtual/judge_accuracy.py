"""The standing report: each comparison over its newest days, kept, and a finding where a meter is wrong."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.actions.virtual.accuracy_checks import RULE, subject_of
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.registry.virtual_series import (
    MemberRows,
    Term,
    VirtualFacts,
    VirtualSet,
    common_interval_s,
    evaluate,
)
from wattkeeper.core.vee.accuracy import (
    Comparison,
    MeterClass,
    Verdict,
    compare_meters,
    compare_whole,
    find_inaccurate,
)
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.registry.facts import SeriesFacts, get_series_facts
from wattkeeper.data.registry.models import Series
from wattkeeper.data.virtual.accuracy import AccuracyRow, keep_result, list_checks
from wattkeeper.data.virtual.formulas import fed_spans, load_virtual, unmeasured_spans
from wattkeeper.data.virtual.given_back import given_back_spans
from wattkeeper.store.api import ReadingStore

QUANTITY = "energy_import"
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A series that is compared, over ``[from_s, to_s)``."""

    series_id: int
    from_s: int
    to_s: int | None


def judge_accuracy(store: ReadingStore, *, tenant_id: int, now: datetime, check_id: int | None = None) -> int:
    """Judge the comparisons of a tenant over whole local days and return how many were judged.

    `check_id`: that one only, and again if it was judged already.
    """
    count, known = 0, None
    for check in list_checks(tenant_id=tenant_id):
        if check_id not in (None, check.check_id):
            continue
        from_s, to_s = _window(check, now)
        is_known = check.result is not None and to_seconds(check.result.to_at) == to_s
        if is_known and check_id is None:
            continue
        known = known or load_virtual(tenant_id)
        said = compare(store, tenant_id=tenant_id, check=check, span=(from_s, to_s), known=known)
        if said is None:
            continue
        _keep(check, said, (from_s, to_s), tenant_id=tenant_id, now=now)
        count += 1
    return count


def compare(
    store: ReadingStore, *, tenant_id: int, check: AccuracyRow, span: Span, known: VirtualSet
) -> tuple[Comparison, tuple[Comparison, ...]] | None:
    """Return what a span says over all loads and by band; None where not all meters measured any of it.

    Of a meter and what it feeds only intervals count in which none of them gave energy back, and all that it
    feeds is measured, by others than itself.
    """
    main_id = Series.objects.filter(usage_point_id=check.main_id, quantity=QUANTITY).values_list("id").first()
    references = _references(check, tenant_id)
    if main_id is None or not references:
        return None
    backs = _given_back(check, tenant_id)
    ids = sorted({main_id[0], *(part.series_id for part in (*references, *backs))})
    facts = get_series_facts(ids)
    interval_s = common_interval_s(facts[own].interval_s for own in ids)
    starts_at_s = np.arange(span[0], span[1] - interval_s + 1, interval_s, dtype=np.int64)
    if not len(starts_at_s):
        return None
    rows = _rows(store, tenant_id, ids, span)
    main_values, is_main, _ = _measured([Part(main_id[0], 0, None)], rows, starts_at_s, facts, interval_s)
    own, back = (
        [
            _measured(
                [part for part in parts if part.series_id == series_id], rows, starts_at_s, facts, interval_s
            )
            for series_id in sorted({part.series_id for part in parts})
        ]
        for parts in (references, backs)
    )
    is_both = is_main & np.logical_and.reduce([is_there for _, is_there, _ in own])
    is_both &= np.logical_or.reduce([is_used for _, _, is_used in own])
    for given_milliwh, is_there, _ in back:
        is_both &= is_there & (given_milliwh == 0)
    for from_s, to_s in _blind(check, tenant_id, main_id[0], references, span, known):
        is_both &= (starts_at_s + interval_s <= from_s) | (starts_at_s >= (span[1] if to_s is None else to_s))
    asked: dict[str, Any] = {
        "main_milliwh": main_values,
        "reference_milliwh": np.stack([values for values, _, _ in own]),
        "is_both": is_both,
        "interval_s": interval_s,
        "main": MeterClass(check.main_class, check.base_power_w, _step(facts[main_id[0]], span)),
        "references": tuple(
            MeterClass(check.reference_class, check.base_power_w, _step(facts[series_id], span))
            for series_id in sorted({part.series_id for part in references})
        ),
        "loss_ppm": check.loss_ppm,
    }
    whole = compare_whole(**asked)
    return None if whole is None else (whole, compare_meters(**asked))


def _references(check: AccuracyRow, tenant_id: int) -> list[Part]:
    if check.reference_id is None:
        return [Part(*row) for row in fed_spans(tenant_id, check.main_id)]
    ids = Series.objects.filter(usage_point_id=check.reference_id, quantity=QUANTITY).values_list(
        "id", flat=True
    )
    return [Part(series_id, 0, None) for series_id in ids]


def _blind(
    check: AccuracyRow,
    tenant_id: int,
    main_series_id: int,
    references: list[Part],
    span: Span,
    known: VirtualSet,
) -> list[tuple[int, int | None]]:
    """Return when nothing is told of a meter: a point that it feeds has none, or one rests on its own values.

    The latter is a virtual meter of what it leaves, or it is one of what it feeds.
    """
    own = known.find_bases(main_series_id, span)
    blind = [(part.from_s, part.to_s) for part in references if own & known.find_bases(part.series_id, span)]
    return blind if check.reference_id is not None else blind + unmeasured_spans(tenant_id, check.main_id)


def _given_back(check: AccuracyRow, tenant_id: int) -> list[Part]:
    """Return what a meter and those that it feeds give back; a check meter measures the same flow."""
    if check.reference_id is not None:
        return []
    main, fed = given_back_spans(tenant_id, check.main_id)
    return [Part(*row) for row in (*main, *fed)]


def _rows(store: ReadingStore, tenant_id: int, series_ids: list[int], span: Span) -> MemberRows:
    found = store.measurements(tenant_id, series_ids, *span)
    columns = (found.value_milliwh, found.provenance, found.flags, found.method)
    return MemberRows(found.series_id, found.starts_at_s, *columns)


def _measured(
    parts: list[Part],
    rows: MemberRows,
    starts_at_s: Int64s,
    facts: dict[int, SeriesFacts],
    interval_s: int,
) -> tuple[Int64s, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a meter's energies, where nothing of it that counts is unmeasured, and where it counts."""
    terms = tuple(
        Term(part.series_id, Fraction(1), 0, None, from_s=part.from_s, to_s=part.to_s) for part in parts
    )
    virtual = VirtualFacts(0, terms, interval_s, ZoneInfo("UTC"))
    grids = {part.series_id: facts[part.series_id].interval_s for part in parts}
    found = evaluate(virtual, rows, starts_at_s, np.zeros(len(starts_at_s), dtype=np.int64), grids)
    is_measured = found.provenance == Provenance.DERIVED
    values = np.where(found.is_covered & is_measured, found.value_milliwh, 0)
    return values, is_measured | ~found.is_covered, found.is_covered


def _step(facts: SeriesFacts, span: Span) -> int:
    """Return the primary energy of the largest step among the registers in force, milliwatt-hours."""
    rates = [
        installation.step_milliwh * installation.shown_count * period.ratio
        for installation in (facts.registers or facts.intervals)
        if installation.starts_at_s < span[1]
        and (installation.ends_at_s is None or installation.ends_at_s > span[0])
        for period in installation.multipliers
        if period.starts_at_s < span[1] and (period.ends_at_s is None or period.ends_at_s > span[0])
    ]
    return max(1, -(-max(rates, default=Fraction(1)) // 1))


def _window(check: AccuracyRow, now: datetime) -> Span:
    zone = ZoneInfo(check.time_zone)
    today = now.astimezone(zone).date()
    first = today - timedelta(days=check.window_days)
    return to_seconds(local_midnight(first, zone)), to_seconds(local_midnight(today, zone))


def _keep(
    check: AccuracyRow,
    said: tuple[Comparison, tuple[Comparison, ...]],
    span: Span,
    *,
    tenant_id: int,
    now: datetime,
) -> None:
    whole, bands = said
    found = find_inaccurate((whole, *bands), series_id=0, starts_at_s=span[0], ends_at_s=span[1])
    verdict = Verdict.OUTSIDE if found else whole.verdict
    figures = {
        name: value for name, value in asdict(whole).items() if name not in {"verdict", "load_permille"}
    }
    keep_result(
        check.check_id,
        from_at=from_seconds(span[0]),
        to_at=from_seconds(span[1]),
        judged_at=now,
        verdict=verdict.value,
        bands=[{**asdict(band), "verdict": band.verdict.value} for band in bands],
        **figures,
    )
    subject = subject_of(check.check_id)
    if found:
        draft = FindingDraft(
            tenant_id,
            RULE,
            subject,
            _since(tenant_id, subject) or from_seconds(span[0]),
            from_seconds(span[1]),
            usage_point_id=check.main_id,
            evidence={**found[0].evidence, "check_id": check.check_id, "days_count": check.window_days},
        )
        keep_findings([draft], now=now)
    elif verdict is Verdict.WITHIN:
        close_gone(tenant_id=tenant_id, rule=RULE, subject_key=subject, now=now)


def _since(tenant_id: int, subject: str) -> datetime | None:
    """Return since when the open finding of a comparison stands: it is one, not one a day."""
    known = Finding.objects.filter(
        tenant_id=tenant_id, rule=RULE, subject_key=subject, state=Finding.State.OPEN
    ).order_by("starts_at")
    return known.values_list("starts_at", flat=True).first()
