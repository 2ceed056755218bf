"""The trees that energies are added up by, as dated links between numbers, and what their nodes are called.

A node is a number: its sort times 2^40 plus the id of its row. Four trees end in the tenant: by site, by area
(areas hold areas and sites), by feeder (who feeds whom, then feeders), by customer. `ENTRY` is the one by
site without the time in which a point with a meter feeds a point: what enters each site, once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from operator import itemgetter
from typing import Any

import numpy as np
from django.db.models import Model, Q

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.registry.aggregation import OPEN_S, Links, fill_gaps, links_told, past, within_gaps
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.installed import told_otherwise
from wattkeeper.data.registry.models import Installation, Series, Site, Topology, UsagePoint
from wattkeeper.data.registry.owned import owned_by
from wattkeeper.data.virtual.models import (
    AreaInArea,
    Formula,
    Node,
    PointOfCustomer,
    PointOnFeeder,
    SiteInArea,
)

_SORT_BITS = 40
_SUBJECTS_AT_ONCE = 500
TREES = ("site", "area", "feeder", "customer")
ENTRY = "entry"
EVERY = Q(pk__isnull=False)
_BELONGING = ("virtual.set-belonging",)
_WHOLE = itemgetter("whole_id")
_TOLD_BY: Mapping[type[Model], tuple[tuple[str, ...], str, Callable[[dict[str, Any]], int | None]]] = {
    # verbs, what they are done to, and what tells the whole, None: nothing
    Topology: (("registry.set-topology",), "usage-point", itemgetter("parent_id")),
    AreaInArea: (_BELONGING, "area", _WHOLE),
    SiteInArea: (_BELONGING, "site", _WHOLE),
    PointOnFeeder: (_BELONGING, "feeder-point", _WHOLE),
    PointOfCustomer: (_BELONGING, "customer-point", _WHOLE),
    Formula: (
        ("virtual.add-meter", "virtual.set-formula"),
        "usage-point",
        lambda detail: 0 if detail["formula"].strip() else None,
    ),
}


class Sort(IntEnum):
    """What a node's number stands for."""

    SERIES = 0
    TENANT = 1
    SITE = 2
    POINT = 3
    GROUP = 4
    REST = 5  # what belongs to no group of the tree


ROOT = Sort.TENANT << _SORT_BITS
REST = Sort.REST << _SORT_BITS


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Series that are added up; int64 of shape (n,), in order of id. `zone_index` points into `zones`."""

    series_id: Int64s
    point_id: Int64s
    site_id: Int64s
    interval_s: Int64s
    zone_index: Int64s
    zones: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.series_id)


def number_of(sort: Sort, row_id: int) -> int:
    """Return the number of a node."""
    return (sort << _SORT_BITS) + row_id


def sort_of(node: int) -> tuple[Sort, int]:
    """Return what a node's number stands for and the id of its row."""
    return Sort(node >> _SORT_BITS), node & ((1 << _SORT_BITS) - 1)


def key_of(node: int) -> str:
    """Return a node as addresses name it: ``tenant``, ``site-3``, ``group-5``, ``point-7``, ``rest``."""
    sort, row_id = sort_of(node)
    return sort.name.lower() if sort in (Sort.TENANT, Sort.REST) else f"{sort.name.lower()}-{row_id}"


def node_of_key(key: str) -> int:
    """Return the node that an address names.

    :raises WattkeeperError: ``registry.not-found``
    """
    name, _, number = key.partition("-")
    if name.upper() not in Sort.__members__ or (number and not (number.isdecimal() and len(number) < 12)):
        raise WattkeeperError("registry.not-found", kind="node", id=key)
    return number_of(Sort[name.upper()], int(number or 0))


def list_leaves(tenant_id: int, node: int, *, kinds: Sequence[str], quantity: str) -> Leaves:
    """Return the series of one quantity at usage points of some kinds: all that may lie in a node."""
    rows = Series.objects.filter(tenant_id=tenant_id, usage_point__kind__in=kinds, quantity=quantity)
    sort, row_id = sort_of(node)
    if sort is Sort.SITE:
        rows = rows.filter(usage_point__site_id=row_id)
    names = ("id", "usage_point_id", "usage_point__site_id", "interval_s")
    table = np.array(list(rows.order_by("id").values_list(*names)), dtype=np.int64).reshape(-1, 4).T.copy()
    zone_of = dict(Site.objects.filter(tenant_id=tenant_id).values_list("id", "time_zone"))
    zones = tuple(sorted(set(zone_of.values())))
    sites, place = np.unique(table[2], return_inverse=True)
    index = np.array([zones.index(zone_of[site]) for site in sites.tolist()], dtype=np.int64)
    zone_index = index[place] if len(index) else place.astype(np.int64)
    return Leaves(table[0], table[1], table[2], table[3], zone_index, zones)


def list_links(
    tenant_id: int, tree: str, leaves: Leaves, *, from_s: int, as_of: datetime | None = None
) -> Links:
    """Return the links of a tree from series up to the tenant, as they hold at `from_s` and after.

    `as_of` an instant: those that had been recorded by then.

    :raises WattkeeperError: ``registry.not-found`` for no such tree
    """
    if tree not in (*TREES, ENTRY):
        raise WattkeeperError("registry.not-found", kind="tree", id=tree)
    points = _numbers(Sort.POINT, leaves.point_id)
    series_in_points = Links.always(leaves.series_id, points)
    if tree == "feeder":
        return series_in_points.plus(_by_feeder(tenant_id, points, from_s, as_of))
    if tree == "customer":
        return series_in_points.plus(_by_customer(tenant_id, points, from_s, as_of))
    unique_points, first = np.unique(points, return_index=True)
    in_sites = Links.always(unique_points, _numbers(Sort.SITE, leaves.site_id[first]))
    sites = np.unique(in_sites.whole)
    if tree == ENTRY:
        of_leaves = _at_one_site(leaves, "child") | Q(child__kind=UsagePoint.Kind.VIRTUAL)
        fed = past(_by_topology(tenant_id, from_s, as_of, of_leaves), _virtual_points(tenant_id))
        in_sites = within_gaps(fed, in_sites)
    if tree in ("site", ENTRY):
        return series_in_points.plus(in_sites, Links.always(sites, np.full(len(sites), ROOT)))
    return series_in_points.plus(in_sites, _by_area(tenant_id, sites, from_s, as_of))


def list_installed(
    tenant_id: int, leaves: Leaves, *, from_s: int, as_of: datetime | None = None
) -> tuple[Links, Int64s]:
    """Return the times, from `from_s` on, in which series are measured or made by a formula; their grids.

    `as_of` an instant: those that had been recorded by then.
    """
    only = _at_one_site(leaves, "usage_point")
    made = _linked(Formula, tenant_id, from_s, as_of, ("usage_point_id", "tenant_id"), only)
    spans = _installed(tenant_id, from_s, as_of, only).plus(made)
    order = np.argsort(leaves.point_id, kind="stable")
    ordered = leaves.point_id[order]
    place = np.minimum(np.searchsorted(ordered, spans.part), max(len(ordered) - 1, 0))
    is_own = ordered[place] == spans.part if len(ordered) else np.zeros(len(spans), dtype=np.bool_)
    own, series = spans.where(is_own), order[place[is_own]]
    return Links(leaves.series_id[series], own.whole, own.from_s, own.to_s), leaves.interval_s[series]


def names_of(tenant_id: int, nodes: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return the code and name of nodes of the tenant; one that is another's has none."""
    ids: dict[Sort, list[int]] = {}
    for node in nodes:
        sort, row_id = sort_of(node)
        ids.setdefault(sort, []).append(row_id)
    found: dict[int, tuple[str, str]] = {}
    models: Mapping[Sort, type[Model]] = {Sort.SITE: Site, Sort.POINT: UsagePoint, Sort.GROUP: Node}
    for sort, model in models.items():
        rows: Any = model._default_manager.filter(tenant_id=tenant_id, id__in=ids.get(sort, []))
        found |= {number_of(sort, row.id): (row.code, row.name) for row in rows}
    series = Series.objects.filter(tenant_id=tenant_id, id__in=ids.get(Sort.SERIES, []))
    found |= {
        row.id: (row.usage_point.code, row.usage_point.name) for row in series.select_related("usage_point")
    }
    return found


def _by_feeder(tenant_id: int, points: Int64s, from_s: int, as_of: datetime | None) -> Links:
    topology = _by_topology(tenant_id, from_s, as_of)
    hung = _between(_linked(PointOnFeeder, tenant_id, from_s, as_of), Sort.POINT, Sort.GROUP)
    feeders = within_gaps(topology, hung)
    held = topology.plus(feeders)
    parts = np.unique(np.concatenate((points, topology.part, topology.whole)))
    groups = np.unique(feeders.whole)
    return fill_gaps(held, parts, ROOT).plus(Links.always(groups, np.full(len(groups), ROOT)))


def _by_topology(tenant_id: int, from_s: int, as_of: datetime | None, only: Q = EVERY) -> Links:
    fed = _linked(Topology, tenant_id, from_s, as_of, ("child_id", "parent_id"), only)
    return _between(fed, Sort.POINT, Sort.POINT)


def _at_one_site(leaves: Leaves, point: str) -> Q:
    """Which rows are of points at the leaves' site, where they have but one; else all are."""
    sites = np.unique(leaves.site_id).tolist()
    return Q(**{f"{point}__site_id": sites[0]}) if len(sites) == 1 else EVERY


def _virtual_points(tenant_id: int) -> Int64s:
    own = UsagePoint.objects.filter(tenant_id=tenant_id, kind=UsagePoint.Kind.VIRTUAL)
    return _numbers(Sort.POINT, np.array(list(own.values_list("id", flat=True)), dtype=np.int64))


def _by_customer(tenant_id: int, points: Int64s, from_s: int, as_of: datetime | None) -> Links:
    held = _between(_linked(PointOfCustomer, tenant_id, from_s, as_of), Sort.POINT, Sort.GROUP)
    tops = np.append(np.unique(held.whole), REST)
    own = fill_gaps(held.where(np.isin(held.part, points)), np.unique(points), REST)
    return own.plus(Links.always(tops, np.full(len(tops), ROOT)))


def _by_area(tenant_id: int, sites: Int64s, from_s: int, as_of: datetime | None) -> Links:
    site_links = _between(_linked(SiteInArea, tenant_id, from_s, as_of), Sort.SITE, Sort.GROUP)
    area_links = _between(_linked(AreaInArea, tenant_id, from_s, as_of), Sort.GROUP, Sort.GROUP)
    areas = np.unique(np.concatenate((site_links.whole, area_links.part, area_links.whole)))
    own = fill_gaps(site_links.where(np.isin(site_links.part, sites)), sites, ROOT)
    return own.plus(fill_gaps(area_links, areas, ROOT))


def _installed(tenant_id: int, from_s: int, as_of: datetime | None, only: Q) -> Links:
    """Return usage points and the ids of installations at them as of an instant."""
    names = ("usage_point_id", "id")
    if as_of is None:
        return _dated(Installation, tenant_id, from_s, names, only)
    otherwise = told_otherwise(tenant_id, as_of)
    links = _dated(Installation, tenant_id, from_s, names, only & Q(recorded_at__lte=as_of))
    then = Links.of(
        [
            (row.installation.usage_point_id, own_id, _seconds(row.starts_at), _open(row.ends_at))
            for own_id, row in otherwise.items()
        ]
    )
    return links.where(~np.isin(links.whole, list(otherwise))).plus(then)


def _linked(
    model: type[Model],
    tenant_id: int,
    from_s: int,
    as_of: datetime | None,
    names: tuple[str, str] = ("part_id", "whole_id"),
    only: Q = EVERY,
) -> Links:
    """Return dated links as of an instant: of parts of which more was told since, what the audit chain says
    of them up to then.
    """
    links = _dated(model, tenant_id, from_s, names, only)
    if as_of is None:
        return links
    verbs, kind, whole_in = _TOLD_BY[model]
    told = AuditRecord.objects.filter(owned_by("tenant_id", tenant_id), verb__in=verbs)
    later = told.filter(recorded_at__gt=as_of, subject__startswith=f"{kind}:")
    since = sorted(set(later.values_list("subject", flat=True)))
    rows = [
        row
        for first in range(0, len(since), _SUBJECTS_AT_ONCE)
        for row in told.filter(subject__in=since[first : first + _SUBJECTS_AT_ONCE]).values_list(
            "sequence", "recorded_at", "subject", "detail"
        )
    ]
    then = links_told(
        (_id_in(subject), whole_in(detail), _seconds(_told_from(detail, recorded_at)))
        for _, recorded_at, subject, detail in sorted(rows, key=itemgetter(0))
        if recorded_at <= as_of
    )
    return links.where(~np.isin(links.part, [_id_in(subject) for subject in since])).plus(then)


def _told_from(detail: Mapping[str, Any], recorded_at: datetime) -> datetime:
    """Return from when on something is told to be; of a first formula releases before did not say it."""
    return datetime.fromisoformat(detail["at"]) if "at" in detail else recorded_at


def _id_in(subject: str) -> int:
    return int(subject.partition(":")[2])


def _dated(model: type[Model], tenant_id: int, from_s: int, names: tuple[str, str], only: Q = EVERY) -> Links:
    """Return dated facts that hold at `from_s` or after; of those of long standing no dates are read."""
    since = from_seconds(from_s)
    own = model._default_manager.filter(only, tenant_id=tenant_id)
    steady = own.filter(starts_at__lte=since, ends_at__isnull=True).values_list(*names)
    later = own.filter(Q(starts_at__gt=since, ends_at__isnull=True) | Q(ends_at__gt=since))
    table = np.array(list(steady), dtype=np.int64).reshape(-1, 2)
    rows = later.values_list(*names, "starts_at", "ends_at")
    dated = Links.of(
        [(part, whole, _seconds(starts_at), _open(ends_at)) for part, whole, starts_at, ends_at in rows]
    )
    return Links.always(table[:, 0], table[:, 1]).plus(dated)


def _between(links: Links, part: Sort, whole: Sort) -> Links:
    """Return links between rows as links between nodes."""
    return Links(_numbers(part, links.part), _numbers(whole, links.whole), links.from_s, links.to_s)


def _numbers(sort: Sort, ids: Int64s) -> Int64s:
    return ids + (int(sort) << _SORT_BITS)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _open(instant: datetime | None) -> int:
    return OPEN_S if instant is None else int(instant.timestamp())
