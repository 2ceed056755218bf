"""From registers to findings: what the rules over periods see of weeks that an embedded store keeps."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from conformance.stores import running_store
from period_world import TODAY_S, assign, judge
from relational import NOW, People, Street
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.channels import ChannelSpec
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch, ReadingStore

FIRST_AT = datetime(2026, 9, 29, 16, tzinfo=UTC)  # midnight in Shanghai, two days before October
COUNT = (TODAY_S - to_seconds(FIRST_AT)) // 900
IMPORT, REACTIVE = "energy_import_register_kwh", "energy_reactive_import_register_kvarh"


def place(ago: int) -> int:
    """Return the index of the first interval of a day so many days back."""
    return COUNT - 96 * ago


def deliver(store: ReadingStore, people: People, meter_id: int, advance: Mapping[str, Any]) -> None:
    """Deliver the registers of a meter, read every quarter of an hour; `advance` in counts."""
    channel_of = dict(Channel.objects.filter(meter_id=meter_id).values_list("reading_type", "id"))
    at_s = to_seconds(FIRST_AT) + 900 * np.arange(COUNT + 1, dtype=np.int64)
    for name, counts in advance.items():
        value = 5000 + np.concatenate(([0], np.cumsum(counts)))
        same = np.zeros(COUNT + 1, dtype=np.int64)
        columns = (same + channel_of[name], at_s, value, same, same + Source.PROFILE, same - 1)
        batch = RawBatch(people.tenant.id, channel_of[name], int(at_s[-1]), *columns)
        StoreSink(store, lambda: NOW).deliver([batch])


def test_weeks_of_registers_are_judged(
    ours: People, street: Street, services: Services, tmp_path: Path
) -> None:
    who: dict[str, Any] = {"actor": ours.operator, "now": NOW}
    meters = [
        add_meter(
            **who,
            services=services,
            site_id=street.site_id,
            serial_number=f"R{index}",
            channels=[ChannelSpec(name, Fraction(1, 100)) for name in names],
        )
        for index, names in enumerate([(IMPORT, REACTIVE), (IMPORT,)])
    ]
    for meter_id, point_id in zip(meters, (street.point_id, street.other_point_id), strict=True):
        install_meter(**who, services=services, meter_id=meter_id, usage_point_id=point_id, at=FIRST_AT)
    set_topology(**who, child_id=street.other_point_id, parent_id=street.point_id, at=FIRST_AT)
    assign(ours, {"code": "shape-1", "formulas": ["max <= 4 * mean"]}, 40)
    taken, used = np.full((2, COUNT), 2, dtype=np.int64)
    taken[place(12)] = used[place(12)] = 14  # a peak of both
    taken[place(10) : place(9)] = 0  # what goes in is not counted for a day
    with running_store(tmp_path) as store:
        deliver(store, ours, meters[0], {IMPORT: taken, REACTIVE: np.full(COUNT, 1, dtype=np.int64)})
        deliver(store, ours, meters[1], {IMPORT: used})
        ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
        while DirtyWindow.objects.exists():
            assert not run_once(ports, NOW).failures
        found = sorted({(rule, ago) for rule, ago, _, _ in judge(store, ours)})
    assert found == [
        ("vee.feeder-exceeded", 10),
        ("vee.peak-change", 12),
        ("vee.reactive-only", 10),
        ("vee.statistics", 12),
    ]
