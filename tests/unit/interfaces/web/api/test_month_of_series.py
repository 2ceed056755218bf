"""A month over the API is what its register reads come to, value by value, by arithmetic of its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from api_caller import Caller
from relational import NOW, People, Street, install_first
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.interfaces.reads import archived
from wattkeeper.interfaces.web.api import measurements
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import Measurements, RawBatch
from wattkeeper.store.memory import MemoryReadingStore

ZONE = timezone(timedelta(hours=8))
FIRST, END = datetime(2026, 10, 1, tzinfo=ZONE), datetime(2026, 11, 1, tzinfo=ZONE)
QUARTER = timedelta(minutes=15)
COUNT = (END - FIRST) // QUARTER
USED = [5 + place * place % 7 for place in range(COUNT)]  # counts of 10 Wh in each quarter of an hour
STEP_MILLIWH = 10_000
LOST = (2, 500, *range(1201, 1206), 2974)  # reads at the start of these quarters never came
Told = Mapping[str, tuple[int, int, int, int]]  # by start: energy, provenance, flags, method


def to_text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def told_by_reads() -> Told:
    """Return what each quarter used: the difference of two reads, a line where one of them was lost."""
    told, place = {}, 0
    while place < COUNT:
        end = next(at for at in range(place + 1, COUNT + 1) if at not in LOST)
        energies = [USED[place] * STEP_MILLIWH]
        quality = int(Provenance.MEASURED), int(Flag.VALIDATED), int(Method.NONE)
        if end > place + 1:
            energies = on_line(USED[place - 1], USED[end], sum(USED[place:end]) * STEP_MILLIWH, end - place)
            quality = int(Provenance.ESTIMATED), int(Flag.REGISTER_BRACKETED), int(Method.LINEAR)
        for at, energy in enumerate(energies, place):
            told[to_text(FIRST + at * QUARTER)] = (energy, *quality)
        place = end
    return told


def on_line(before: int, after: int, energy_milliwh: int, count: int) -> list[int]:
    """Return shares of an energy, shaped as the line between two neighbours, by largest remainder."""
    shape = [before + Fraction(after - before, count + 1) * place for place in range(1, count + 1)]
    shares = [energy_milliwh * each / sum(shape) for each in shape]
    whole = [int(share) for share in shares]
    by_remainder = sorted(range(count), key=lambda place: whole[place] - shares[place])
    for place in by_remainder[: energy_milliwh - sum(whole)]:
        whole[place] += 1
    return whole


def told_by_api(call: Caller, series_id: int) -> Told:
    span = f"starts_at={to_text(FIRST)}&ends_at={to_text(END)}"
    values = call("GET", f"/series/{series_id}/measurements?{span}").json()["values"]
    names = ("value_milliwh", "provenance", "flags", "method")
    told = {each["starts_at"]: tuple(each[name] for name in names) for each in values}
    assert len(told) == len(values), "one value an interval"
    return told


@pytest.fixture
def series_id(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> int:
    """A series of which a month was read, but for some reads, and derived."""
    install_first(ours, street, services)
    channel = Channel.objects.get(meter_id=street.meter_id, reading_type="energy_import_register_kwh")
    assert Fraction(channel.step_numerator, channel.step_denominator) * 10**6 == STEP_MILLIWH
    known = np.array([at for at in range(COUNT + 1) if at not in LOST], dtype=np.int64)
    count = np.array(list(accumulate(USED, initial=700)), dtype=np.int64)
    nothing = np.zeros(len(known), dtype=np.int64)
    batch = RawBatch(
        ours.tenant.id,
        1,
        int(NOW.timestamp()),
        nothing + channel.id,
        int(FIRST.timestamp()) + 900 * known,
        count[known],
        nothing,
        nothing + int(Source.PROFILE),
        nothing - 1,
    )
    StoreSink(store, lambda: NOW).deliver([batch])
    assert not run_once(pipeline_ports(store, ours.tenant.id, lambda: NOW), NOW).failures
    return Series.objects.get(quantity="energy_import").id


def test_a_month_is_what_its_reads_come_to(call: Caller, series_id: int) -> None:
    assert told_by_api(call, series_id) == told_by_reads()


def an_interval_off(rows: Measurements) -> Measurements:
    return replace(rows, starts_at_s=rows.starts_at_s + 900)


def of_wrong_quality(rows: Measurements) -> Measurements:
    return replace(rows, provenance=np.full_like(rows.provenance, int(Provenance.MEASURED)))


def without_one(rows: Measurements) -> Measurements:
    names = type(rows).__slots__
    return Measurements(*(np.delete(getattr(rows, name), 1000) for name in names))


@pytest.mark.parametrize("fault", [an_interval_off, of_wrong_quality, without_one])
def test_a_month_that_is_not_what_its_reads_come_to_is_caught(
    call: Caller,
    series_id: int,
    fault: Callable[[Measurements], Measurements],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values: Any = measurements._values
    monkeypatch.setattr(measurements, "_values", lambda rows, rules: values(fault(rows), rules))
    assert told_by_api(call, series_id) != told_by_reads()


def test_months_that_are_archived_are_named(
    call: Caller, series_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = f"starts_at={to_text(FIRST)}&ends_at={to_text(END)}"  # September of UTC ends eight hours into it
    assert call("GET", f"/series/{series_id}/measurements?{span}").json()["archived_months"] == []
    away = {"measurement": {202608, 202609}, "raw_read": {202610}}
    monkeypatch.setattr(archived, "away_months", lambda _folder, tables: away[tables[0]])
    told = call("GET", f"/series/{series_id}/measurements?{span}").json()
    assert told["archived_months"] == ["2026-09"]
