"""Facts of thousands of series in a handful of statements, for those that one register has long measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db.models import Q

from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.data.registry.models import Multiplier, Series
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE, step_milliwh

CHUNK_COUNT = 2000
_POINT = "usage_point"
_INSTALLATION = "usage_point__installations"
_METER = f"{_INSTALLATION}__meter"
_CHANNEL = f"{_METER}__channels"


@dataclass(frozen=True, slots=True)
class PlainRow:
    """A series and the register that has measured it since the instant asked for, with one multiplier.

    One count is `milliwh_per_count` primary milliwatt-hours.
    """

    series_id: int
    usage_point_id: int
    meter_id: int
    channel_id: int
    interval_s: int
    time_zone: str
    power_max_w: int
    register_digits: int | None
    milliwh_per_count: Fraction


def get_plain_rows(series_ids: Sequence[int], *, since: datetime) -> Iterator[PlainRow]:
    """Yield the series that one cumulative channel has measured since `since` without any change of facts.

    A channel of another kind for the same quantity, pulses (whose meter's constant must be read), an
    installation or a multiplier that began or ended since: such series are left out.
    """
    rising = sorted(series_ids)
    for start in range(0, len(rising), CHUNK_COUNT):
        yield from _plain_rows(rising[start : start + CHUNK_COUNT], since)


def _plain_rows(series_ids: list[int], since: datetime) -> Iterator[PlainRow]:
    excluded = _measured_otherwise(series_ids, since)
    ratios = _ratios(series_ids, since)
    rates: dict[tuple[str, int, int, Fraction], Fraction] = {}
    for row in _long_measured(series_ids, since):
        series_id, usage_point_id, meter_id, channel_id, reading_type, *numbers = row
        numerator, denominator, digits, interval_s, time_zone, power_max_w = numbers
        ratio = ratios.get(usage_point_id, Fraction(1))
        if series_id in excluded or ratio is None:
            continue
        kind = (reading_type, numerator, denominator, ratio)
        if kind not in rates:
            rates[kind] = step_milliwh(reading_type, Fraction(numerator, denominator), None) * ratio
        yield PlainRow(
            series_id,
            usage_point_id,
            meter_id,
            channel_id,
            interval_s,
            time_zone,
            power_max_w,
            digits,
            rates[kind],
        )


def _long_measured(series_ids: list[int], since: datetime) -> Iterator[tuple[Any, ...]]:
    """Yield series and register where just one register of a meter installed since before `since` fits."""
    own = Q(id__in=series_ids) & _same_quantity(_register_types())
    own &= Q(**{f"{_INSTALLATION}__starts_at__lte": since, f"{_INSTALLATION}__ends_at__isnull": True})
    seen: dict[int, tuple[Any, ...] | None] = {}
    for row in Series.objects.filter(own).values_list(
        "id",
        "usage_point_id",
        f"{_INSTALLATION}__meter_id",
        f"{_CHANNEL}__id",
        f"{_CHANNEL}__reading_type",
        f"{_CHANNEL}__step_numerator",
        f"{_CHANNEL}__step_denominator",
        f"{_CHANNEL}__register_digits",
        "interval_s",
        f"{_POINT}__site__time_zone",
        f"{_POINT}__power_max_w",
    ):
        seen[row[0]] = None if row[0] in seen else row
    yield from (row for row in seen.values() if row is not None)


def _measured_otherwise(series_ids: list[int], since: datetime) -> set[int]:
    """Return the series with an installation that changed since, or with a channel of another kind."""
    own = Q(id__in=series_ids)
    changed = Q(**{f"{_INSTALLATION}__starts_at__gt": since}) | Q(**{f"{_INSTALLATION}__ends_at__gt": since})
    others = [code for code in QUANTITY_OF_READING_TYPE if code not in _register_types()]
    is_other = _same_quantity(others)
    ids = set(Series.objects.filter(own & changed).values_list("id", flat=True))
    return ids | set(Series.objects.filter(own & is_other).values_list("id", flat=True))


def _ratios(series_ids: list[int], since: datetime) -> dict[int, Fraction | None]:
    """Return the multiplier of usage points that have any, None where it changed since."""
    ratios: dict[int, Fraction | None] = {}
    facts = Multiplier.objects.filter(usage_point__series__id__in=series_ids).exclude(ends_at__lte=since)
    for usage_point_id, numerator, denominator, starts_at, ends_at in facts.values_list(
        "usage_point_id", "numerator", "denominator", "starts_at", "ends_at"
    ).distinct():
        is_steady = starts_at <= since and ends_at is None
        ratios[usage_point_id] = Fraction(numerator, denominator) if is_steady else None
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
