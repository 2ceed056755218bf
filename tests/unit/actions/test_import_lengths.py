"""How long the intervals of a usage point are follows from all its files, whichever comes first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from relational import NOW, People, make_people
from unit.actions.test_import import HEAD
from unit.actions.test_import_registers import derive
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.queries import get_run_as_of
from wattkeeper.data.registry.models import Channel, Meter, Series, Site, Tenant
from wattkeeper.interfaces.reads.export import export_blocks
from wattkeeper.interfaces.reads.trace import trace_interval
from wattkeeper.interfaces.reads.versions import interval_history
from wattkeeper.pipeline import ports
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.memory import MemoryReadingStore

FIRST_AT = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALWAYS = (0, 2**32 - 1)


def file_of(
    interval_s: int,
    *,
    channel: str = "import",
    meter: str = "M1",
    first_at: datetime = FIRST_AT,
    days: int = 3,
) -> str:
    """Return 12 kWh a day: what a register shows at midnight (of no length), or a profile."""
    count = 86_400 // interval_s * days if interval_s else days + 1
    step_s, rise = (interval_s, "0") if interval_s else (86_400, "12")
    rows = []
    for i in range(count):
        at = first_at + timedelta(seconds=i * step_s)
        value = f"{12 * interval_s / 86_400:.6f}" if interval_s else str(100 + i * int(rise))
        rows.append(f"P1,{meter},{channel},{at:%Y-%m-%dT%H:%M:%SZ},{interval_s},{value},kWh,measured\n")
    return HEAD.replace("usage_point,", "usage_point,meter_serial,") + "".join(rows)


REGISTERS, HALVES = file_of(0), file_of(1800)
LATER = file_of(3600, meter="M2", first_at=FIRST_AT + 5 * DAY)


def bring(ours: People, services: Services, content: str, *, now: datetime = NOW) -> list[str]:
    told = import_file(
        actor=ours.operator, now=now, services=services, content=content.encode(), label="a.csv"
    )
    return [error.code for error in told.errors]


def state(ours: People, store: ReadingStore) -> dict[str, object]:
    """Return everything that the files left behind but ids and runs."""
    rows = Series.objects.filter(tenant=ours.tenant)
    quantities = dict(rows.values_list("id", "quantity"))
    values = store.measurements(ours.tenant.id, sorted(quantities), *ALWAYS)
    days = store.roll_ups(ours.tenant.id, sorted(quantities), [ALWAYS])
    found = Finding.objects.filter(tenant=ours.tenant, state=Finding.State.OPEN)
    return {
        "lengths": sorted(rows.values_list("quantity", "interval_s")),
        "meters": sorted(Meter.objects.filter(tenant=ours.tenant).values_list("serial_number", "interval_s")),
        "values": table_of(values, quantities),
        "sums": table_of(days, quantities),
        "findings": sorted((row.rule, row.starts_at, row.ends_at, str(row.evidence)) for row in found),
    }


def table_of(columns: Any, quantities: dict[int, str]) -> list[dict[str, Any]]:
    names = [name for name in type(columns).__slots__ if name != "run_id"]
    rows = zip(*(np.asarray(getattr(columns, name)).tolist() for name in names), strict=True)
    table = [dict(zip(names, row, strict=True)) for row in rows]
    named = [row | {"series_id": quantities[row["series_id"]]} for row in table]
    kept = [row for row in named if row.get("provenance", row.get("energy_milliwh"))]  # what says something
    return sorted(kept, key=lambda row: tuple(row.values()))


def comes_to(services: Services, store: MemoryReadingStore, files: Sequence[str]) -> dict[str, object]:
    """Return what files come to, each derived before the next one, of a tenant of its own."""
    own = make_people(f"{Tenant.objects.count()}")
    for content in files:
        assert bring(own, services, content) == []
        derive(own, store)
    return state(own, store)


def differing(services: Services, store: MemoryReadingStore, files: Sequence[str]) -> list[str]:
    """Return what of the state differs between some orders of the same files."""
    wanted, *others = (comes_to(services, store, order) for order in permutations(files))
    return sorted({name for other in others for name in wanted if other[name] != wanted[name]})


FILES = {
    "of half an hour": (REGISTERS, HALVES),
    "of five minutes": (REGISTERS, file_of(300)),
    "of days": (REGISTERS, file_of(86_400)),
    "of what is given back": (REGISTERS, file_of(1800, channel="export")),
    "of the meter that came after": (REGISTERS, LATER),
    "of both ways, registers too": (REGISTERS, file_of(1800, channel="export"), HALVES),
    "of two meters": (REGISTERS, file_of(1800, channel="export"), LATER),
}


@pytest.mark.alike
@pytest.mark.parametrize("files", FILES.values(), ids=FILES.keys())
def test_registers_and_a_profile_of_any_length_come_to_the_same_in_any_order(
    db: None, services: Services, store: MemoryReadingStore, files: Sequence[str]
) -> None:
    assert differing(services, store, files) == []


def test_intervals_of_another_length_that_stay_are_caught(
    db: None, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.MeasurementRows, "writing_off", lambda rows, _gone: rows)  # the planted fault
    assert differing(services, store, FILES["of half an hour"]) == ["values"]


def test_two_lengths_of_one_quantity_are_refused_in_any_order(
    db: None, services: Services, store: MemoryReadingStore
) -> None:
    for files in permutations((HALVES, file_of(900))):
        own = make_people(f"{Tenant.objects.count()}")
        assert [bring(own, services, content) for content in files] == [[], ["imports.interval-differs"]]


def test_what_was_known_before_is_told_as_of_then(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    bring(ours, services, REGISTERS)
    derive(ours, store)
    series_id, run_id = Series.objects.get().id, get_run_as_of(tenant_id=ours.tenant.id, at=NOW)
    before = store.measurements(ours.tenant.id, [series_id], *ALWAYS)
    assert bring(ours, services, HALVES, now=NOW + DAY) == []
    derive(ours, store)
    assert len(store.measurements(ours.tenant.id, [series_id], *ALWAYS).run_id) != len(before.run_id)
    again = store.measurements(ours.tenant.id, [series_id], *ALWAYS, as_of_run_id=run_id)
    assert again.starts_at_s.tolist() == before.starts_at_s.tolist()
    assert again.value_milliwh.tolist() == before.value_milliwh.tolist()
    given = {"tenant_id": ours.tenant.id, "codes": [], "first": FIRST_AT.date(), "last": FIRST_AT.date()}
    (then,) = export_blocks(store, **given, as_of_run_id=run_id, as_of=NOW)
    (now,) = export_blocks(store, **given)
    assert (then.interval_s, len(then.starts_at_s)) == (900, 96)
    assert (now.interval_s, len(now.starts_at_s)) == (1800, 48)


def test_a_trace_and_versions_tell_the_length_of_then(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    bring(ours, services, REGISTERS)
    derive(ours, store)
    run_id = get_run_as_of(tenant_id=ours.tenant.id, at=NOW)
    for days, interval_s in ((1, 1800), (2, 900)):
        Channel.objects.update(is_profiled=False)  # as if no profile had told another length
        assert bring(ours, services, file_of(interval_s), now=NOW + days * DAY) == []
        derive(ours, store, now=NOW + days * DAY + DAY / 2)
    series = Series.objects.select_related("usage_point__site").get()
    lengths: dict[int, list[int]] = {}
    traced: dict[int, list[int]] = {}
    for minute in (0, 15):
        at = {"series": series, "starts_at_s": to_seconds(FIRST_AT) + 60 * minute}
        versions = interval_history(store, **at).versions
        lengths[minute] = [version.interval_s for version in versions]
        runs = [version.row.run_id for version in versions]
        assert runs[-1] == run_id
        traces = [trace_interval(store, **at, as_of_run_id=run) for run in (None, *runs)]
        traced[minute] = [trace.interval_s for trace in traces if trace is not None]
    assert lengths == {0: [900, 1800, 900], 15: [900, 900]}
    assert traced == {0: [900, 900, 1800, 900], 15: [900, 900, 900]}


@pytest.mark.parametrize("minutes", [-30, 30])
def test_a_run_beside_the_import_tells_the_length_that_it_knew(
    ours: People, services: Services, store: MemoryReadingStore, minutes: int
) -> None:
    """It began before the import and knew the new length, or after its beginning and did not know it."""
    bring(ours, services, REGISTERS)
    derive(ours, store)
    Channel.objects.update(is_profiled=False)
    assert bring(ours, services, HALVES, now=NOW + DAY) == []
    beside = NOW + DAY + timedelta(minutes=minutes)
    if minutes < 0:
        derive(ours, store, now=beside)  # what was asked of the registry after it had begun
    else:
        Run.objects.update(recorded_at=beside)  # whose answers came before the import was done
    series = Series.objects.select_related("usage_point__site").get()
    at = {"series": series, "starts_at_s": to_seconds(FIRST_AT)}
    expected = [1800, 900] if minutes < 0 else [900]
    assert [version.interval_s for version in interval_history(store, **at).versions] == expected
    trace = trace_interval(store, **at)
    assert trace is not None
    assert trace.interval_s == expected[0]


def by_edit(ours: People, services: Services) -> None:
    edit_values(
        actor=ours.operator,
        now=NOW,
        services=services,
        series_id=Series.objects.get().id,
        starts_at=FIRST_AT,
        energy_milliwh=[4_000],
        reason_code=51,
        reason="",
    )


def by_formula(ours: People, _services: Services) -> None:
    given = {"code": "V1", "name": "V1", "formula": "[P1]", "site_id": Site.objects.get().id, "at": FIRST_AT}
    add_virtual_meter(actor=ours.operator, now=NOW, **given)


@pytest.mark.parametrize("rest", [by_edit, by_formula])
def test_intervals_that_something_rests_on_keep_their_length(
    ours: People, services: Services, store: MemoryReadingStore, rest: Callable[[People, Services], None]
) -> None:
    bring(ours, services, REGISTERS)
    derive(ours, store)
    rest(ours, replace(services, measured=measured_by(store, lambda: NOW)))
    assert bring(ours, services, HALVES) == ["imports.interval-differs"]
    assert Series.objects.filter(usage_point__code="P1").get().interval_s == 900
    assert bring(ours, services, file_of(900)) == []
