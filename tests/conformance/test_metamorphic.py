"""Any order, repetition and batching of the same deliveries ends in the identical state, on real stores.

The whole way: the head-end's sink, the relational registry, the pipeline, the readings store, bills. The
state is hashed: current values, open findings, roll-ups, determinants, bills and raw reads; without run ids
and receive times (trust A8, A9).
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from django.db import transaction

from conformance.stores import running_store
from console_street import FIRST_AT, RESIDENTIAL, derive
from relational import LONG_AGO, NOW, People, make_people, make_street_of
from wattkeeper.actions.billing.run_billing import run_billing
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.channels import USUAL_CHANNELS, ChannelSpec, make_channels
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.billing.models import Bill, TariffVersion
from wattkeeper.data.registry.models import Channel, Meter, Series
from wattkeeper.store.api import RawBatch, RawReads, ReadingStore
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.memory import MemoryReadingStore
from wattkeeper.store.schema import TABLES

pytestmark = [pytest.mark.django_db]
Row = tuple[int, int, int, int, int]  # channel, instant, value, flags, source
STEP_S = 900
DAYS = 4
FIRST_S = int(FIRST_AT.timestamp())
END_S = FIRST_S + DAYS * 86_400
MIDNIGHTS_S = range(FIRST_S, END_S + 1, 86_400)
EXCHANGED_AT = FIRST_AT + timedelta(days=1, hours=10, minutes=7)
RATIO_AT = FIRST_AT + timedelta(days=2)
ALWAYS = (0, 2**32 - 1)
MODULUS = 10**8
SHUFFLES_COUNT = 200
HUNDREDTH_COUNT = SHUFFLES_COUNT // 100


@dataclass(frozen=True)
class World:
    """What stays the same in every shuffle: the registry, and all that will ever be delivered."""

    people: People
    services: Services
    rows: tuple[Row, ...]
    series_ids: tuple[int, ...]
    channel_ids: tuple[int, ...]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[World]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_world(tmp_path_factory.mktemp("metamorphic"))
        transaction.set_rollback(True)


def make_world(folder: Path) -> World:
    """Make two points: meter exchanged once its register came round; a profile beside one, ratio changed."""
    services = Services(now=lambda: NOW, data_folder=folder, store=MemoryReadingStore())
    people = make_people("ours")
    street = make_street_of(people, services)
    registry: dict[str, Any] = {"actor": people.operator, "now": NOW, "services": services}
    spare_id = add_meter(**registry, site_id=street.site_id, serial_number="9", channels=USUAL_CHANNELS[""])
    chance = Random(7)
    old, new = Register(chance, MODULUS - 900), Register(chance, 77)
    install_meter(**registry, meter_id=street.meter_id, usage_point_id=street.point_id, at=LONG_AGO)
    exchange_meter(
        **registry,
        meter_id=street.meter_id,
        new_meter_id=spare_id,
        at=EXCHANGED_AT,
        final_read=old.at(int(EXCHANGED_AT.timestamp())),
        initial_read=new.at(int(EXCHANGED_AT.timestamp())),
    )
    install_meter(
        **registry, meter_id=street.other_meter_id, usage_point_id=street.other_point_id, at=LONG_AGO
    )
    change_multiplier(
        actor=people.operator, now=NOW, usage_point_id=street.other_point_id, at=RATIO_AT, numerator=40
    )
    tariff = {"actor": people.administrator, "now": NOW}
    version_id = add_tariff_version(**tariff, name="Homes", document=RESIDENTIAL)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    for point_id in (street.point_id, street.other_point_id):
        set_contract(**tariff, usage_point_id=point_id, tariff_id=tariff_id, at=LONG_AGO)
    channels = [register_of(meter_id) for meter_id in (street.meter_id, spare_id, street.other_meter_id)]
    profile = make_channels(
        Meter.objects.get(id=street.other_meter_id),
        [ChannelSpec("energy_import_interval_kwh", Fraction(1, 100))],
    )[0]
    rows = [
        *spoil(grid_rows(channels[0], old, FIRST_S, int(EXCHANGED_AT.timestamp())), chance),
        *spoil(grid_rows(channels[1], new, int(EXCHANGED_AT.timestamp()), END_S), chance),
        *side_by_side(channels[2], profile.id, chance),
        *rows_of(services.store, people.tenant.id, channels),
    ]
    points = (street.point_id, street.other_point_id)
    series = Series.objects.filter(usage_point_id__in=points).order_by("id").values_list("id", flat=True)
    return World(people, services, tuple(rows), tuple(series), (*channels, profile.id))


class Register:
    """A register that grows a little every second, from a first value on."""

    def __init__(self, chance: Random, first: int) -> None:
        self.first = first
        self.steps = [chance.randrange(0, 30) for _ in range(DAYS * 96)]

    def at(self, at_s: int) -> int:
        """Return what it shows."""
        place, rest_s = divmod(at_s - FIRST_S, STEP_S)
        total = sum(self.steps[:place]) + (self.steps[place] * rest_s // STEP_S if rest_s else 0)
        return (self.first + total) % MODULUS


def grid_rows(channel_id: int, register: Register, from_s: int, to_s: int) -> list[Row]:
    stamps = range(-(-from_s // STEP_S) * STEP_S, to_s + 1, STEP_S)
    return [(channel_id, at_s, register.at(at_s), 0, int(Source.PROFILE)) for at_s in stamps]


def spoil(rows: list[Row], chance: Random) -> list[Row]:
    """Lose some reads, contradict some, flag some, add live ones."""
    lost = {*chance.sample(range(len(rows)), 5), *range(20, 20 + chance.randrange(2, 14))}
    found = [row for i, row in enumerate(rows) if i not in lost]
    for channel_id, at_s, value, _, _ in chance.sample(found, 8):
        found += [
            (channel_id, at_s, (value + chance.randrange(1, 4)) % MODULUS, 0, int(Source.PROFILE)),
            (channel_id, at_s, value, int(Flag.CLOCK_ADJUSTED), int(Source.PROFILE)),
            (channel_id, at_s + 100, value, 0, int(Source.LIVE)),
        ]
    spiked = chance.randrange(len(rows))
    channel_id, at_s, value, flags, _ = rows[spiked]
    found.append((channel_id, at_s, (value + 4_000_000) % MODULUS, flags, int(Source.FILE)))
    return found


def side_by_side(channel_id: int, profile_id: int, chance: Random) -> list[Row]:
    """Return midnight reads of a register and the profile beside it, which lacks some and doubts one day."""
    register = Register(chance, 5000)
    days = [(channel_id, at_s, register.at(at_s), 0, int(Source.FREEZE_DAILY)) for at_s in MIDNIGHTS_S]
    lost = {*chance.sample(range(DAYS * 96), 9), *range(100, 111)}
    energy = [
        (profile_id, FIRST_S + i * STEP_S, step, 0, int(Source.PROFILE))
        for i, step in enumerate(register.steps)
        if i not in lost
    ]
    wrong = [(profile_id, at_s, value + 40, 0, int(Source.FILE)) for _, at_s, value, _, _ in energy[300:303]]
    return [*days, *energy, *wrong]


def register_of(meter_id: int) -> int:
    return Channel.objects.get(meter_id=meter_id, reading_type="energy_import_register_kwh").id


def rows_of(store: ReadingStore | None, tenant_id: int, channels: Sequence[int]) -> list[Row]:
    """Return what people read off the displays: it is delivered like all else."""
    assert store is not None
    found = store.raw_reads(tenant_id, channels, *ALWAYS)
    columns = (found.channel_id, found.measured_at_s, found.value, found.flags, found.source)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def shuffled(rows: Sequence[Row], chance: Random) -> Iterator[list[Row]]:
    """Yield the rows in any order, some again, in batches."""
    every = [*rows, *chance.sample(rows, chance.randrange(len(rows) // 4))]
    chance.shuffle(every)
    cuts = sorted(chance.randrange(len(every)) for _ in range(chance.randrange(4)))
    for first, end in pairwise([0, *cuts, len(every)]):
        yield every[first:end]


def by_day(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield the rows day by day: the way of an ordinary life."""
    for day_s in range(FIRST_S, END_S + 1, 86_400):
        yield [row for row in rows if day_s <= row[1] < day_s + 86_400]


def batch_of(tenant_id: int, batch_id: int, rows: Sequence[Row]) -> RawBatch:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T.copy()
    frames = np.full(len(rows), -1, dtype=np.int64)
    return RawBatch(tenant_id, batch_id, int(NOW.timestamp()), *columns, frame_index=frames)


def live(world: World, store: ReadingStore, batches: Iterator[list[Row]]) -> dict[str, str]:
    """Deliver batches, deriving after each, bill, and return the state in hashes; then all is as before."""
    tenant_id = world.people.tenant.id
    with transaction.atomic():
        sink = StoreSink(store, lambda: NOW)
        for batch_id, rows in enumerate(batches, start=1):
            sink.deliver([batch_of(tenant_id, batch_id, rows)])
            derive(store, tenant_id)
        run_billing(
            actor=world.people.operator,
            now=NOW,
            services=Services(now=lambda: NOW, data_folder=world.services.data_folder, store=store),
            first=date(2026, 10, 1),
            end=date(2026, 10, 1 + DAYS),
            accept_estimates=True,
        )
        state = state_of(world, store)
        transaction.set_rollback(True)
    return {
        name: hashlib.sha256(json.dumps(part, default=str).encode()).hexdigest()
        for name, part in state.items()
    }


def state_of(world: World, store: ReadingStore) -> dict[str, Any]:
    """Return everything that the deliveries left behind."""
    tenant_id = world.people.tenant.id
    found = Finding.objects.filter(tenant_id=tenant_id, state=Finding.State.OPEN)
    bills = Bill.objects.filter(tenant_id=tenant_id, state=Bill.State.ISSUED).order_by("usage_point_id")
    raw = store.raw_reads(tenant_id, world.channel_ids, *ALWAYS)
    return {
        "values": columns_of(store.measurements(tenant_id, world.series_ids, *ALWAYS), "run_id"),
        "findings": sorted(
            (f.rule, f.subject_key, f.starts_at, f.ends_at, sorted(f.evidence.items())) for f in found
        ),
        "roll-ups": columns_of(store.roll_ups(tenant_id, world.series_ids, [ALWAYS], [FIRST_S]), "run_id"),
        "determinants": columns_of(store.rate_days(tenant_id, world.series_ids, *ALWAYS), "run_id"),
        "bills": [(bill.total_minor, bill.energy_milliwh, lines_of(bill)) for bill in bills],
        "raw": columns_of(raw, "batch_id", "frame_index"),
    }


def columns_of(rows: Any, *left_out: str) -> list[list[int]]:
    """Return the rows of some columns, but those that were written off again; in order."""
    names = [name for name in type(rows).__slots__ if name not in left_out]
    table = sorted(zip(*(np.asarray(getattr(rows, name)).tolist() for name in names), strict=True))
    kept = [list(row) for row in table]
    if "provenance" in names:
        kept = [row for row in kept if row[names.index("provenance")]]
    return kept


def lines_of(bill: Bill) -> list[Any]:
    return [
        {name: value for name, value in line.items() if name != "trace"} for line in bill.document["lines"]
    ]


class LastDeliveryWins(MemoryReadingStore):
    """The fault to catch: of several reads at one instant only the one that came last is kept."""

    def raw_reads(self, *args: Any, **_: Any) -> RawReads:
        found = super().raw_reads(*args)
        newest: dict[tuple[int, int], int] = {}
        for i in np.argsort(found.batch_id, kind="stable").tolist():
            newest[int(found.channel_id[i]), int(found.measured_at_s[i])] = i
        kept = np.array(sorted(newest.values()), dtype=np.intp)
        return RawReads(*(getattr(found, name)[kept] for name in RawReads.__slots__))


def empty(store: HttpReadingStore) -> HttpReadingStore:
    for table in TABLES:
        store.execute(f"TRUNCATE TABLE {table}")
    return store


def test_any_order_ends_in_the_same_state(world: World, db: None) -> None:
    plain = live(world, MemoryReadingStore(), by_day(world.rows))
    for seed in range(HUNDREDTH_COUNT):
        assert live(world, MemoryReadingStore(), shuffled(world.rows, Random(seed))) == plain, seed


@pytest.mark.slow
def test_any_order_on_the_embedded_engine_ends_in_the_same_state(
    world: World, db: None, tmp_path: Path
) -> None:
    plain = live(world, MemoryReadingStore(), by_day(world.rows))
    with running_store(tmp_path) as store:
        for seed in range(HUNDREDTH_COUNT):
            assert live(world, empty(store), shuffled(world.rows, Random(100 + seed))) == plain, seed


@pytest.mark.soak
def test_two_hundred_orders_on_both_engines_end_in_the_same_state(
    world: World, db: None, tmp_path: Path
) -> None:
    plain = live(world, MemoryReadingStore(), by_day(world.rows))
    with running_store(tmp_path) as store:
        assert live(world, store, by_day(world.rows)) == plain
        for seed in range(SHUFFLES_COUNT):
            assert live(world, MemoryReadingStore(), shuffled(world.rows, Random(seed))) == plain, seed
            assert live(world, empty(store), shuffled(world.rows, Random(seed))) == plain, seed


def test_a_winner_by_arrival_is_caught(world: World, db: None) -> None:
    plain = live(world, MemoryReadingStore(), by_day(world.rows))
    assert any(
        live(world, LastDeliveryWins(), shuffled(world.rows, Random(seed))) != plain for seed in range(3)
    )
