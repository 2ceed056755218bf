"""Formulas of virtual meters: from codes to ids, from ids to dated series, and who is touched by a change."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.registry.formulas import (
    InvalidFormula,
    Linear,
    Operand,
    OperandKind,
    formula_text,
)
from wattkeeper.core.registry.topology import TopologyLink
from wattkeeper.core.registry.virtual_series import Term, VirtualFacts, VirtualSet
from wattkeeper.data.registry.facts import get_topology
from wattkeeper.data.registry.models import Series, Topology, UsagePoint
from wattkeeper.data.virtual.models import Formula

StoredTerms = list[dict[str, Any]]
SUBS = OperandKind.SUBS.value


@dataclass(frozen=True, slots=True)
class Registered:
    """What formulas are resolved with: series of points, their grids, who feeds whom."""

    series_of: Mapping[tuple[int, str], int]
    interval_s_of: Mapping[int, int]
    links: Sequence[TopologyLink] = field(default=())

    @classmethod
    def of(cls, tenant_id: int, terms: Iterable[StoredTerms]) -> "Registered":
        """Read what some formulas need."""
        known = [term for own in terms for term in own]
        links = get_topology(tenant_id=tenant_id) if any(t["kind"] == SUBS for t in known) else []
        point_ids = {term["point"] for term in known}
        mains = {term["point"] for term in known if term["kind"] == SUBS}
        point_ids |= {link.child_id for link in links if link.parent_id in mains}
        rows = list(
            Series.objects.filter(tenant_id=tenant_id, usage_point_id__in=point_ids).values_list(
                "id", "usage_point_id", "quantity", "interval_s"
            )
        )
        return cls(
            {(point_id, quantity): series_id for series_id, point_id, quantity, _ in rows},
            {series_id: interval_s for series_id, _, _, interval_s in rows},
            links,
        )


def load_virtual(tenant_id: int) -> VirtualSet:
    """Return all virtual series of a tenant as their formulas and the topology are now known."""
    rows = list(
        Formula.objects.filter(tenant_id=tenant_id, usage_point__series__isnull=False)
        .order_by("usage_point_id", "starts_at")
        .values_list(
            "usage_point__series__id",
            "usage_point__series__interval_s",
            "usage_point__site__time_zone",
            "terms",
            "starts_at",
            "ends_at",
        )
    )
    if not rows:
        return VirtualSet({}, {}, {})
    known = Registered.of(tenant_id, [row[3] for row in rows])
    terms: dict[int, list[Term]] = defaultdict(list)
    grids: dict[int, tuple[int, str]] = {}
    for series_id, interval_s, zone, stored, starts_at, ends_at in rows:
        grids[series_id] = (interval_s, zone)
        terms[series_id] += resolve(stored, known, to_seconds(starts_at), _seconds(ends_at))
    facts = [
        VirtualFacts(series_id, tuple(terms[series_id]), interval_s, ZoneInfo(zone))
        for series_id, (interval_s, zone) in grids.items()
    ]
    return VirtualSet.sound_of(facts, known.interval_s_of)


def resolve(
    stored: StoredTerms, known: Registered, starts_at_s: int, ends_at_s: int | None
) -> Iterator[Term]:
    """Yield the dated terms of a formula in force over ``[starts_at_s, ends_at_s)``.

    A point that `subs` names and that never had a meter adds nothing.
    """
    for term in stored:
        coefficient = Fraction(term["numerator"], term["denominator"])
        for point_id, from_s, to_s in _points(term, known.links):
            series_id = known.series_of.get((point_id, term["quantity"]))
            if series_id is not None:
                yield Term(series_id, coefficient, starts_at_s, ends_at_s, term["zero"], from_s, to_s)


def _points(term: Mapping[str, Any], links: Sequence[TopologyLink]) -> Iterator[tuple[int, int, int | None]]:
    if term["kind"] != SUBS:
        yield term["point"], 0, None
        return
    for link in links:
        if link.parent_id == term["point"]:
            yield link.child_id, link.starts_at_s, link.ends_at_s


def to_stored(tenant_id: int, terms: Linear) -> StoredTerms:
    """Return a formula with ids instead of codes.

    :raises InvalidFormula: ``formulas.unknown-point``, ``formulas.no-series``
    """
    codes = {operand.code for operand in terms}
    points = dict(UsagePoint.objects.filter(tenant_id=tenant_id, code__in=codes).values_list("code", "id"))
    measured = set(
        Series.objects.filter(usage_point_id__in=points.values()).values_list("usage_point_id", "quantity")
    )
    for operand in terms:
        if operand.code not in points:
            raise InvalidFormula("formulas.unknown-point", point=operand.code)
        is_series = operand.kind is OperandKind.SERIES
        if is_series and (points[operand.code], operand.quantity) not in measured:
            raise InvalidFormula("formulas.no-series", point=operand.code, quantity=operand.quantity)
    return [
        {
            "kind": operand.kind.value,
            "point": points[operand.code],
            "quantity": operand.quantity,
            "numerator": coefficient.numerator,
            "denominator": coefficient.denominator,
            "zero": operand.is_zero_when_missing,
        }
        for operand, coefficient in terms.items()
    ]


def stored_text(stored: StoredTerms, codes: Mapping[int, str]) -> str:
    """Return a stored formula as text, with the codes that its points have now."""
    return formula_text(
        {
            Operand(
                OperandKind(term["kind"]), codes[term["point"]], term["quantity"], term["zero"]
            ): Fraction(term["numerator"], term["denominator"])
            for term in stored
        }
    )


def codes_of(stored: Iterable[StoredTerms]) -> dict[int, str]:
    """Return the codes of the points that formulas name."""
    ids = {term["point"] for own in stored for term in own}
    return dict(UsagePoint.objects.filter(id__in=ids).values_list("id", "code"))


def series_by_subs_of(tenant_id: int, main_ids: Iterable[int]) -> list[int]:
    """Return the virtual series whose formulas take the sub-meters of one of some points."""
    wanted = set(main_ids)
    rows = Formula.objects.filter(tenant_id=tenant_id).values_list("usage_point__series__id", "terms")
    found = {
        series_id
        for series_id, terms in rows
        if series_id is not None and any(t["kind"] == SUBS and t["point"] in wanted for t in terms)
    }
    return sorted(found)


def fed_spans(tenant_id: int, main_id: int) -> list[tuple[int, int, int | None]]:
    """Return (series, from, to) of what the points that a main point feeds take from the grid, in seconds."""
    rows = Topology.objects.filter(
        tenant_id=tenant_id, parent_id=main_id, child__series__quantity="energy_import"
    ).order_by(F("starts_at"), "child_id")
    return [
        (series_id, to_seconds(starts_at), _seconds(ends_at))
        for series_id, starts_at, ends_at in rows.values_list("child__series__id", "starts_at", "ends_at")
    ]


def unmeasured_spans(tenant_id: int, main_id: int) -> list[tuple[int, int | None]]:
    """Return when a main point feeds one of which nothing is measured that it takes, in seconds."""
    rows = Topology.objects.filter(tenant_id=tenant_id, parent_id=main_id)
    rows = rows.exclude(child__series__quantity="energy_import").order_by("starts_at", "child_id")
    return [
        (to_seconds(starts_at), _seconds(ends_at))
        for starts_at, ends_at in rows.values_list("starts_at", "ends_at")
    ]


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else to_seconds(instant)
