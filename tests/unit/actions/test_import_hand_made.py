"""A meter that a person added, because the old one was exchanged, and that files speak for from then on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from relational import NOW, People
from unit.actions.test_import_registers import MILLIWH, advance, derive, sum_until
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.registry import channels
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.registry.models import Channel, Meter
from wattkeeper.store.memory import MemoryReadingStore

EXCHANGED_AT = datetime(2026, 10, 1, 1, 22, 7, tzinfo=UTC)  # the third read of the old meter
TEN_DAYS = timedelta(days=10)
READS = ["5.25", "17.75", "999.75"]  # of the new meter, every ten days


def later_file() -> str:
    rows = []
    for i, (first, last) in enumerate(pairwise(READS)):
        from_at, to_at = (
            f"{EXCHANGED_AT + (i + k) * TEN_DAYS + timedelta(hours=10):%Y%m%d%H%M%S}" for k in (0, 1)
        )
        reads = f"{first},{from_at},A,,,{last},{to_at},A,,,{Decimal(last) - Decimal(first)}"
        rows.append(f"250,VABC005890,11,1,11,11,M2,E,{reads},kWh,20270101,20261103100333,20261103091133\r\n")
    return "".join(rows)


def bring(ours: People, services: Services, store: MemoryReadingStore, rows: str) -> list[str]:
    content = f"100,NEM13,202611030900,MDA1,Ret1\r\n{rows}900\r\n".encode()
    result = import_file(actor=ours.operator, now=NOW, services=services, content=content, label="a.csv")
    derive(ours, store)
    return [error.code for error in result.errors]


def exchange(ours: People, services: Services, store: MemoryReadingStore) -> list[str]:
    """Return what is refused of the new meter's first file."""
    assert bring(ours, services, store, advance(0, "M1") + advance(1, "M1")) == []
    old = Meter.objects.get()
    own = {"actor": ours.operator, "now": NOW, "services": services}
    new_id = add_meter(**own, site_id=old.site_id, serial_number="M2", interval_s=900)
    exchange_meter(
        **own,
        meter_id=old.id,
        new_meter_id=new_id,
        at=EXCHANGED_AT,
        final_read="6600.0",
        initial_read=READS[0],
    )
    return bring(ours, services, store, later_file())


def test_files_go_on_where_a_person_exchanged_the_meter(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    assert exchange(ours, services, store) == []
    own = {"actor": ours.operator, "now": NOW}
    new = Meter.objects.get(serial_number="M2")
    remove_meter(**own, services=services, meter_id=new.id, at=EXCHANGED_AT + 2 * TEN_DAYS)
    derive(ours, store)
    assert sum_until(ours, store, to_seconds(NOW)) == (66_000 - 63_428) * MILLIWH + 994_500_000
    copy_meter(**own, meter_id=new.id, serial_number="M3", address="")
    steps = dict(Channel.objects.values_list("meter__serial_number", "shown_count"))
    assert steps == {"M1": 100_000, "M2": 10_000, "M3": 10_000}


def test_steps_that_no_file_has_are_noticed(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(channels.USUAL_CHANNELS, "", channels.OTHER_CHANNELS)
    assert exchange(ours, services, store) == ["imports.step-differs"]
