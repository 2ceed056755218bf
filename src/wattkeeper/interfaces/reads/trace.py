"""From one interval back to the raw reads at its ends, and from them to the frames as they came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from wattkeeper.core.billing.document import exact_text
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.readings.told import find_corrected, find_withdrawn, is_withdrawal
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.data.registry.facts import SeriesFacts, get_series_facts
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.interfaces.reads.figures import MILLIWH_PER_KWH, counts_text, unit_of
from wattkeeper.interfaces.reads.intervals import IntervalRow, rows_of
from wattkeeper.interfaces.reads.lengths import length_as_of_run_s
from wattkeeper.store.api import RawFrame, RawReads, ReadingStore
from wattkeeper.store.standing import nearest_standing, tellers_of


@dataclass(frozen=True, slots=True)
class TracedRead:
    """A raw read near or at an end of the interval; `frame_hex` empty for one that came in no frame.

    `is_corrected`: a person noted another for that instant later, and that one counts, or withdrew it.
    """

    meter_id: int
    serial_number: str
    reading_type: str
    measured_at: datetime
    text: str
    unit: str
    source_code: int
    is_corrected: bool
    frame_hex: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Advance:
    """How the value follows from two reads: (last - first) x step x multiplier, in kWh."""

    first_text: str
    last_text: str
    multiplier_text: str
    energy_kwh_text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """An interval, what it rests on, and the sum where one meter was read at both ends."""

    interval: IntervalRow
    interval_s: int
    reads: tuple[TracedRead, ...]
    advance: Advance | None


@dataclass(frozen=True, slots=True)
class _Read:
    channel_id: int
    measured_at_s: int
    value_count: int
    source_code: int
    is_corrected: bool
    frame_key: tuple[int, int]


def trace_interval(
    store: ReadingStore, *, series: Series, starts_at_s: int, as_of_run_id: int | None = None
) -> Trace | None:
    """Return an interval with the reads it rests on, None where the series has no value there."""
    interval_s = length_as_of_run_s(store, series, starts_at_s, as_of_run_id)
    ends_at_s = starts_at_s + interval_s
    values = store.measurements(
        series.tenant_id, [series.id], starts_at_s, starts_at_s + 1, as_of_run_id=as_of_run_id
    )
    if not len(values.value_milliwh):
        return None
    facts = get_series_facts([series.id])[series.id]
    installed = [
        row
        for row in (*facts.registers, *facts.intervals)
        if row.starts_at_s <= ends_at_s and (row.ends_at_s is None or row.ends_at_s >= starts_at_s)
    ]
    reads = _reads_at_ends(
        store, series.tenant_id, installed, starts_at_s, ends_at_s, is_named_by_start=not facts.registers
    )
    return Trace(
        interval=rows_of(values)[0],
        interval_s=interval_s,
        reads=_with_frames(store, series.tenant_id, reads),
        advance=_advance(installed, reads, facts, starts_at_s, ends_at_s),
    )


def _reads_at_ends(
    store: ReadingStore,
    tenant_id: int,
    installed: Sequence[ChannelInstallation],
    starts_at_s: int,
    ends_at_s: int,
    *,
    is_named_by_start: bool,
) -> list[_Read]:
    """Return the reads at both ends and at exchanges between; where an end has none, the nearest outside."""
    channel_ids = sorted({row.channel_id for row in installed})
    if not channel_ids:
        return []
    cuts = {at_s for row in installed for at_s in (row.starts_at_s, row.ends_at_s) if at_s is not None}
    ends = {starts_at_s} if is_named_by_start else {starts_at_s, ends_at_s}
    ends |= {at_s for at_s in cuts if starts_at_s < at_s < ends_at_s}
    inside = store.raw_reads(tenant_id, channel_ids, starts_at_s, ends_at_s + 1)
    found = [read for read in _rows(inside) if read.measured_at_s in ends]
    stamps = {read.measured_at_s for read in found if not read.is_corrected}
    if starts_at_s not in stamps:
        found += _nearest(store, tenant_id, channel_ids, starts_at_s, is_before=True)
    if ends_at_s not in stamps and not is_named_by_start:
        found += _nearest(store, tenant_id, channel_ids, ends_at_s, is_before=False)
    return sorted(found, key=lambda read: (read.measured_at_s, read.channel_id, -read.source_code))


def _nearest(
    store: ReadingStore, tenant_id: int, channel_ids: Sequence[int], at_s: int, *, is_before: bool
) -> list[_Read]:
    return _rows(nearest_standing(store, tenant_id, channel_ids, at_s, before=is_before))


def _rows(reads: RawReads) -> list[_Read]:
    told = reads.measured_at_s, reads.flags, tellers_of(reads)
    is_corrected = find_corrected(*told) | find_withdrawn(*told)
    columns = (reads.channel_id, reads.measured_at_s, reads.value, reads.source, is_corrected)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    frames = zip(reads.batch_id.tolist(), reads.frame_index.tolist(), strict=True)
    return [
        _Read(channel_id, at_s, value, source, was_corrected, frame_key)
        for (channel_id, at_s, value, source, was_corrected), frame_key, withdraws in zip(
            rows, frames, is_withdrawal(reads.flags).tolist(), strict=True
        )
        if not withdraws
    ]


def _with_frames(store: ReadingStore, tenant_id: int, reads: Sequence[_Read]) -> tuple[TracedRead, ...]:
    keys = sorted({read.frame_key for read in reads if read.frame_key[1] >= 0})
    frames = store.frames(tenant_id, keys) if keys else {}
    channels = Channel.objects.select_related("meter").in_bulk([read.channel_id for read in reads])
    return tuple(_traced(read, channels[read.channel_id], frames) for read in reads)


def _traced(read: _Read, channel: Channel, frames: Mapping[tuple[int, int], RawFrame]) -> TracedRead:
    frame = frames.get(read.frame_key)
    return TracedRead(
        meter_id=channel.meter_id,
        serial_number=channel.meter.serial_number,
        reading_type=channel.reading_type,
        measured_at=from_seconds(read.measured_at_s),
        text=counts_text(read.value_count, Fraction(channel.step_numerator, channel.step_denominator)),
        unit=unit_of(channel.reading_type),
        source_code=read.source_code,
        is_corrected=read.is_corrected,
        frame_hex=frame.content.hex(" ").upper() if frame else "",
        received_at=from_seconds(frame.received_at_s) if frame else None,
    )


def _advance(
    installed: Sequence[ChannelInstallation],
    reads: Sequence[_Read],
    facts: SeriesFacts,
    starts_at_s: int,
    ends_at_s: int,
) -> Advance | None:
    """Return the sum where one register under one multiplier was read, the same by all, at both ends, and was
    not set to another value between."""
    if len(installed) != 1 or installed[0] not in facts.registers:
        return None
    fact = installed[0]
    if any(starts_at_s < reset.at_s <= ends_at_s for reset in fact.resets):
        return None
    counted = [read for read in reads if not read.is_corrected]
    first = {read.value_count for read in counted if read.measured_at_s == starts_at_s}
    last = {read.value_count for read in counted if read.measured_at_s == ends_at_s}
    ratios = [
        period.ratio
        for period in fact.multipliers
        if period.starts_at_s < ends_at_s and (period.ends_at_s is None or period.ends_at_s > starts_at_s)
    ]
    if len(first) != 1 or len(last) != 1 or len(ratios) != 1:
        return None
    first_count = first.pop()
    counts = last.pop() - first_count
    if counts < 0 and fact.register_modulus is not None:
        counts += fact.register_modulus
    return _advance_of(fact, first_count, counts, ratios[0])


def _advance_of(fact: ChannelInstallation, first_count: int, counts: int, ratio: Fraction) -> Advance:
    channel = Channel.objects.get(id=fact.channel_id)
    step = Fraction(channel.step_numerator, channel.step_denominator)
    last_count = first_count + counts
    if fact.register_modulus is not None:
        last_count %= fact.register_modulus
    unit = unit_of(channel.reading_type)
    energy_kwh = fact.step_milliwh * counts * ratio / MILLIWH_PER_KWH
    return Advance(
        f"{counts_text(first_count, step)} {unit}",
        f"{counts_text(last_count, step)} {unit}",
        exact_text(ratio),
        exact_text(energy_kwh) if "/" not in exact_text(energy_kwh) else str(float(energy_kwh)),
    )
