"""Facts of thousands of series in a handful of statements, for those that one register has long measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.data.registry.models import Multiplier, Series, Site
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE, step_milliwh

CHUNK_COUNT = 4000
SPARSE_MAX = 2  # so many times as many ids as were asked for are read along where they lie close together
_INSTALLATION = "usage_point__installations"
_CHANNEL = f"{_INSTALLATION}__meter__channels"
_COLUMNS = (
    "id",
    "usage_point_id",
    f"{_INSTALLATION}__meter_id",
    f"{_CHANNEL}__id",
    "interval_s",
    "usage_point__site_id",
    "usage_point__power_max_w",
    f"{_CHANNEL}__register_digits",
    f"{_CHANNEL}__step_numerator",
    f"{_CHANNEL}__step_denominator",
    f"{_CHANNEL}__reading_type",
)

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PlainRows:
    """Series and the register that has measured each since an instant, with one multiplier; in order of id.

    Integers of shape (series,). One count is ``numerator / denominator`` primary milliwatt-hours;
    `register_modulus` is 0 for a register that never starts again; `zone_index` points into `time_zones`.
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
    time_zones: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.series_id)


def get_plain_rows(series_id: Int64s, *, since: datetime) -> PlainRows:
    """Return the series that one cumulative channel has measured since `since` without any change of facts.

    A channel of another kind for the same quantity, pulses (whose meter's constant must be read), an
    installation or a multiplier that began or ended since, numbers beyond 62 bits: such series are left out.
    """
    rising = np.unique(series_id)
    chunks = [rising[start : start + CHUNK_COUNT] for start in range(0, len(rising), CHUNK_COUNT)]
    tables = [_plain_table(chunk, since) for chunk in chunks]
    table = np.concatenate([np.zeros((0, 10), dtype=np.int64), *tables])
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


def _plain_table(ids: Int64s, since: datetime) -> Int64s:
    rows = _long_measured(ids, since)
    ratios = _ratios(ids, since)
    kinds: dict[tuple[Any, ...], int] = {}
    kind_of = [kinds.setdefault((*row[7:], ratios.get(row[1], (1, 1))), len(kinds)) for row in rows]
    rates = np.array([_rate(*kind) for kind in kinds], dtype=np.int64).reshape(-1, 3)
    own = np.array([row[:7] for row in rows], dtype=np.int64).reshape(-1, 7)
    found = np.concatenate((own, rates[np.array(kind_of, dtype=np.intp)]), axis=1)
    found = found[np.argsort(found[:, 0], kind="stable")]
    is_alone = np.isin(found[:, 0], ids)  # a range may hold others too
    is_again = found[1:, 0] == found[:-1, 0]
    is_alone[1:] &= ~is_again
    is_alone[:-1] &= ~is_again
    otherwise = _measured_otherwise(ids, since)
    return found[is_alone & (found[:, -1] > 0) & ~np.isin(found[:, 0], otherwise)]


def _rate(
    digits: int | None,
    numerator: int,
    denominator: int,
    reading_type: str,
    ratio: tuple[int, int] | None,
) -> tuple[int, int, int]:
    """Return modulus, numerator and denominator; the last is 0 where they are not known or too large."""
    if ratio is None or (digits or 0) > 18:
        return 0, 0, 0
    rate = step_milliwh(reading_type, Fraction(numerator, denominator), None) * Fraction(*ratio)
    if max(rate.numerator, rate.denominator) >= 2**62:
        return 0, 0, 0
    return 0 if digits is None else 10**digits, rate.numerator, rate.denominator


def _long_measured(ids: Int64s, since: datetime) -> Sequence[tuple[Any, ...]]:
    """Return series and register for meters that have been where they are since before `since`."""
    own = among("id", ids) & _same_quantity(_register_types())
    own &= Q(**{f"{_INSTALLATION}__starts_at__lte": since, f"{_INSTALLATION}__ends_at__isnull": True})
    return list(Series.objects.filter(own).values_list(*_COLUMNS))


def _measured_otherwise(ids: Int64s, since: datetime) -> list[int]:
    """Return the series with an installation that changed since, or with a channel of another kind."""
    changed = Q(**{f"{_INSTALLATION}__starts_at__gt": since}) | Q(**{f"{_INSTALLATION}__ends_at__gt": since})
    others = [code for code in QUANTITY_OF_READING_TYPE if code not in _register_types()]
    own = among("id", ids)
    return [
        *Series.objects.filter(own & changed).values_list("id", flat=True),
        *Series.objects.filter(own & _same_quantity(others)).values_list("id", flat=True),
    ]


def _ratios(ids: Int64s, since: datetime) -> Mapping[int, tuple[int, int] | None]:
    """Return the multiplier of usage points that have any, None where it changed since."""
    ratios: dict[int, tuple[int, int] | None] = {}
    facts = Multiplier.objects.filter(among("usage_point__series__id", ids)).exclude(ends_at__lte=since)
    for usage_point_id, numerator, denominator, starts_at, ends_at in facts.values_list(
        "usage_point_id", "numerator", "denominator", "starts_at", "ends_at"
    ).distinct():
        is_steady = starts_at <= since and ends_at is None
        ratios[usage_point_id] = (numerator, denominator) if is_steady else None
    return ratios


def _register_types() -> list[str]:
    return [
        code
        for code in QUANTITY_OF_READING_TYPE
        if READING_TYPES[code].kind is Kind.CUMULATIVE and READING_TYPES[code].unit != "imp"
    ]


def _same_quantity(reading_types: Sequence[str]) -> Q:
    same = Q()
    for quantity in sorted(set(QUANTITY_OF_READING_TYPE.values())):
        types = [code for code in reading_types if QUANTITY_OF_READING_TYPE[code] == quantity]
        if types:
            same |= Q(**{"quantity": quantity, f"{_CHANNEL}__reading_type__in": types})
    return same
