"""What adding a virtual meter and changing its formula share; each runs inside its verb's transaction."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.records import check_fits_days, cut_at
from wattkeeper.core.kernel.instants import Period
from wattkeeper.core.registry.formulas import InvalidFormula, parse_formula
from wattkeeper.core.registry.virtual_series import begin_together, common_interval_s, order_series
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.virtual.formulas import (
    Registered,
    StoredTerms,
    load_virtual,
    resolve,
    series_by_subs_of,
    to_stored,
)
from wattkeeper.data.virtual.models import Formula

QUANTITY = "energy_import"
DEFAULT_INTERVAL_S = 900


def read_formula(tenant_id: int, text: str) -> StoredTerms:
    """Return a text as it is stored.

    :raises InvalidFormula: if it is none, or names what is not there
    """
    return to_stored(tenant_id, parse_formula(text))


def fitting_interval_s(tenant_id: int, stored: StoredTerms) -> int:
    """Return the shortest interval that all parts of a formula fit into, seconds."""
    known = Registered.of(tenant_id, [stored])
    parts = {known.interval_s_of[term.series_id] for term in resolve(stored, known, 0, None)}
    return common_interval_s(parts) if parts else DEFAULT_INTERVAL_S


def put_formula(
    point: UsagePoint, text: str, stored: StoredTerms, *, at: datetime, actor: Actor, now: datetime
) -> None:
    """Let a formula hold from `at` until the next recorded change, and have its days derived.

    :raises InvalidFormula: ``formulas.cycle``, ``formulas.interval``, ``formulas.measured``
    """
    if point.installations.exists():
        raise InvalidFormula("formulas.measured", point=point.code)
    ends_at = cut_at(Formula.objects.filter(usage_point=point), at)
    if stored:
        Formula.objects.create(
            tenant_id=point.tenant_id,
            usage_point=point,
            text=text,
            terms=stored,
            starts_at=at,
            ends_at=ends_at,
            recorded_at=now,
            made_by=str(actor),
        )
    series, _ = Series.objects.get_or_create(
        usage_point=point,
        quantity=QUANTITY,
        defaults={
            "tenant_id": point.tenant_id,
            "interval_s": fitting_interval_s(point.tenant_id, stored),
        },
    )
    check_interval(series, stored, since=at)
    check_cycles(point.tenant_id)
    end = min(now, ends_at or now)
    span = Period(at, max(end, at + timedelta(seconds=1)))
    mark_dirty(tenant_id=point.tenant_id, now=now, reason="formula", series={series.id: span})


def check_interval(series: Series, stored: StoredTerms, *, since: datetime) -> None:
    """Check that the intervals of all parts fit into those of a virtual series, and these into every day.

    :raises InvalidFormula: ``formulas.interval``, ``formulas.grid``
    :raises WattkeeperError: ``series.interval-not-kept``
    """
    point = series.usage_point
    check_fits_days(series.interval_s, point.site.time_zone, usage_point=point.code)
    known = Registered.of(series.tenant_id, [stored])
    member_ids = {term.series_id for term in resolve(stored, known, 0, None)}
    lengths_s = {known.interval_s_of[own] for own in member_ids}
    common_s = common_interval_s(lengths_s)
    if lengths_s and series.interval_s % common_s:
        raise InvalidFormula(
            "formulas.interval",
            members=", ".join(map(str, sorted(lengths_s))),
            interval=series.interval_s,
            common=common_s,
        )
    names = "usage_point__code", "usage_point__site__time_zone", "interval_s"
    members = Series.objects.filter(id__in=member_ids).order_by("id").values_list(*names)
    for code, zone, interval_s in members:
        if not begin_together(ZoneInfo(zone), ZoneInfo(point.site.time_zone), interval_s, since):
            raise InvalidFormula(
                "formulas.grid", point=code, interval=interval_s, zone=zone, own_zone=point.site.time_zone
            )


def check_cycles(tenant_id: int) -> None:
    """Check that no virtual meter takes a part from itself, at whatever time.

    :raises InvalidFormula: ``formulas.cycle`` with the codes on the way round
    """
    known = load_virtual(tenant_id)
    if not known.broken:
        return
    codes = dict(Series.objects.filter(id__in=known.broken).values_list("id", "usage_point__code"))
    try:
        order_series(uses_of(tenant_id, known.broken))
    except InvalidFormula as error:
        path = error.params["series_ids"]
        assert isinstance(path, tuple)
        raise InvalidFormula(
            "formulas.cycle", path=" → ".join(codes.get(own, str(own)) for own in path)
        ) from error


def uses_of(tenant_id: int, series_ids: frozenset[int]) -> dict[int, frozenset[int]]:
    """Return the members of some virtual series."""
    rows = list(
        Formula.objects.filter(tenant_id=tenant_id, usage_point__series__in=series_ids).values_list(
            "usage_point__series__id", "terms"
        )
    )
    known = Registered.of(tenant_id, [terms for _, terms in rows])
    found: dict[int, set[int]] = {series_id: set() for series_id in series_ids}
    for series_id, terms in rows:
        found[series_id] |= {term.series_id for term in resolve(terms, known, 0, None)}
    return {series_id: frozenset(own) for series_id, own in found.items()}


def follow_topology(tenant_id: int, main_ids: set[int], *, at: datetime, now: datetime) -> None:
    """Have what takes the sub-meters of some points derived again since `at`, when who feeds whom changed.

    :raises InvalidFormula: ``formulas.cycle`` if a virtual meter would become a part of itself
    """
    touched = series_by_subs_of(tenant_id, main_ids)
    if not touched:
        return
    check_cycles(tenant_id)
    span = Period(at, max(now, at + timedelta(seconds=1)))
    mark_dirty(tenant_id=tenant_id, now=now, reason="topology", series=dict.fromkeys(touched, span))
