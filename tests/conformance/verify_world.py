"""A small real installation: two homes read for weeks, gaps, a bill, a spool; made for breaking."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from console_street import FIRST_AT, FRAME, STEP_S, Home, derive, make_home
from relational import NOW, People, Street, make_people, make_street_of
from wattkeeper.actions.operations.verify import verify
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.status import mark_read
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.headend.spool import Spool
from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.schema import TABLES
from wattkeeper.store.verify import Check

MODULUS = 10**8


@dataclass(frozen=True)
class World:
    """What plants may touch. `channel_id` and `series_id` are the second home's."""

    folder: Path
    engine: Path
    store: HttpReadingStore
    people: People
    street: Street
    services: Services
    home: Home
    channel_id: int
    series_id: int

    @property
    def tenant_id(self) -> int:
        """Whose it is."""
        return self.people.tenant.id

    @property
    def newest_run_id(self) -> int:
        """The run that wrote last."""
        return Run.objects.latest("id").id

    def verify(self, **options: int) -> list[Check]:
        """Return what every check found."""
        return list(
            verify(
                services=self.services,
                now=NOW,
                ports_of=lambda tenant_id: pipeline_ports(self.store, tenant_id, lambda: NOW),
                **options,
            )
        )

    def alter(self, table: str, what: str) -> None:
        """Have the engine change a table and wait until it has."""
        self.store.execute(f"ALTER TABLE {table} {what} SETTINGS mutations_sync = 2")


def make_world(folder: Path, store: HttpReadingStore, engine: Path) -> World:
    """Build it in an empty store and an empty database."""
    for table in TABLES:
        store.execute(f"TRUNCATE TABLE {table}")
    people = make_people("ours")
    services = Services(now=lambda: NOW, data_folder=folder, store=store)
    street = make_street_of(people, services)
    home = make_home(people, street, services)
    installed_at = FIRST_AT + timedelta(days=20)
    install_meter(
        actor=people.operator,
        now=NOW,
        services=services,
        meter_id=street.other_meter_id,
        usage_point_id=street.other_point_id,
        at=installed_at,
    )
    channel = Channel.objects.get(meter_id=street.other_meter_id, reading_type="energy_import_register_kwh")
    for batch in batches(people.tenant.id, channel.id, int(installed_at.timestamp())):
        store.insert_raw([batch])
        span = int(batch.measured_at_s[0]), int(batch.measured_at_s[-1]) + 1
        mark_dirty(tenant_id=people.tenant.id, now=NOW, reason="test", channels={channel.id: span})
        derive(store, people.tenant.id)
    mark_read([channel.id])
    spool = Spool(folder / "spool")
    spool.append([b"one batch", b"another batch"])
    spool.close()
    series_id = Series.objects.get(usage_point_id=street.other_point_id, quantity="energy_import").id
    return World(folder, engine, store, people, street, services, home, channel.id, series_id)


def batches(tenant_id: int, channel_id: int, from_s: int) -> Iterator[RawBatch]:
    """Yield a register's weeks: it comes round, a day and a few stamps are missing, two batches overlap."""
    stamps = np.arange(from_s, int(NOW.timestamp()) - STEP_S, STEP_S, dtype=np.int64)
    value = (MODULUS - 5000 + np.cumsum(5 + stamps // STEP_S % 7)) % MODULUS
    is_read = np.ones(len(stamps), dtype=np.bool_)
    is_read[1000:1096] = is_read[300:303] = False
    for batch_id, part in enumerate((slice(0, 900), slice(800, 1800), slice(1800, None)), start=10):
        chosen = np.flatnonzero(is_read[part]) + (part.start or 0)
        zeros = np.zeros(len(chosen), dtype=np.int64)
        received_at_s = int(stamps[chosen[-1]]) + 60
        yield RawBatch(
            tenant_id=tenant_id,
            batch_id=batch_id,
            received_at_s=received_at_s,
            channel_id=zeros + channel_id,
            measured_at_s=stamps[chosen],
            value=value[chosen],
            flags=zeros,
            source=zeros + int(Source.PROFILE),
            frame_index=zeros + (np.arange(len(chosen)) >= 400),
            frames=tuple(RawFrame(1, 2, received_at_s, FRAME + bytes([batch_id, i])) for i in range(2)),
        )
