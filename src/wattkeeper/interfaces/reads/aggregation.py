"""Energy of a node of a tree and of its direct parts, by hours, days or months, with what is missing of it.

Days and months come from the roll-ups; a month or day that a change of topology cuts is split into days or
single intervals, so that each interval counts where it belonged. Days and months are those of each series'
own zone. Hours are the same instants for all of them, from the midnight of the node's first zone on; where
that zone changes its clock by half an hour, the last one is as short.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import COUNTED, DAY, FIGURES, MONTH, RollUpRows, day_bounds
from wattkeeper.core.registry.aggregation import (
    Links,
    count_due,
    find_members,
    place_rows,
    sum_parts,
)
from wattkeeper.data.virtual.nodes import Leaves, list_installed, list_leaves, list_links
from wattkeeper.interfaces.reads.versions import run_as_of
from wattkeeper.store.api import Measurements, ReadingStore

GRAINS = ("hour", "day", "month")
PERIODS_MAX_COUNT = 400
HOURS_MAX_DAYS = 7
HOUR_S = 3600
FIRST_DATE, END_DATE = date(1970, 1, 2), date(2105, 12, 31)  # in every zone within what can be stored
CUSTOMERS = ("CUSTOMER",)


@dataclass(frozen=True, slots=True)
class Question:
    """What to add up: local dates ``[first_date, end_date)``, `kinds` of usage points, one quantity.

    By `grain` month each month that they touch is added up as a whole.
    """

    tree: str
    node: int
    grain: str
    first_date: date
    end_date: date
    kinds: tuple[str, ...] = CUSTOMERS
    quantity: str = "energy_import"


@dataclass(frozen=True, eq=False)
class Sums:
    """Figures of parts and periods; int64 of shape (parts, periods), `figures` (figures, parts, periods).

    `due_count`: intervals that are over and for which a meter was installed; what of them is in no count of
    `figures` is missing. A period is a local date, or the local time of an hour in the node's first zone.
    """

    parts: tuple[int, ...]
    periods: tuple[date | datetime, ...]
    figures: Int64s
    due_count: Int64s

    @property
    def energy_milliwh(self) -> Int64s:
        """Energy of what is known."""
        found: Int64s = self.figures[0]
        return found

    @cached_property
    def known_count(self) -> Int64s:
        """How many intervals hold a value."""
        found: Int64s = self.figures[1:].sum(axis=0)
        return found

    @cached_property
    def missing_count(self) -> Int64s:
        """How many intervals that are due hold none."""
        found: Int64s = np.maximum(self.due_count - self.known_count, 0)
        return found

    @cached_property
    def estimated_count(self) -> Int64s:
        """How many intervals hold an estimate or a projection."""
        names = FIGURES[1:]
        found: Int64s = self.figures[1 + names.index("estimated_count")].copy()
        found += self.figures[1 + names.index("projected_count")]
        return found


def day_after(day: date) -> date:
    """Return the following day; of the last one that there is, that one: it is refused later."""
    return day + timedelta(days=day < date.max)


def add_up(
    store: ReadingStore, *, tenant_id: int, question: Question, now: datetime, as_of: datetime | None = None
) -> Sums:
    """
    Return the figures of a node's direct parts, by period; the node itself is their sum.

    `as_of` an instant: of the values that were known then, where what belonged where, and which meter was
    where, is as it was recorded then, and due is what was over by then.

    :raises WattkeeperError: ``aggregation.span`` for none or too many periods, or such as no reading
        can be of; ``registry.not-found``, ``registry.instant-naive``
    """
    _check(question)
    run_id = run_as_of(tenant_id=tenant_id, at=as_of)
    leaves = list_leaves(tenant_id, question.node, kinds=question.kinds, quantity=question.quantity)
    zones = [_Zone(question, ZoneInfo(zone), index) for index, zone in enumerate(leaves.zones)]
    from_s = min((int(zone.bounds_s[0]) for zone in zones), default=0)
    links = list_links(tenant_id, question.tree, leaves, from_s=from_s, as_of=as_of)
    installed = list_installed(tenant_id, leaves, from_s=from_s, as_of=as_of)
    now_s = to_seconds(min(now, as_of or now).replace(microsecond=0))
    asked = [
        _Sum(store, tenant_id, zone, leaves.zone_index == zone.index, leaves, links, installed, now_s, run_id)
        for zone in zones
    ]
    asked = [each for each in asked if len(each.parts)]
    if question.grain == "hour" and len(asked) > 1:
        everywhere = np.ones(len(leaves), dtype=np.bool_)
        asked = [_Sum(store, tenant_id, asked[0].zone, everywhere, leaves, links, installed, now_s, run_id)]
    starts = (asked[0].zone if asked else _Zone(question, ZoneInfo("UTC"), 0)).starts
    return _joined(asked, starts)


def _joined(asked: "Sequence[_Sum]", starts: tuple[date | datetime, ...]) -> Sums:
    parts = np.unique(np.concatenate([each.parts for each in asked] or [np.zeros(0, np.int64)]))
    figures = np.zeros((len(FIGURES), len(parts), len(starts)), dtype=np.int64)
    due = np.zeros((len(parts), len(starts)), dtype=np.int64)
    for each in asked:
        place = np.searchsorted(parts, each.parts)
        figures[:, place] += each.figures()
        due[place] += each.due()
    return Sums(tuple(parts.tolist()), starts, figures, due)


def _check(question: Question) -> None:
    days_count = (question.end_date - question.first_date).days
    limit = HOURS_MAX_DAYS if question.grain == "hour" else PERIODS_MAX_COUNT
    if question.grain == "month":
        limit *= 30
    is_kept = question.first_date >= FIRST_DATE and question.end_date <= END_DATE
    if question.grain not in GRAINS or not 0 < days_count <= limit or not is_kept:
        raise WattkeeperError("aggregation.span", limit_days=limit)


class _Zone:
    """The periods of a question in one time zone."""

    def __init__(self, question: Question, zone: ZoneInfo, index: int) -> None:
        self.question, self.zone, self.index = question, zone, index
        self.bounds_s = np.array(list(self._bounds()), dtype=np.int64)

    @property
    def starts(self) -> tuple[date | datetime, ...]:
        """What each period is called: a local date, or the local time of an hour."""
        local = [from_seconds(at_s).astimezone(self.zone) for at_s in self.bounds_s[:-1].tolist()]
        return tuple(local) if self.question.grain == "hour" else tuple(at.date() for at in local)

    def _bounds(self) -> Iterator[int]:
        first, end = self.question.first_date, self.question.end_date
        if self.question.grain == "hour":
            yield from range(self._at(first), self._at(end), HOUR_S)
            yield self._at(end)
            return
        day = first.replace(day=1) if self.question.grain == "month" else first
        while day < end:
            yield self._at(day)
            step = day + timedelta(days=32 if self.question.grain == "month" else 1)
            day = step.replace(day=1) if self.question.grain == "month" else step
        yield self._at(day)

    def _at(self, day: date) -> int:
        return to_seconds(local_midnight(day, self.zone))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Figures of leaves over spans, shape (n,) and (figures, n)."""

    leaf: Int64s
    from_s: Int64s
    to_s: Int64s
    figures: Int64s

    def where(self, chosen: NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.leaf[chosen], self.from_s[chosen], self.to_s[chosen], self.figures[:, chosen])


class _Sum:
    """The figures of some leaves, by the periods of one zone."""

    def __init__(
        self,
        store: ReadingStore,
        tenant_id: int,
        zone: _Zone,
        own: NDArray[np.bool_],
        leaves: Leaves,
        links: Links,
        installed: tuple[Links, Int64s],
        now_s: int,
        run_id: int | None,
    ) -> None:
        self._store, self._tenant_id, self.zone, self._now_s = store, tenant_id, zone, now_s
        self._run_id = run_id
        self._installed = installed
        span = int(zone.bounds_s[0]), int(zone.bounds_s[-1])
        self._members = find_members(links, leaves.series_id[own], *span).of_node(zone.question.node)
        self.parts = np.unique(self._members.via)

    def due(self) -> Int64s:
        """Return how many intervals are due."""
        links, interval_s = self._installed
        is_own = np.isin(links.part, self._members.leaf)
        return count_due(
            self._members,
            links.where(is_own),
            interval_s[is_own],
            self.zone.bounds_s,
            self.parts,
            self._now_s,
        )

    def figures(self) -> Int64s:
        """Return the sums of what is stored."""
        leaves = np.unique(self._members.leaf)
        found = np.zeros((len(FIGURES), len(self.parts), len(self.zone.bounds_s) - 1), dtype=np.int64)
        if not len(leaves):
            return found
        grain = self.zone.question.grain
        cut = self._whole(found, self._first_rows(grain, leaves))
        if grain == "month" and len(cut.leaf):
            cut = self._whole(found, self._days(np.unique(cut.leaf), _spans(cut), cut))
        if grain != "hour" and len(cut.leaf):
            cut = self._whole(found, self._intervals(np.unique(cut.leaf), _spans(cut), cut))
        return found

    def _whole(self, found: Int64s, rows: _Rows) -> _Rows:
        """Add rows that lie in one part as a whole; return the others."""
        place, is_cut = place_rows(self._members, rows.leaf, rows.from_s, rows.to_s)
        kept = rows.where(~is_cut)
        period = np.searchsorted(self.zone.bounds_s, kept.from_s, side="right") - 1
        found += sum_parts(self._members, place[~is_cut], period, kept.figures, self.parts, found.shape[2])
        return rows.where(is_cut)

    def _first_rows(self, grain: str, leaves: Int64s) -> _Rows:
        bounds_s = self.zone.bounds_s
        span = [(int(bounds_s[0]), int(bounds_s[-1]))]
        if grain == "month":
            return _of_roll_ups(self._roll_ups(leaves, [], bounds_s[:-1].tolist()), MONTH, bounds_s)
        if grain == "day":
            return _of_roll_ups(self._roll_ups(leaves, span), DAY, bounds_s)
        return _of_measurements(self._measurements(leaves, span))

    def _days(self, leaves: Int64s, spans: Sequence[tuple[int, int]], cut: _Rows) -> _Rows:
        bounds_s = np.unique(np.concatenate([np.array(day_bounds(*span, self.zone.zone)) for span in spans]))
        rows = _of_roll_ups(self._roll_ups(leaves, spans), DAY, bounds_s)
        return rows.where(_is_inside(rows, cut))

    def _intervals(self, leaves: Int64s, spans: Sequence[tuple[int, int]], cut: _Rows) -> _Rows:
        rows = _of_measurements(self._measurements(leaves, spans))
        return rows.where(_is_inside(rows, cut))

    def _roll_ups(
        self, leaves: Int64s, days: Sequence[tuple[int, int]], months_s: Sequence[int] = ()
    ) -> RollUpRows:
        return self._store.roll_ups(
            self._tenant_id, leaves.tolist(), days, months_s, as_of_run_id=self._run_id
        )

    def _measurements(self, leaves: Int64s, spans: Sequence[tuple[int, int]]) -> list[Measurements]:
        return [
            self._store.measurements(self._tenant_id, leaves.tolist(), *span, as_of_run_id=self._run_id)
            for span in spans
        ]


def _spans(cut: _Rows) -> list[tuple[int, int]]:
    """Return the spans that hold the rows, joined where they touch."""
    found: list[tuple[int, int]] = []
    for from_s, to_s in sorted(set(zip(cut.from_s.tolist(), cut.to_s.tolist(), strict=True))):
        if found and from_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], to_s))
        else:
            found.append((from_s, to_s))
    return found


def _is_inside(rows: _Rows, cut: _Rows) -> NDArray[np.bool_]:
    """Which rows lie in one of the rows that were cut, of the same leaf."""
    order = np.lexsort((cut.from_s, cut.leaf))
    keys = (cut.leaf[order] << 34) + cut.from_s[order]
    place = np.searchsorted(keys, (rows.leaf << 34) + rows.from_s, side="right") - 1
    known = np.maximum(place, 0)
    found: NDArray[np.bool_] = (
        (place >= 0) & (cut.leaf[order][known] == rows.leaf) & (rows.from_s < cut.to_s[order][known])
    )
    return found


def _of_roll_ups(rows: RollUpRows, grain: int, bounds_s: Int64s) -> _Rows:
    """Return the rows of one grain; one ends where the next period begins."""
    own = rows.take(rows.grain == grain)
    own = own.take(np.isin(own.starts_at_s, bounds_s[:-1]))
    ends_s = bounds_s[np.searchsorted(bounds_s, own.starts_at_s) + 1] if len(own) else own.starts_at_s
    figures = np.stack([getattr(own, name) for name in FIGURES])
    return _Rows(own.series_id, own.starts_at_s, ends_s, figures)


def _of_measurements(parts: Sequence[Measurements]) -> _Rows:
    series_id, starts_at_s, value, provenance = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("series_id", "starts_at_s", "value_milliwh", "provenance")
    )
    is_there = provenance != Provenance.MISSING
    figures = np.stack(
        [np.where(is_there, value, 0), *((provenance == each).astype(np.int64) for each in COUNTED)]
    )
    return _Rows(series_id, starts_at_s, starts_at_s + 1, figures)
