"""The feeders of a tenant: main meters, what they feed when, what is lost, which rest has a name."""

from collections import defaultdict
from datetime import datetime

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.vee.feeders import NO_METER, Feeder, Part
from wattkeeper.data.registry.models import Series, Topology, UsagePoint
from wattkeeper.data.virtual.formulas import SUBS
from wattkeeper.data.virtual.models import AccuracyCheck, Formula

TAKEN, GIVEN_BACK = "energy_import", "energy_export"


def load_feeders(tenant_id: int) -> dict[int, Feeder]:
    """Return the points that feed others, by the series of what they take; those with a meter.

    Virtual meters are none of what is fed. The loss is that of the newest standing comparison of a main meter
    with what it feeds.
    """
    links = Topology.objects.filter(tenant_id=tenant_id).exclude(child__kind=UsagePoint.Kind.VIRTUAL)
    fed: dict[int, list[tuple[int, int, int | None]]] = defaultdict(list)
    rows = links.values_list("parent_id", "child_id", "starts_at", "ends_at")
    for main_id, child_id, starts_at, ends_at in rows:
        fed[main_id].append((child_id, *_span(starts_at, ends_at)))
    if not fed:
        return {}
    series = Series.objects.filter(tenant_id=tenant_id).exclude(usage_point__kind=UsagePoint.Kind.VIRTUAL)
    columns = ("usage_point_id", "id")
    taken = dict(series.filter(quantity=TAKEN).values_list(*columns))
    given_back = dict(series.filter(quantity=GIVEN_BACK).values_list(*columns))
    checks = AccuracyCheck.objects.filter(
        tenant_id=tenant_id, reference__isnull=True, retired_at__isnull=True
    )
    loss_ppm = dict(checks.order_by("id").values_list("main_id", "loss_ppm"))
    rests = _rests(tenant_id)
    return {
        taken[main_id]: Feeder(
            taken[main_id],
            tuple(
                Part(series_of.get(child_id, NO_METER), from_s, to_s, sign)
                for series_of, sign in ((taken, 1), (given_back, -1))
                for child_id, from_s, to_s in own
                if sign > 0 or child_id in series_of
            ),
            given_back.get(main_id, NO_METER),
            loss_ppm.get(main_id, 0),
            tuple(rests.get(main_id, ())),
        )
        for main_id, own in fed.items()
        if main_id in taken
    }


def _rests(tenant_id: int) -> dict[int, list[tuple[int, int | None]]]:
    """Return when a formula takes what each main meter feeds, by its point."""
    found: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    rows = Formula.objects.filter(tenant_id=tenant_id).values_list("terms", "starts_at", "ends_at")
    for terms, starts_at, ends_at in rows:
        for main_id in {term["point"] for term in terms if term["kind"] == SUBS}:
            found[main_id].append(_span(starts_at, ends_at))
    return found


def _span(starts_at: datetime, ends_at: datetime | None) -> tuple[int, int | None]:
    return to_seconds(starts_at), None if ends_at is None else to_seconds(ends_at)
