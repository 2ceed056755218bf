"""Days and months against the values, and the values of each meter-day against its registers."""

from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Q

from wattkeeper.actions.operations.verify_scope import Scope, first_at
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import (
    DAY,
    FIGURES,
    MONTH,
    RollUpRows,
    count_expected,
    day_bounds,
    month_bounds,
)
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.store import verify_queries
from wattkeeper.store.day_queries import day_figures
from wattkeeper.store.standing import standing_reads
from wattkeeper.store.verify import Check, instant

_DOUBTFUL = int(Flag.SUSPECT | Flag.CLOCK_INVALID | Flag.CLOCK_ADJUSTED | Flag.POWER_LOST)
_TOLD = ("vee.sum-check", "vee.register-advance", "vee.jump")
_GRAINS = {DAY: "day", MONTH: "month"}
AHEAD_S = 2 * 86_400  # what is measured while it looks is no stray
Key = tuple[int, int, int]


def check_roll_ups(scope: Scope, check: Check) -> None:
    """Every stored day and month is what the current values come to, and has the intervals that it says."""
    for zone, ids, bounds_s in scope.chunks():
        days_s = day_bounds(bounds_s[0], bounds_s[-1], zone)
        days = day_figures(scope.store, scope.tenant_id, ids, days_s)
        span = [(bounds_s[0], bounds_s[-1])]
        rows = scope.store.roll_ups(scope.tenant_id, ids, span, bounds_s[:-1])
        _check_expected(scope, check, zone, rows, {DAY: days_s, MONTH: bounds_s})
        stored = _figures(rows)
        wanted = _figures(days) | _months(days, np.array(bounds_s))
        ends_s = {DAY: dict(pairwise(days_s)), MONTH: dict(pairwise(bounds_s))}
        for key in sorted(wanted.keys() | stored.keys()):
            _, grain, starts_s = key
            to_s = ends_s[grain].get(starts_s, starts_s + 1)
            if not scope.is_away(starts_s, to_s):
                check.examined_count += key in wanted
                _compare(scope, check, zone, key, to_s, wanted.get(key), stored.get(key))
    _check_strays(scope, check)


def _check_strays(scope: Scope, check: Check) -> None:
    """Nothing stands where no question asks, or where nothing was measured yet."""
    if scope.from_s is None:
        return
    for zone, ids in scope.parts():
        bounds_s = month_bounds(scope.from_s, scope.now_s + AHEAD_S, zone)
        query = verify_queries.strays(scope.tenant_id, ids, bounds_s[-1], (DAY, MONTH), bounds_s[:-1])
        rows = scope.store.select(query).to_pylist()
        first_s = first_at(scope.store, scope.tenant_id) if rows else None
        fresh_s = month_bounds(first_s, scope.from_s, zone) if first_s is not None else []
        for row in rows:
            if row["grain"] == MONTH and row["starts_at_s"] in fresh_s:
                continue  # of reads older than all others, which came while this looks
            place = place_of(zone, row["series_id"], row["grain"], row["starts_at_s"])
            check.fault("verify.roll-up-wrong", stored=row["energy_milliwh"], wanted=0, **place)


def _check_expected(
    scope: Scope, check: Check, zone: ZoneInfo, rows: RollUpRows, bounds_s: dict[int, list[int]]
) -> None:
    """The intervals that a period has follow from the calendar alone; of one that counts nothing none do."""
    for grain, starts_s in bounds_s.items():
        bounds = np.array(starts_s, dtype=np.int64)
        counts = np.sum([getattr(rows, name) for name in FIGURES[1:]], axis=0)
        own = rows.take((rows.grain == grain) & (counts > 0) & np.isin(rows.starts_at_s, bounds[:-1]))
        interval_s = np.array([scope.interval_s[id_] for id_ in own.series_id.tolist()], dtype=np.int64)
        period = np.searchsorted(bounds, own.starts_at_s)
        wanted = np.zeros(len(own), dtype=np.int64)
        for each in np.unique(interval_s).tolist():
            is_so = interval_s == each
            wanted[is_so] = count_expected(bounds, each)[period[is_so]]
        for index in np.flatnonzero(own.expected_count != wanted).tolist():
            series_id, at_s = int(own.series_id[index]), int(own.starts_at_s[index])
            place = place_of(zone, series_id, grain, at_s)
            if scope.is_dirty(series_id, at_s, int(bounds[period[index] + 1])):
                scope.wait(check, series_id, place["date"])
                continue
            stored, of = int(own.expected_count[index]), int(wanted[index])
            check.fault("verify.roll-up-expected", stored=stored, wanted=of, **place)


def place_of(zone: ZoneInfo, series_id: int, grain: int, starts_s: int) -> dict[str, Any]:
    """Return what names a day or month of a series."""
    date = from_seconds(starts_s).astimezone(zone).date().isoformat()
    return {"series_id": series_id, "grain": _GRAINS.get(grain, str(grain)), "date": date}


def _compare(
    scope: Scope,
    check: Check,
    zone: ZoneInfo,
    key: Key,
    to_s: int,
    wanted: tuple[int, ...] | None,
    stored: tuple[int, ...] | None,
) -> None:
    if _content(wanted) == _content(stored):
        return
    series_id, grain, starts_s = key
    place = place_of(zone, series_id, grain, starts_s)
    if scope.is_dirty(series_id, starts_s, to_s):
        scope.wait(check, series_id, place["date"])
    elif stored is None:
        check.fault("verify.roll-up-missing", wanted=_content(wanted)[0], **place)
    else:
        check.fault("verify.roll-up-wrong", stored=_content(stored)[0], wanted=_content(wanted)[0], **place)


def _content(figures: tuple[int, ...] | None) -> tuple[int, ...]:
    """What a row says; nothing at all where it counts nothing."""
    return figures if figures is not None and any(figures[1:]) else (0,)


def _figures(rows: RollUpRows) -> dict[Key, tuple[int, ...]]:
    keys = zip(rows.series_id.tolist(), rows.grain.tolist(), rows.starts_at_s.tolist(), strict=True)
    columns = (getattr(rows, name).tolist() for name in FIGURES)
    return dict(zip(keys, zip(*columns, strict=True), strict=True))


def _months(days: RollUpRows, bounds: Int64s) -> dict[Key, tuple[int, ...]]:
    found: dict[Key, list[int]] = {}
    month = bounds[np.searchsorted(bounds, days.starts_at_s, side="right") - 1]
    columns = [getattr(days, name).tolist() for name in FIGURES]
    for series_id, starts_s, *figures in zip(days.series_id.tolist(), month.tolist(), *columns, strict=True):
        held = found.setdefault((series_id, MONTH, starts_s), [0] * len(FIGURES))
        held[:] = [one + other for one, other in zip(held, figures, strict=True)]
    return {key: tuple(figures) for key, figures in found.items()}


def check_balance(scope: Scope, check: Check) -> None:
    """
    The intervals of each meter-day come to the advance of its register, within what that shows, or it is a
    finding.

    Days are examined that have every interval, an undoubted register read at both ends, and one meter with
    one multiplier between.
    """
    for zone, ids, bounds_s in scope.chunks():
        bounds = np.array(day_bounds(bounds_s[0], bounds_s[-1], zone), dtype=np.int64)
        days = _figures(day_figures(scope.store, scope.tenant_id, ids, bounds.tolist()))
        for series_id, facts in get_series_facts(ids).items():
            for installation in facts.registers:
                _balance(scope, check, zone, series_id, installation, bounds, days)


def _balance(
    scope: Scope,
    check: Check,
    zone: ZoneInfo,
    series_id: int,
    installation: ChannelInstallation,
    bounds: Int64s,
    days: dict[Key, tuple[int, ...]],
) -> None:
    found = _registers_at(scope, installation.channel_id, bounds)
    expected = count_expected(bounds, scope.interval_s[series_id])
    for index, (from_s, to_s) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        rate = _rate(installation, from_s, to_s)
        figures = days.get((series_id, DAY, from_s))
        if rate is None or figures is None or from_s not in found or to_s not in found:
            continue
        if sum(figures[1:]) != expected[index]:
            continue
        check.examined_count += 1
        advance = found[to_s] - found[from_s]
        if advance < 0 and installation.register_modulus is not None:
            advance += installation.register_modulus
        resolution = max(rate * installation.shown_count, Fraction(1))
        is_balanced = abs(figures[0] - advance * rate) <= resolution
        if is_balanced or _is_told(scope, series_id, from_s, to_s):
            continue
        check.fault(
            "verify.day-unbalanced",
            series_id=series_id,
            channel_id=installation.channel_id,
            date=from_seconds(from_s).astimezone(zone).date().isoformat(),
            intervals_milliwh=figures[0],
            register_milliwh=round(advance * rate),
        )


def _registers_at(scope: Scope, channel_id: int, bounds: Int64s) -> dict[int, int]:
    """Return what the register showed at each bound: of the best source, where nothing speaks against it."""
    reads = standing_reads(scope.store, scope.tenant_id, [channel_id], int(bounds[0]), int(bounds[-1]) + 1)
    found: dict[int, tuple[int, int]] = {}
    doubted: set[int] = set()
    at = np.flatnonzero(np.isin(reads.measured_at_s, bounds))
    columns = (reads.measured_at_s, reads.source, reads.value, reads.flags)
    for at_s, source, value, flags in zip(*(column[at].tolist() for column in columns), strict=True):
        if flags & _DOUBTFUL or (at_s in found and found[at_s][0] == source and found[at_s][1] != value):
            doubted.add(at_s)
        else:
            found[at_s] = max(found.get(at_s, (0, 0)), (source, value))
    return {at_s: value for at_s, (_, value) in found.items() if at_s not in doubted}


def _rate(installation: ChannelInstallation, from_s: int, to_s: int) -> Fraction | None:
    """Return the energy of one count if one meter with one multiplier measured the whole span, else None."""
    for period in installation.multipliers:
        if period.starts_at_s <= from_s and (period.ends_at_s is None or period.ends_at_s >= to_s):
            return installation.step_milliwh * period.ratio
    return None


def _is_told(scope: Scope, series_id: int, from_s: int, to_s: int) -> bool:
    if scope.is_dirty(series_id, from_s, to_s):
        return True
    return Finding.objects.filter(
        Q(rule__startswith="readings.") | Q(rule__in=_TOLD),
        subject_key=f"series:{series_id}",
        starts_at__lt=instant(to_s),
        ends_at__gt=instant(from_s),
    ).exists()
