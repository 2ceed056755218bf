"""What measured each series, as `core.registry` wants it: installations with their multipliers and steps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.core.registry.installations import (
    ChannelInstallation,
    MultiplierPeriod,
    RegisterReset,
    ToldRatio,
)
from wattkeeper.core.registry.topology import TopologyLink
from wattkeeper.data.registry.models import Channel, Installation, Multiplier, Series, Topology
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE, step_milliwh
from wattkeeper.data.registry.resets import get_resets
from wattkeeper.data.registry.told import get_told_ratios

_PROFILE_TYPES = tuple(code for code in QUANTITY_OF_READING_TYPE if READING_TYPES[code].kind is Kind.INTERVAL)


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """All that is known of how one series is measured.

    `registers`: cumulative channels (dials and pulses), `intervals`: channels whose reads are energy of
    intervals; both in order of time. Where no multiplier was recorded it is 1.
    """

    series_id: int
    tenant_id: int
    usage_point_id: int
    site_id: int
    quantity: str
    interval_s: int
    time_zone: str
    power_max_w: int
    registers: tuple[ChannelInstallation, ...]
    intervals: tuple[ChannelInstallation, ...]
    meter_of_channel: Mapping[int, int]

    @property
    def channel_ids(self) -> tuple[int, ...]:
        """Return every channel that ever measured the series, once."""
        return tuple(dict.fromkeys(row.channel_id for row in (*self.registers, *self.intervals)))


def get_series_facts(
    series_ids: Sequence[int], quantity_of: Mapping[str, str] = QUANTITY_OF_READING_TYPE
) -> dict[int, SeriesFacts]:
    """Return the facts of series by id; a handful of statements however many there are.

    `quantity_of`: which quantity channels of which reading types measure; of others nothing is known.
    """
    series = list(Series.objects.filter(id__in=series_ids).select_related("usage_point__site"))
    point_ids = {row.usage_point_id for row in series}
    multipliers: dict[int, list[Multiplier]] = defaultdict(list)
    for fact in Multiplier.objects.filter(usage_point_id__in=point_ids).order_by("starts_at"):
        multipliers[fact.usage_point_id].append(fact)
    installations: dict[int, list[Installation]] = defaultdict(list)
    for row in (
        Installation.objects.filter(usage_point_id__in=point_ids)
        .select_related("meter")
        .order_by("starts_at")
    ):
        installations[row.usage_point_id].append(row)
    channels: dict[tuple[int, str], list[Channel]] = defaultdict(list)  # by meter and quantity
    meter_ids = {row.meter_id for rows in installations.values() for row in rows}
    for channel in Channel.objects.filter(meter_id__in=meter_ids, reading_type__in=quantity_of).order_by(
        "id"
    ):
        channels[channel.meter_id, quantity_of[channel.reading_type]].append(channel)
    told, resets = get_told_ratios(meter_ids), get_resets(meter_ids)
    return {
        row.id: _facts(
            row, installations[row.usage_point_id], multipliers[row.usage_point_id], channels, told, resets
        )
        for row in series
    }


def find_profiled(series_ids: Sequence[int]) -> set[int]:
    """Return the series of which any meter that ever measured them tells the energy of intervals."""
    type_of = "usage_point__installations__meter__channels__reading_type"
    rows = Series.objects.filter(id__in=series_ids, **{f"{type_of}__in": _PROFILE_TYPES})
    return {
        series_id
        for series_id, quantity, reading_type in rows.values_list("id", "quantity", type_of).distinct()
        if QUANTITY_OF_READING_TYPE[reading_type] == quantity
    }


def get_topology(*, tenant_id: int) -> list[TopologyLink]:
    """Return which usage point feeds which, over time."""
    return [
        TopologyLink(row.parent_id, row.child_id, to_seconds(row.starts_at), _seconds(row.ends_at))
        for row in Topology.objects.filter(tenant_id=tenant_id).order_by("id")
    ]


def _facts(
    series: Series,
    installations: Sequence[Installation],
    multipliers: Sequence[Multiplier],
    channels: Mapping[tuple[int, str], Sequence[Channel]],
    told: Mapping[int, Sequence[ToldRatio]],
    resets: Mapping[int, Sequence[RegisterReset]],
) -> SeriesFacts:
    kinds: dict[Kind, list[ChannelInstallation]] = {Kind.CUMULATIVE: [], Kind.INTERVAL: []}
    meter_of_channel: dict[int, int] = {}
    for installation in installations:
        for channel in channels.get((installation.meter_id, series.quantity), ()):
            meter_of_channel[channel.id] = channel.meter_id
            kind = READING_TYPES[channel.reading_type].kind
            own = told.get(channel.meter_id, ()), resets.get(channel.id, ())
            kinds[kind].append(_installed(channel, installation, multipliers, *own))
    point = series.usage_point
    return SeriesFacts(
        series_id=series.id,
        tenant_id=series.tenant_id,
        usage_point_id=point.id,
        site_id=point.site_id,
        quantity=series.quantity,
        interval_s=series.interval_s,
        time_zone=point.site.time_zone,
        power_max_w=point.power_max_w,
        registers=tuple(kinds[Kind.CUMULATIVE]),
        intervals=tuple(kinds[Kind.INTERVAL]),
        meter_of_channel=meter_of_channel,
    )


def _installed(
    channel: Channel,
    installation: Installation,
    multipliers: Sequence[Multiplier],
    told: Sequence[ToldRatio],
    resets: Sequence[RegisterReset],
) -> ChannelInstallation:
    starts_at_s, ends_at_s = to_seconds(installation.starts_at), _seconds(installation.ends_at)
    step = Fraction(channel.step_numerator, channel.step_denominator)
    constant_imp_per_kwh = installation.meter.settings.get("imp_per_kwh")
    return ChannelInstallation(
        channel_id=channel.id,
        starts_at_s=starts_at_s,
        ends_at_s=ends_at_s,
        step_milliwh=step_milliwh(channel.reading_type, step, constant_imp_per_kwh),
        register_modulus=None if channel.register_digits is None else 10**channel.register_digits,
        multipliers=_covering(starts_at_s, ends_at_s, multipliers),
        resets=tuple(
            each
            for each in resets
            if starts_at_s < each.at_s and (ends_at_s is None or each.at_s < ends_at_s)
        ),
        told=tuple(told),
        shown_count=channel.least_count,
    )


def _covering(
    starts_at_s: int, ends_at_s: int | None, facts: Sequence[Multiplier]
) -> tuple[MultiplierPeriod, ...]:
    """Return the recorded multipliers cut to a span, with 1 wherever none was recorded."""
    found: list[MultiplierPeriod] = []
    reached_s = starts_at_s
    for fact in facts:
        from_s = max(to_seconds(fact.starts_at), starts_at_s)
        to_s = _earlier(_seconds(fact.ends_at), ends_at_s)
        if to_s is not None and to_s <= from_s:
            continue
        if ends_at_s is not None and from_s >= ends_at_s:
            break
        if from_s > reached_s:
            found.append(MultiplierPeriod(reached_s, from_s, Fraction(1)))
        found.append(MultiplierPeriod(from_s, to_s, Fraction(fact.numerator, fact.denominator)))
        if to_s is None:
            return tuple(found)
        reached_s = to_s
    if ends_at_s is None or reached_s < ends_at_s:
        found.append(MultiplierPeriod(reached_s, ends_at_s, Fraction(1)))
    return tuple(found)


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else to_seconds(instant)


def _earlier(one_s: int | None, other_s: int | None) -> int | None:
    if one_s is None or other_s is None:
        return one_s if other_s is None else other_s
    return min(one_s, other_s)
