"""Meters whose channels say more than energy: rates, voltages, currents, power; where they are installed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db.models import Q

from wattkeeper.data.registry.models import Channel, Installation, Multiplier, Series
from wattkeeper.data.registry.quantities import QUANTITY_OF_RATE

CHUNK_COUNT = 200
TOTAL = "energy_import_register_kwh"
RATES = tuple(QUANTITY_OF_RATE)
VOLTAGES = tuple(f"voltage_l{phase}_v" for phase in range(1, 4))
CURRENTS = tuple(f"current_l{phase}_a" for phase in range(1, 4))
POWER = "power_import_w"
TELLING = (*RATES, *VOLTAGES, *CURRENTS, POWER)
EXPORTS = ("energy_export_register_kwh", "energy_export_interval_kwh")
_PLACE = ("usage_point__site__time_zone", "usage_point__power_max_w")


@dataclass(frozen=True, slots=True)
class InstantChannel:
    """A channel; `modulus` in counts, 0 where its register never starts again.

    `shown_count`: by how many counts its reads move at least.
    """

    channel_id: int
    step: Fraction
    modulus: int
    shown_count: int


@dataclass(frozen=True, slots=True)
class InstantMeter:
    """A meter where it was installed last, with the channels it has by reading type.

    `series_ids`: of its usage point, rising. `multiplier`: the one recorded last, 1 where there is none.
    """

    meter_id: int
    usage_point_id: int
    series_ids: tuple[int, ...]
    time_zone: str
    power_max_w: int
    multiplier: Fraction
    starts_at: datetime
    ends_at: datetime | None
    channels: Mapping[str, InstantChannel]
    is_exporting: bool


def iter_instant_meters(tenant_id: int, *, since: datetime) -> Iterator[list[InstantMeter]]:
    """Yield the meters of a tenant that were installed since an instant and tell more than energy, some
    hundreds at a time."""
    telling = Channel.objects.filter(tenant_id=tenant_id, has_reads=True, reading_type__in=TELLING)
    last_id = 0
    while True:
        ids = list(
            telling.filter(meter_id__gt=last_id)
            .order_by("meter_id")
            .values_list("meter_id", flat=True)
            .distinct()[:CHUNK_COUNT]
        )
        if not ids:
            return
        yield _load(ids, since)
        last_id = ids[-1]


def _load(meter_ids: Sequence[int], since: datetime) -> list[InstantMeter]:
    channels: dict[int, dict[str, InstantChannel]] = defaultdict(dict)
    exporting = set()
    for row in Channel.objects.filter(meter_id__in=meter_ids, reading_type__in=(TOTAL, *TELLING, *EXPORTS)):
        if row.reading_type in EXPORTS:
            exporting.add(row.meter_id)
        else:
            step = Fraction(row.step_numerator, row.step_denominator)
            modulus = 0 if row.register_digits is None else 10**row.register_digits
            channels[row.meter_id][row.reading_type] = InstantChannel(row.id, step, modulus, row.least_count)
    installed = (
        Installation.objects.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=since), meter_id__in=meter_ids)
        .order_by("starts_at")
        .values_list("meter_id", "usage_point_id", "starts_at", "ends_at", *_PLACE)
    )
    latest = {row[0]: row for row in installed}
    point_ids = {row[1] for row in latest.values()}
    recorded = Multiplier.objects.filter(usage_point_id__in=point_ids).order_by("starts_at")
    multipliers = {row.usage_point_id: Fraction(row.numerator, row.denominator) for row in recorded}
    series: dict[int, list[int]] = defaultdict(list)
    for own in Series.objects.filter(usage_point_id__in=point_ids).order_by("id"):
        series[own.usage_point_id].append(own.id)
    return [
        InstantMeter(
            meter_id=meter_id,
            usage_point_id=point_id,
            series_ids=tuple(series[point_id]),
            time_zone=zone,
            power_max_w=power_max_w,
            multiplier=multipliers.get(point_id, Fraction(1)),
            starts_at=starts_at,
            ends_at=ends_at,
            channels=channels[meter_id],
            is_exporting=meter_id in exporting,
        )
        for meter_id, point_id, starts_at, ends_at, zone, power_max_w in latest.values()
    ]
