"""Registers of NEM13, read at any second: no energy is lost or counted twice, whatever comes when."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

import pytest

from relational import NOW, People
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Meter, Series
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.memory import MemoryReadingStore

READS = [  # market time, 0.1 kWh
    ("20260801093055", 63_428),
    ("20260901100333", 64_549),
    ("20261001112207", 66_000),
    ("20261031235959", 67_001),
]
MILLIWH = 100_000
LAST_AT = datetime(2026, 10, 31, 13, 59, 59, tzinfo=UTC)  # the last read
LAST_BOUNDARY_S = to_seconds(datetime(2026, 10, 31, 13, 45, tzinfo=UTC))
LAST_SPAN_S = 30 * 86_400 + 12 * 3600 + 37 * 60 + 52  # between the last two
ORDERS: list[Sequence[Sequence[int]]] = [
    [range(3)],
    *([[i] for i in order] for order in permutations(range(3))),
]


def advance(index: int, meter: str) -> str:
    (first_at, first), (last_at, last) = READS[index : index + 2]
    reads = f"{first / 10:08.1f},{first_at},A,,,{last / 10:08.1f},{last_at},A,,,{(last - first) / 10:.1f}"
    return f"250,VABC005890,11,1,11,11,{meter},E,{reads},kWh,20270101,20261103100333,20261103091133\r\n"


def bring(
    ours: People, services: Services, store: MemoryReadingStore, order: Sequence[Sequence[int]], last: str
) -> None:
    """Import the advances file by file, the last one by the meter `last`, and derive after each file."""
    for part in order:
        rows = "".join(advance(index, last if index == 2 else "M1") for index in part)
        text = f"100,NEM13,202611030900,MDA1,Ret1\r\n{rows}900\r\n"
        result = import_file(
            actor=ours.operator, now=NOW, services=services, content=text.encode(), label="a.nem13"
        )
        assert result.errors == ()
        derive(ours, store)


def derive(ours: People, store: MemoryReadingStore, *, now: datetime = NOW) -> None:
    while DirtyWindow.objects.exists():
        assert not run_once(pipeline_ports(store, ours.tenant.id, lambda: now), now).failures


def sum_until(ours: People, store: MemoryReadingStore, end_s: int) -> int:
    """Return all energy of intervals that begin before an instant."""
    (series_id,) = Series.objects.values_list("id", flat=True)
    rows = store.measurements(ours.tenant.id, [series_id], 0, end_s)
    return int(rows.value_milliwh[rows.provenance != Provenance.MISSING].sum())


@pytest.mark.alike
@pytest.mark.parametrize(
    ("order", "last"), [*((order, "M1") for order in ORDERS), (ORDERS[0], "M2")], ids=str
)
def test_what_a_register_advances_is_conserved_also_over_an_exchange(
    ours: People, services: Services, store: MemoryReadingStore, order: Sequence[Sequence[int]], last: str
) -> None:
    bring(ours, services, store, order, last)
    rest_s = to_seconds(LAST_AT) - LAST_BOUNDARY_S
    before, rise = (66_000 - 63_428) * MILLIWH, (67_001 - 66_000) * MILLIWH
    assert sum_until(ours, store, LAST_BOUNDARY_S) == before + rise * (LAST_SPAN_S - rest_s) // LAST_SPAN_S


def end_at_the_last_read(ours: People, services: Services, store: MemoryReadingStore) -> int:
    bring(ours, services, store, ORDERS[0], "M1")
    remove_meter(actor=ours.operator, now=NOW, services=services, meter_id=Meter.objects.get().id, at=LAST_AT)
    derive(ours, store)
    return sum_until(ours, store, to_seconds(NOW))


def test_a_meter_that_ends_with_its_last_read_holds_all_of_its_advance(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    assert end_at_the_last_read(ours, services, store) == (67_001 - 63_428) * MILLIWH


def test_what_lies_between_a_read_and_the_next_boundary_is_missed_where_it_is_lost(
    ours: People, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: an interval that the first or the last read cuts belongs to nobody."""
    monkeypatch.setattr("wattkeeper.core.readings.trace._fill_holes", lambda *_: [])
    assert end_at_the_last_read(ours, services, store) < (67_001 - 63_428) * MILLIWH


@pytest.mark.parametrize("told", ["A", "E64"])
def test_two_tellings_of_one_read_are_kept_in_one_file_as_in_two(
    ours: People, theirs: People, services: Services, store: MemoryReadingStore, told: str
) -> None:
    """A read that is estimated where one advance ends and measured where the next begins, or just another."""
    first = advance(0, "M1").replace("20260901100333,A", f"20260901100333,{told}")
    second = advance(1, "M1").replace("006454.9", "006450.0").replace(",145.1,", ",150.0,")
    found = []
    for people, files in ((ours, [first + second]), (theirs, [second, first])):
        for rows in files:
            content = f"100,NEM13,202611030900,MDA1,Ret1\r\n{rows}900\r\n".encode()
            told_back = import_file(
                actor=people.operator, now=NOW, services=services, content=content, label="a.nem13"
            )
            assert told_back.errors == ()
            derive(people, store)
        channel = Meter.objects.get(tenant=people.tenant).channels.get()
        reads = store.raw_reads(people.tenant.id, [channel.id], 0, 2**32 - 1)
        found.append(
            {*zip(reads.measured_at_s.tolist(), reads.value.tolist(), reads.flags.tolist(), strict=True)}
        )
    assert len(found[0]) == 4
    assert found[0] == found[1]
