"""Compares what Wattkeeper stored and billed with the simulators' own truth and an oracle's bills."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.interfaces.cli.demo.tariffs import TARIFFS, ZONE
from wattkeeper.simulators.world_model import World
from wattkeeper.store.api import Measurements, ReadingStore

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Energy:
    """Stored against true energy, in milliwatt-hours."""

    truth_milliwh: int
    stored_milliwh: int
    error_milliwh: int  # the largest of any usage point over the period and of any interval held by a profile
    physical_milliwh: Fraction
    physical_excess_milliwh: Fraction  # how far any point lies beyond a step an installation; <= 0 is right
    expected_count: int
    measured_count: int
    estimated_count: int
    missing_count: int
    missing_alive_count: int  # of meters that never died: must be 0


def judge_energy(points: Sequence[Json], tenant_id: int, from_s: int, store: ReadingStore) -> Energy:
    """Compare each usage point, and each interval that a profile held."""
    series = dict(
        Series.objects.filter(tenant_id=tenant_id, quantity="energy_import").values_list(
            "usage_point__code", "id"
        )
    )
    totals = dict.fromkeys(("truth", "stored", "error", "expected", "measured", "estimated"), 0)
    physical, excess, missing_alive_count = Fraction(0), Fraction(-1), 0
    for point in points:
        count = len(point["intervals_milliwh"])
        to_s = from_s + count * point["interval_s"]
        values = store.measurements(tenant_id, [series[point["usage_point"]]], from_s, to_s)
        one = _judge_point(point, values, from_s)
        totals["expected"] += count
        for name in ("truth", "stored", "measured", "estimated"):
            totals[name] += one[name]
        totals["error"] = max(totals["error"], one["error"])
        if point["ends_at_s"] == to_s:
            missing_alive_count += count - one["measured"] - one["estimated"]
        flowed = Fraction(point["physical_milliwh"])
        physical += flowed
        steps = Fraction(point["register_step_milliwh"]) * len(point["installations"])
        excess = max(excess, abs(flowed - one["stored"]) - steps)
    return Energy(
        truth_milliwh=totals["truth"],
        stored_milliwh=totals["stored"],
        error_milliwh=totals["error"],
        physical_milliwh=physical,
        physical_excess_milliwh=excess,
        expected_count=totals["expected"],
        measured_count=totals["measured"],
        estimated_count=totals["estimated"],
        missing_count=totals["expected"] - totals["measured"] - totals["estimated"],
        missing_alive_count=missing_alive_count,
    )


def _judge_point(point: Json, values: Measurements, from_s: int) -> dict[str, int]:
    interval_s, true_values = point["interval_s"], np.array(point["intervals_milliwh"], np.int64)
    index = (values.starts_at_s - from_s) // interval_s
    stored = np.zeros(len(true_values), np.int64)
    is_measured = np.zeros(len(true_values), np.bool_)
    is_estimated = np.zeros(len(true_values), np.bool_)
    is_bracketed = np.zeros(len(true_values), np.bool_)
    stored[index] = values.value_milliwh
    is_measured[index] = values.provenance == Provenance.MEASURED
    is_estimated[index] = values.provenance == Provenance.ESTIMATED
    is_bracketed[index] = (values.flags & int(Flag.REGISTER_BRACKETED)) > 0
    is_held = np.array(point["held"], np.bool_)
    wrong = np.where(is_measured, np.abs(stored - true_values), np.where(is_held, np.abs(true_values) + 1, 0))
    is_told = np.arange(len(true_values)) * interval_s + from_s < point["ends_at_s"]
    stored_milliwh = int(stored[(is_measured | is_bracketed) & is_told].sum())
    true_milliwh = int(true_values[is_told].sum())
    advance = Fraction(point["register_advance_milliwh"])
    error = max(abs(stored_milliwh - true_milliwh), abs(int(advance) - true_milliwh))
    return {
        "truth": true_milliwh,
        "stored": stored_milliwh,
        "error": max(error, int(wrong[is_held].max(initial=0))),
        "measured": int(is_measured.sum()),
        "estimated": int(is_estimated.sum()),
    }


def count_late_stamps(
    points: Sequence[Json], tenant_id: int, window: tuple[int, int], poll_s: int, store: ReadingStore
) -> int:
    """Return how many profile stamps of the lived window came later than the poll that was due for them.

    These are the gaps there were: what an outage or a lost answer kept from the schedule. A poll is due for
    what the meter's own clock has reached.
    """
    from_s, to_s = window
    offsets_s = {serial: point["clock_offset_s"] for point in points for serial in point["serials"]}
    channels = {
        channel.id: offsets_s[channel.meter.serial_number]
        for channel in Channel.objects.filter(tenant_id=tenant_id, is_profiled=True).select_related("meter")
    }
    first = _first_receipts(tenant_id, list(channels), from_s + 1, to_s + 1, store)
    return sum(
        at_s + channels[channel_id] - stamp_s >= poll_s for (channel_id, stamp_s), at_s in first.items()
    )


def _first_receipts(
    tenant_id: int, channel_ids: list[int], from_s: int, to_s: int, store: ReadingStore
) -> dict[tuple[int, int], int]:
    """Return when each (channel, profile stamp) was first received."""
    reads = store.raw_reads(tenant_id, channel_ids, from_s, to_s)
    is_profile = reads.source == int(Source.PROFILE)
    columns = (reads.channel_id, reads.measured_at_s, reads.batch_id, reads.frame_index)
    rows = list(zip(*(column[is_profile].tolist() for column in columns), strict=True))
    frames = store.frames(tenant_id, sorted({row[2:] for row in rows}))
    first: dict[tuple[int, int], int] = {}
    for channel_id, stamp_s, *key in rows:
        at_s = frames[key[0], key[1]].received_at_s
        first[channel_id, stamp_s] = min(first.get((channel_id, stamp_s), at_s), at_s)
    return first


def count_duplicates(tenant_id: int, from_s: int, to_s: int, store: ReadingStore) -> int:
    """Return how many profile stamps hold more than one read."""
    channel_ids = list(
        Channel.objects.filter(tenant_id=tenant_id, is_profiled=True).values_list("id", flat=True)
    )
    reads = store.raw_reads(tenant_id, channel_ids, from_s, to_s)
    is_profile = reads.source == int(Source.PROFILE)
    pairs = np.stack([reads.channel_id[is_profile], reads.measured_at_s[is_profile]], axis=1)
    return len(pairs) - len(np.unique(pairs, axis=0))


def judge_bills(
    points: Sequence[Json], world: World, months: Iterable[tuple[date, date]], from_s: int, tenant_id: int
) -> tuple[int, int]:
    """Return how many bills were issued and the largest difference, in minor units, from the oracle's."""
    tariff_of = {entry.usage_point: entry.tariff_code for entry in world.entries}
    by_point = {point["usage_point"]: point for point in points}
    requests, totals = [], []
    zone = ZoneInfo(ZONE)
    for first, end in months:
        starts_at = local_midnight(first, zone)
        issued = Bill.objects.filter(
            tenant_id=tenant_id, starts_at=starts_at, state=Bill.State.ISSUED
        ).select_related("usage_point")
        for bill in issued:
            code = bill.usage_point.code
            requests.append(_request(by_point[code], tariff_of[code], first, end, from_s, zone))
            totals.append(bill.total_minor)
    answers = ask_oracle(requests)
    errors = [abs(total - answer["total_minor"]) for total, answer in zip(totals, answers, strict=True)]
    return len(totals), max(errors, default=0)


def _request(
    point: Mapping[str, Any], tariff_code: str, first: date, end: date, from_s: int, zone: ZoneInfo
) -> Json:
    start_s, stop_s = (to_seconds(local_midnight(day, zone)) for day in (first, end))
    interval_s = point["interval_s"]
    low, high = (start_s - from_s) // interval_s, (stop_s - from_s) // interval_s
    intervals = point["intervals_milliwh"][low:high]
    return {
        "tariff": TARIFFS[tariff_code],
        "zone": zone.key,
        "first_date": first.isoformat(),
        "end_date": end.isoformat(),
        "intervals": [[start_s + index * interval_s, value] for index, value in enumerate(intervals)],
        "used_before_milliwh": 0,
        "used_before_by_rate_milliwh": {},
    }


def ask_oracle(requests: Sequence[Json]) -> list[Json]:
    """Let the oracle, a program of its own that shares nothing with us, compute the bills."""
    done = subprocess.run(
        [sys.executable, "-m", "wattkeeper.simulators.bill_oracle"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[Json] = json.loads(done.stdout)
    return answers


def whole_months(from_s: int, to_s: int) -> list[tuple[date, date]]:
    """Return the local calendar months that lie wholly in [from_s, to_s)."""
    zone = ZoneInfo(ZONE)
    first = from_seconds(from_s).astimezone(zone).date()
    if first.day > 1:
        first = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    months = []
    while to_seconds(local_midnight(end := (first + timedelta(days=32)).replace(day=1), zone)) <= to_s:
        months.append((first, end))
        first = end
    return months
