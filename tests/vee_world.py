"""One measured series with its store, its pipeline and its people: for tests of edits, corrections, as of."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from relational import NOW, People, Street, install_first
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

FIRST = NOW - timedelta(days=2)
AT = NOW - timedelta(hours=30)
KWH = 10**6


class World:
    """One measured series, its store, its pipeline and services that know what was measured."""

    def __init__(self, people: People, services: Services, store: MemoryReadingStore, street: Street) -> None:
        self.people, self.store, self.street, self.now = people, store, street, NOW
        install_first(people, street, services, at=NOW - timedelta(days=20))
        self.series = Series.objects.get(usage_point_id=street.point_id, quantity="energy_import")
        self.channel = Channel.objects.get(
            meter_id=street.meter_id, reading_type="energy_import_register_kwh"
        )
        self.services = replace(services, measured=measured_by(store, lambda: self.now))
        self.ports = pipeline_ports(store, people.tenant.id, lambda: self.now)

    def deliver(self, *, without: range = range(0), changed: dict[int, int] | None = None) -> None:
        """Deliver two days of a register that advances by 3 counts an interval."""
        at_s = to_seconds(FIRST) + 900 * np.arange(190, dtype=np.int64)
        value = 5000 + 3 * np.arange(190, dtype=np.int64)
        for place, more in (changed or {}).items():
            value[place] += more
        kept = np.array([i for i in range(190) if i not in without])
        nothing = np.zeros(len(kept), dtype=np.int64)
        batch = RawBatch(
            self.people.tenant.id,
            int(at_s[-1]) + len(kept),
            int(at_s[-1]),
            nothing + self.channel.id,
            at_s[kept],
            value[kept],
            nothing,
            nothing + 5,
            nothing - 1,
        )
        StoreSink(self.store, lambda: self.now).deliver([batch])
        self.run()

    def run(self) -> None:
        """Derive what is dirty."""
        assert not run_once(self.ports, self.now).failures

    def edit(self, actor: Actor, *energy_milliwh: int, at: Any = AT, code: int = 1, reason: str = "") -> int:
        """Edit from an instant on."""
        return edit_values(
            actor=actor,
            now=self.now,
            services=self.services,
            series_id=self.series.id,
            starts_at=at,
            energy_milliwh=energy_milliwh,
            reason_code=code,
            reason=reason,
        )

    def at(self, at: Any = AT) -> tuple[int, int]:
        """Return value and provenance of an interval."""
        at_s = to_seconds(at)
        rows = self.store.measurements(self.people.tenant.id, [self.series.id], at_s, at_s + 900)
        return int(rows.value_milliwh[0]), int(rows.provenance[0])

    def raw(self) -> list[list[int]]:
        """Return every raw read."""
        rows = self.store.raw_reads(self.people.tenant.id, [self.channel.id], 0, 2**31)
        return [rows.measured_at_s.tolist(), rows.value.tolist(), rows.source.tolist()]
