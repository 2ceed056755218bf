"""A profile beside a register of the same meter that files write coarser: it stands as far as that tells."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise, permutations
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from relational import NOW, People
from unit.actions.test_import_registers import derive
from wattkeeper.actions.collection import shown_steps
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.operations import verify_days
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.core.readings.rollups import DAY
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.formats.api import LossList
from wattkeeper.formats.blocks import make_block
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.formats.nem13 import register_blocks
from wattkeeper.store.memory import MemoryReadingStore
from wattkeeper.store.verify import Check

FIRST = datetime(2026, 11, 2, tzinfo=UTC)
DAYS_COUNT, QUARTERS = 4, 96
WH = [1_000 + (37 * k) % 211 for k in range(DAYS_COUNT * QUARTERS)]


def profile(values_wh: Sequence[int] = WH) -> bytes:
    head = "usage_point,channel,starts_at,interval_s,value,unit,quality,meter_serial\n"
    rows = [
        f"VABC005890,import,{FIRST + k * timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ},900,{wh},Wh,raw,M1"
        for k, wh in enumerate(values_wh)
    ]
    return (head + "\n".join(rows)).encode()


def registers(decimals_count: int, *, off_wh: int = 0) -> bytes:
    """Return what the register showed each midnight: all of the profile, on the third day `off_wh` more."""
    rows, at = [], [FIRST + timedelta(days=day) for day in range(DAYS_COUNT + 1)]
    true = [99_990_000 + sum(WH[: QUARTERS * day]) + (off_wh if day > 2 else 0) for day in range(5)]
    step = 10 ** (3 - decimals_count)
    seen = [wh // step * step for wh in true]
    width = 5 + (decimals_count > 0) + decimals_count
    for day in range(DAYS_COUNT):
        reads = [f"{wh % 10**8 / 1000:0{width}.{decimals_count}f}" for wh in seen[day : day + 2]]
        when = [f"{each + timedelta(hours=10):%Y%m%d%H%M%S}" for each in at[day : day + 2]]
        shown = ",".join(f"{read},{instant},A,," for read, instant in zip(reads, when, strict=True))
        rows.append(f"250,VABC005890,11,1,11,11,M1,E,{shown},{(seen[day + 1] - seen[day]) / 1000:.3f},kWh,,,")
    return "\r\n".join(["100,NEM13,202611030900,MDA1,Ret1", *rows, "900\r\n"]).encode()


def shows(form: Format, decimals_count: int) -> bytes:
    """Return what `registers` tells of 0.1 kWh and more, as a register in another format."""
    blocks = register_blocks(read_file(registers(decimals_count), CsvOptions()).blocks)[0]
    return b"".join(write_file(form, blocks, LossList()))


READS = [(0, "500.00"), (1, "692.60")]  # 0.6 kWh more than 96 times 2 kWh


class Meter:
    """Whose files come one after the other."""

    def __init__(self, people: People, services: Services, store: MemoryReadingStore) -> None:
        self.people, self.services, self.store = people, services, store

    def bring(self, *files: bytes) -> None:
        for content in files:
            result = import_file(
                actor=self.people.operator, now=NOW, services=self.services, content=content, label="f"
            )
            assert result.errors == ()
            derive(self.people, self.store)

    def milliwh(self) -> list[int]:
        (series_id,) = Series.objects.values_list("id", flat=True)
        span = to_seconds(FIRST), to_seconds(FIRST + timedelta(days=DAYS_COUNT))
        rows = self.store.measurements(self.people.tenant.id, [series_id], *span)
        stored: list[int] = rows.value_milliwh.tolist()
        return stored

    def found(self) -> list[datetime]:
        rows = Finding.objects.filter(rule="vee.sum-check", state="OPEN").order_by("id")
        return list(rows.values_list("starts_at", flat=True))


@pytest.fixture
def meter(ours: People, services: Services, store: MemoryReadingStore) -> Meter:
    return Meter(ours, services, store)


@pytest.mark.parametrize("decimals_count", [0, 1, 3])
@pytest.mark.parametrize("is_profile_first", [True, False])
def test_what_a_coarse_register_leaves_open_is_the_profiles(
    meter: Meter, decimals_count: int, is_profile_first: bool
) -> None:
    files = [profile(), registers(decimals_count)]
    meter.bring(*(files if is_profile_first else files[::-1]))
    assert meter.milliwh() == [1_000 * wh for wh in WH]
    assert not meter.found()


@pytest.mark.alike
@pytest.mark.parametrize("form", ["csv", "mscons", "greenbutton", "iec61968"])
@pytest.mark.parametrize(("decimals_count", "shown_count"), [(0, 10**6), (1, 10**5), (3, 1000)])
@pytest.mark.parametrize("is_profile_first", [True, False])
def test_a_register_of_any_format_is_as_fine_as_its_reads_are_written(
    meter: Meter, form: Format, decimals_count: int, shown_count: int, is_profile_first: bool
) -> None:
    files = [profile(), shows(form, decimals_count)]
    meter.bring(*(files if is_profile_first else files[::-1]))
    assert Channel.objects.get(reading_type="energy_import_register_kwh").shown_count == shown_count
    assert meter.milliwh() == [1_000 * wh for wh in WH]
    assert not meter.found()


@pytest.mark.parametrize("days_count", [1, 70], ids=["just installed", "long there"])
def test_coarse_registers_are_derived_together(meter: Meter, days_count: int) -> None:
    meter.bring(shows("csv", 0))
    many = pipeline_ports(meter.store, meter.people.tenant.id, lambda: NOW).many
    assert many is not None
    at_s = np.array([to_seconds(FIRST + timedelta(days=days_count))])
    plain = many.get_plain(np.array(Series.objects.values_list("id", flat=True)), at_s)
    assert plain.facts.resolution_milliwh.tolist() == [10**6]


def test_more_than_its_step_is_found(meter: Meter) -> None:
    meter.bring(profile(), registers(0, off_wh=2_500))
    assert meter.found() == [FIRST + timedelta(days=2)]
    assert sum(meter.milliwh()[2 * QUARTERS : 3 * QUARTERS]) % 10**6 == 0  # what the register shows


def test_a_register_that_turns_out_finer_is_held_to_that(meter: Meter) -> None:
    """Zeros that a file leaves out at the end were shown: all of the register's days are judged again."""
    meter.bring(profile(), registers(0, off_wh=700))
    assert not meter.found()
    meter.bring(registers(1, off_wh=700))
    assert Channel.objects.get(reading_type="energy_import_register_kwh").shown_count == 100_000
    assert FIRST + timedelta(days=2) in meter.found()


@pytest.mark.parametrize(
    ("values_wh", "shown_count"),
    [
        ((10, 0, 250), 10_000),
        ((10, 11), 1_000),
        ((0, 0), 0),
        ((2_000, 0, 2_000), -2_000_000),  # no other value: nothing says that it could not be 2 001
        ((2_000, 3_000), 10**6),
        ((70_000, 140_000), 10**6),
    ],
)
def test_a_profile_is_as_fine_as_its_values(
    meter: Meter, values_wh: tuple[int, ...], shown_count: int
) -> None:
    meter.bring(profile(values_wh))
    channel = Channel.objects.get()
    assert channel.shown_count == shown_count
    meter.bring(profile((0, 0)))  # tells nothing
    channel.refresh_from_db()
    assert channel.shown_count == shown_count
    meter.bring(profile((*values_wh, 7, 11)))
    channel.refresh_from_db()
    assert channel.shown_count == 1_000


def test_a_profile_that_holds_still_is_not_excused_by_its_value(meter: Meter) -> None:
    """2 kWh in each quarter-hour: taken for whole kilowatt-hours, V06 and V19 had nothing to say."""
    used = [2_000] * QUARTERS * 2
    head, *rows = profile(used).decode().splitlines()
    reads = [
        f"VABC005890,import,{FIRST + timedelta(days=day):%Y-%m-%dT00:00:00Z},0,{kwh},kWh,raw,M1"
        for day, kwh in READS
    ]
    meter.bring("\n".join([head, *rows, *reads]).encode())
    found = Finding.objects.filter(state="OPEN").values_list("rule", "starts_at")
    assert {("vee.sum-check", FIRST), ("vee.constant", FIRST + timedelta(days=1))} <= {*found}
    (facts,) = get_series_facts([Series.objects.get().id]).values()
    assert [each.shown_count for each in facts.intervals] == [1]


@given(st.permutations([0, 0, 7_000, 20_000, 2 * 10**6, 2 * 10**6, 3 * 10**6]), st.integers(0, 7), st.data())
def test_what_parts_of_a_profile_tell_comes_to_what_all_of_it_tells(
    values: list[int], count: int, data: st.DataObject
) -> None:
    used = values[:count]
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))
    parts = [used[first:end] for first, end in pairwise([0, *cuts, count])]
    kinds = [(Quality(Provenance.MEASURED), "")]
    told = [
        shown_steps._shown_milli(
            make_block(("P", "", "import", "Wh", 900), range(len(part)), part, kinds, [0] * len(part))
        )
        for part in (used, *parts)
    ]
    assert reduce(shown_steps._of_both, told[1:], 0) == told[0]


def day_read(before: str, after: str, day: int) -> bytes:
    when = [f"{FIRST + timedelta(days=day + end, hours=10):%Y%m%d%H%M%S}" for end in (0, 1)]
    used = int(after) - int(before)
    row = f"250,VABC005890,11,1,11,11,M1,E,{before},{when[0]},A,,,{after},{when[1]},A,,,{used},kWh,,,"
    return "\r\n".join(["100,NEM13,202611030900,MDA1,Ret1", row, "900\r\n"]).encode()


FILES = {
    "registers without leading zeros": [day_read("9900", "9950", 0), day_read("9950", "10050", 1)],
    "one value a file": [profile([2_000] * 96), profile([3_000] * 95 + [0]), profile([0] * 90), registers(1)],
    "a roof in winter, then in spring": [profile((0, 0)), profile([2_000] * 48)],
    "coarse, then fine": [registers(0), registers(1), profile()],
    "coarse, then fine, in other formats": [shows("mscons", 0), shows("csv", 1), profile()],
}


@pytest.mark.alike
@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_what_files_tell_of_a_channel_does_not_depend_on_their_order(
    ours: People, services: Services, store: MemoryReadingStore, files: list[bytes]
) -> None:
    states = []
    for order in permutations(files):
        with transaction.atomic():
            own = MemoryReadingStore()
            meter = Meter(ours, replace(services, store=own), own)
            meter.bring(*order)
            facts = Channel.objects.order_by("reading_type")
            states.append(
                (
                    list(facts.values_list("reading_type", "shown_count", "register_digits")),
                    meter.milliwh(),
                    sorted(Finding.objects.filter(state="OPEN").values_list("rule", "starts_at")),
                )
            )
            transaction.set_rollback(True)
    assert all(state == states[0] for state in states), states


@pytest.mark.parametrize(("more_wh", "faults_count"), [(0, 0), (1_000, 4)])
def test_days_are_proved_within_what_the_register_shows(
    meter: Meter, monkeypatch: pytest.MonkeyPatch, more_wh: int, faults_count: int
) -> None:
    meter.bring(profile(), registers(0))
    (series_id,) = Series.objects.values_list("id", flat=True)
    bounds_s = [to_seconds(FIRST + timedelta(days=day)) for day in range(DAYS_COUNT + 1)]
    sums = [1_000 * sum(WH[QUARTERS * day : QUARTERS * (day + 1)]) for day in range(DAYS_COUNT)]
    figures = {
        (series_id, DAY, at_s): (milliwh + 2_000 * more_wh, QUARTERS)
        for at_s, milliwh in zip(bounds_s, sums, strict=False)
    }
    scope: Any = SimpleNamespace(
        tenant_id=meter.people.tenant.id,
        store=meter.store,
        interval_s={series_id: 900},
        chunks=lambda: [(ZoneInfo("UTC"), [series_id], bounds_s)],
        is_dirty=lambda *_: False,
    )
    Finding.objects.all().delete()
    monkeypatch.setattr(verify_days, "day_figures", lambda *_: None)
    monkeypatch.setattr(verify_days, "_figures", lambda _: figures)
    check = Check("values.registers")
    verify_days.check_balance(scope, check)
    assert (check.examined_count, len(check.faults)) == (DAYS_COUNT, faults_count)
