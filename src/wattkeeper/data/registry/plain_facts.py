"""Facts of thousands of series in a handful of statements, for those that one register has long measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

import numpy as np
from django.db.models import Case, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce
from numpy.typing import NDArray

from wattkeeper.core.kernel.kinds import find_kinds
from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.core.kernel.rising import rising
from wattkeeper.core.readings.plain import PlainFacts
from wattkeeper.data.registry.integer_rows import NOTHING, integer_rows
from wattkeeper.data.registry.models import Multiplier, Series, Site
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE, step_milliwh

CHUNK_COUNT = 8192
SPARSE_MAX = 2  # so many times as many ids as were asked for are read along where they lie close together
_INSTALLATION = "usage_point__installations"
_CHANNEL = f"{_INSTALLATION}__meter__channels"
_CUMULATIVE_TYPES = tuple(
    code for code in QUANTITY_OF_READING_TYPE if READING_TYPES[code].kind is Kind.CUMULATIVE
)
_REGISTER_TYPES = tuple(code for code in _CUMULATIVE_TYPES if READING_TYPES[code].unit != "imp")
_OWN = ("id", "usage_point_id", f"{_INSTALLATION}__meter_id", f"{_CHANNEL}__id", "interval_s")
_PLACE = ("usage_point__site_id", "usage_point__power_max_w")
_KIND = ("type_index", "digits", f"{_CHANNEL}__step_numerator", f"{_CHANNEL}__step_denominator", "shown")
_WIDTH = len(_OWN) + len(_PLACE) + len(_KIND)
_RATIO_WIDTH = 4

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PlainRows:
    """Series and the register that has measured each since an instant, with one multiplier; in order of id.

    Integers of shape (series,). One count is ``numerator / denominator`` primary milliwatt-hours;
    `register_modulus` is 0 for a register that never starts again; reads move by `shown_count` counts at
    least; `zone_index` points into `time_zones`.
    """

    series_id: Int64s
    usage_point_id: Int64s
    meter_id: Int64s
    channel_id: Int64s
    interval_s: Int64s
    zone_index: Int64s
    power_max_w: Int64s
    register_modulus: Int64s
    numerator: Int64s
    denominator: Int64s
    shown_count: Int64s
    time_zones: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.series_id)

    @property
    def facts(self) -> PlainFacts:
        """What derivation needs of them."""
        return PlainFacts(
            self.series_id,
            self.channel_id,
            self.numerator,
            self.denominator,
            self.register_modulus,
            self.power_max_w,
            self.shown_count,
        )


def get_plain_rows(series_id: Int64s, *, since: datetime, with_profiles: bool = False) -> PlainRows:
    """Return the series that one cumulative channel has measured since `since` without any change of facts.

    A channel of another kind for the same quantity, pulses (whose meter's constant must be read), an
    installation or a multiplier that began or ended since, numbers beyond 62 bits: such series are left out.
    `with_profiles`: a channel that tells the energy of intervals is none of these.
    """
    types = _CUMULATIVE_TYPES if with_profiles else tuple(QUANTITY_OF_READING_TYPE)
    ids = rising(series_id)
    chunks = [ids[start : start + CHUNK_COUNT] for start in range(0, len(ids), CHUNK_COUNT)]
    tables = [_plain_table(chunk, since, types) for chunk in chunks]
    table = np.concatenate([np.zeros((0, 11), dtype=np.int64), *tables])
    sites, zone_of = np.unique(table[:, 5], return_inverse=True)
    zones = dict(Site.objects.filter(id__in=sites.tolist()).values_list("id", "time_zone"))
    names = tuple(sorted(set(zones.values())))
    table[:, 5] = np.array([names.index(zones[site]) for site in sites.tolist()], dtype=np.int64)[zone_of]
    columns = np.ascontiguousarray(table.T)
    return PlainRows(**dict(zip(PlainRows.__slots__, columns, strict=False)), time_zones=names)


def among(field: str, ids: Int64s) -> Q:
    """Return the condition that a field is one of the rising `ids`, or near them: a range where it may be."""
    least, most = int(ids[0]), int(ids[-1])
    if most - least < SPARSE_MAX * len(ids):
        return Q(**{f"{field}__range": (least, most)})
    return Q(**{f"{field}__in": ids.tolist()})


def _plain_table(ids: Int64s, since: datetime, types: Sequence[str]) -> Int64s:
    """Return the columns of `PlainRows` up to the zones, one row a plain series, in order of id."""
    rows = _measured(ids, since, types)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    is_plain = np.isin(rows[:, 0], ids) & (rows[:, len(_OWN) + len(_PLACE)] != NOTHING)
    is_again = rows[1:, 0] == rows[:-1, 0]
    is_plain[1:] &= ~is_again
    is_plain[:-1] &= ~is_again
    rows = rows[is_plain]
    kinds = np.column_stack((rows[:, len(_OWN) + len(_PLACE) :], _ratios_of(rows[:, 1], ids, since)))
    firsts, kind_of = find_kinds(kinds.T)
    rates = np.array([_rate(*kinds[first].tolist()) for first in firsts], dtype=np.int64).reshape(-1, 4)
    found = np.concatenate((rows[:, : len(_OWN) + len(_PLACE)], rates[kind_of]), axis=1)
    return found[found[:, -1] > 0]


def _rate(
    type_index: int,
    digits: int,
    numerator: int,
    denominator: int,
    shown: int,
    ratio: int,
    ratio_denominator: int,
) -> tuple[int, int, int, int]:
    """Return modulus, numerator, denominator and `shown_count`: 0 where they are not known or too large."""
    if not ratio_denominator or digits > 18:
        return 0, 0, 0, 0
    shown_count = max(shown, 1)
    step = step_milliwh(_REGISTER_TYPES[type_index], Fraction(numerator, denominator), None)
    rate = step * Fraction(ratio, ratio_denominator)
    if max(rate.numerator * shown_count, rate.denominator) >= 2**62:
        return 0, 0, 0, 0
    return 0 if digits == NOTHING else 10**digits, rate.numerator, rate.denominator, shown_count


def _measured(ids: Int64s, since: datetime, types: Sequence[str]) -> Int64s:
    """Return every channel of some types that has measured the series, or one near it, since an instant.

    Its type is `NOTHING` where its installation began or ended since, or where it is no plain register.
    """
    steady = {f"{_INSTALLATION}__starts_at__lte": since, f"{_INSTALLATION}__ends_at__isnull": True}
    indices = [
        When(**steady, **{f"{_CHANNEL}__reading_type": code}, then=Value(index))
        for index, code in enumerate(_REGISTER_TYPES)
    ]
    still = Q(**{f"{_INSTALLATION}__ends_at__isnull": True}) | Q(**{f"{_INSTALLATION}__ends_at__gt": since})
    query = (
        Series.objects.filter(among("id", ids) & _same_quantity(types) & still)
        .annotate(
            type_index=Case(*indices, default=Value(NOTHING), output_field=IntegerField()),
            digits=Coalesce(f"{_CHANNEL}__register_digits", Value(NOTHING)),
            shown=Coalesce(f"{_CHANNEL}__shown_count", Value(0)),
        )
        .values_list(*_OWN, *_PLACE, *_KIND)
    )
    return integer_rows(query, _WIDTH)


def _ratios_of(usage_point_id: Int64s, ids: Int64s, since: datetime) -> Int64s:
    """Return the multiplier of each usage point, shape (points, 2); 0 / 0 where it changed since."""
    ratios = np.ones((len(usage_point_id), 2), dtype=np.int64)
    is_steady = Case(
        When(starts_at__lte=since, ends_at__isnull=True, then=Value(1)),
        default=Value(0),
        output_field=IntegerField(),
    )
    facts = Multiplier.objects.filter(among("usage_point__series__id", ids)).exclude(ends_at__lte=since)
    query = facts.annotate(is_steady=is_steady).values_list(
        "usage_point_id", "numerator", "denominator", "is_steady"
    )
    known = np.unique(integer_rows(query, _RATIO_WIDTH), axis=0)
    if len(known):
        points, first, count = np.unique(known[:, 0], return_index=True, return_counts=True)
        own = known[first, 1:3] * ((count == 1) & (known[first, 3] == 1))[:, np.newaxis]
        place = np.minimum(np.searchsorted(points, usage_point_id), len(points) - 1)
        has_own = points[place] == usage_point_id
        ratios[has_own] = own[place[has_own]]
    return ratios


def _same_quantity(types: Sequence[str]) -> Q:
    same = Q()
    for quantity in sorted(set(QUANTITY_OF_READING_TYPE.values())):
        own = [code for code in types if QUANTITY_OF_READING_TYPE[code] == quantity]
        same |= Q(**{"quantity": quantity, f"{_CHANNEL}__reading_type__in": own})
    return same
