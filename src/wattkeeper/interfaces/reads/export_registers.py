"""Stored reads of registers as what they advanced over a period: what an accumulation file (NEM13) holds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.readings.knots import scale_counts
from wattkeeper.core.readings.positions import Limits
from wattkeeper.core.readings.standing import StandingReads, ends_of, find_standing
from wattkeeper.core.readings.told import read_told
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.data.registry.facts import SeriesFacts, get_series_facts
from wattkeeper.data.registry.models import Channel, Meter
from wattkeeper.data.registry.quantities import QUANTITY_OF_RATE, unit_of
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.nem12_quality import Kind
from wattkeeper.formats.nem13 import Advance, advance_blocks
from wattkeeper.interfaces.reads.export import BASE_UNITS, CHANNELS, find_series
from wattkeeper.store.api import RawReads, ReadingStore
from wattkeeper.store.standing import nearest_standing, standing_reads

_SERIES_AT_ONCE = 200
_DAY_S = 86_400
_CHANNEL_OF_RATE = {code: f"import T{rate}" for rate, code in enumerate(QUANTITY_OF_RATE, 1)}


def export_advances(
    store: ReadingStore,
    losses: LossList,
    *,
    tenant_id: int,
    codes: Sequence[str],
    first: date,
    last: date,
) -> list[IntervalBlock]:
    """Return what registers advanced from the first local day to the last, in primary energy.

    From the read that stands at or before the one midnight to that of the other; a read between them that a
    person or a file told parts it. Registers that count one rate alone are told beside their total. Series
    without a register, registers with one read only, set anew between two or that may have come round once
    more than they show, and suspect reads go to `losses`.

    :raises WattkeeperError: ``registry.not-found`` for a code that is nobody's
    """
    rows = find_series(tenant_id, codes)
    found: list[IntervalBlock] = []
    for start in range(0, len(rows), _SERIES_AT_ONCE):
        part = rows[start : start + _SERIES_AT_ONCE]
        facts = _facts_of([row.id for row in part])
        by_zone: dict[str, list[SeriesFacts]] = defaultdict(list)
        for row in part:
            by_zone[facts[row.id].time_zone].append(facts[row.id])
        codes_of = {row.id: row.usage_point.code for row in part}
        for zone_name, own in by_zone.items():
            zone = ZoneInfo(zone_name)
            span = [to_seconds(local_midnight(day, zone)) for day in (first, last + timedelta(days=1))]
            found += _advances(store, losses, tenant_id, own, codes_of, (span[0], span[1]))
    return found


def _facts_of(series_ids: Sequence[int]) -> dict[int, SeriesFacts]:
    """Return the facts of series, with the registers of rates among the others."""
    rates = get_series_facts(series_ids, QUANTITY_OF_RATE)
    return {
        series_id: replace(
            facts,
            registers=(*facts.registers, *rates[series_id].registers),
            meter_of_channel={**facts.meter_of_channel, **rates[series_id].meter_of_channel},
        )
        for series_id, facts in get_series_facts(series_ids).items()
    }


def _advances(
    store: ReadingStore,
    losses: LossList,
    tenant_id: int,
    series: Sequence[SeriesFacts],
    codes: Mapping[int, str],
    span: tuple[int, int],
) -> list[IntervalBlock]:
    channel_ids = sorted({each.channel_id for facts in series for each in facts.registers})
    reads = _reads(store, tenant_id, channel_ids, span)
    meter_ids = {meter_id for facts in series for meter_id in facts.meter_of_channel.values()}
    serials = dict(Meter.objects.filter(id__in=meter_ids).values_list("id", "serial_number"))
    rated = Channel.objects.filter(id__in=channel_ids, reading_type__in=_CHANNEL_OF_RATE)
    names = {own_id: _CHANNEL_OF_RATE[code] for own_id, code in rated.values_list("id", "reading_type")}
    found = []
    for facts in series:
        limits = Limits(facts.interval_s, facts.power_max_w, register_advance)
        if not facts.registers:
            losses.add("nem13.no-register", 1, usage_point=codes[facts.series_id])
        for installation in facts.registers:
            own = reads.get(installation.channel_id)
            if own is None:
                continue
            standing, suspect_count = find_standing(installation, own, limits)
            places = ends_of(standing, *span)
            joined = [(a, b) for a, b in pairwise(places) if standing.chain[a] == standing.chain[b]]
            pairs = [(a, b) for a, b in joined if standing.doubt[a] == standing.doubt[b]]
            told = {"usage_point": codes[facts.series_id]}
            for code, count in (
                ("nem13.read-kept-back", suspect_count),
                ("nem13.one-read", len(places) == 1),
                ("nem13.reads-apart", max(len(places) - 1, 0) - len(joined)),
                ("nem13.turns-unsure", len(joined) - len(pairs)),
            ):
                if count:
                    losses.add(code, count, **told)
            found += advance_blocks(
                codes[facts.series_id],
                serials[facts.meter_of_channel[installation.channel_id]],
                names.get(installation.channel_id, CHANNELS[facts.quantity]),
                BASE_UNITS[unit_of(facts.quantity)],
                _between(installation, standing, pairs),
                modulus_milli=int((installation.register_modulus or 0) * installation.step_milliwh),
                step_milli=_step_milli(installation),
            )
    return found


def _step_milli(installation: ChannelInstallation) -> int:
    """Return by what a register moves; 0 of one that files make, where they do not tell."""
    step_milliwh = installation.shown_count * installation.step_milliwh
    return int(step_milliwh) if step_milliwh > 1 else 0


def _between(
    installation: ChannelInstallation, reads: StandingReads, pairs: Sequence[tuple[int, int]]
) -> list[Advance]:
    at_s, position = reads.at_s.tolist(), reads.position_milliwh.tolist()
    shown = scale_counts(reads.value, installation.step_milliwh).tolist()
    told = zip(*(column.tolist() for column in read_told(reads.flags)), strict=True)
    qualities = [
        Quality(Provenance(provenance), Flag(flags), Method(method)) for provenance, flags, method in told
    ]
    return [
        Advance(
            at_s[a],
            at_s[b],
            shown[a],
            shown[b],
            position[b] - position[a],
            qualities[a],
            Kind(qualities[b], ""),
        )
        for a, b in pairs
    ]


def _reads(
    store: ReadingStore, tenant_id: int, channel_ids: Sequence[int], span: tuple[int, int]
) -> dict[int, ReadColumns]:
    """Return the reads of a span by channel, and those of the day before it or, without any, the last."""
    from_s, to_s = span
    parts = [standing_reads(store, tenant_id, channel_ids, from_s - _DAY_S, to_s + 1)]
    known_ids = set(parts[0].channel_id[parts[0].measured_at_s <= from_s].tolist())
    silent_ids = [channel_id for channel_id in channel_ids if channel_id not in known_ids]
    before = nearest_standing(store, tenant_id, silent_ids, from_s, before=True)
    for at_s in np.unique(before.measured_at_s).tolist():
        own = before.channel_id[before.measured_at_s == at_s].tolist()
        parts.append(standing_reads(store, tenant_id, own, at_s, at_s + 1))
    return _by_channel(parts)


def _by_channel(parts: Sequence[RawReads]) -> dict[int, ReadColumns]:
    names = ("channel_id", "measured_at_s", "value", "flags", "source")
    channel_id, *columns = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return {
        channel: ReadColumns(*(column[channel_id == channel] for column in columns))
        for channel in np.unique(channel_id).tolist()
    }
