"""`verify` on a small real installation: it finds nothing where nothing is wrong, and locates each fault."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from django.db import transaction

from conformance.stores import running_store
from conformance.verify_plants import (
    HOME_DAY,
    HOME_NOON_SQL,
    OCTOBER_PLANTS,
    PLANTS,
    RATE_DAY,
    ROLL_UP,
    Plant,
    unguard,
)
from conformance.verify_world import World, make_world
from console_street import derive
from relational import LONG_AGO, NOW
from wattkeeper.actions.billing.replace_bill import replace_bill
from wattkeeper.actions.billing.run_billing import run_billing
from wattkeeper.actions.collection.import_file import import_file
from wattkeeper.actions.operations import told_runs, verify_bills
from wattkeeper.actions.operations.archive_months import archive_months, restore_months
from wattkeeper.actions.operations.keep_retention import keep_retention, list_due
from wattkeeper.actions.operations.set_retention import set_retention
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, Contract, RebillCheck
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.store import verify_queries
from wattkeeper.store.api import RawFrame
from wattkeeper.store.archive import archive_month, list_destroyed, remove_month
from wattkeeper.store.columns import frame_table, read_columns
from wattkeeper.store.conformance_data import batch, measured
from wattkeeper.store.keeping import KeepingReadingStore
from wattkeeper.store.newest import Newest
from wattkeeper.store.receipts import receipt_table, receipts_of
from wattkeeper.store.schema import TABLES
from wattkeeper.store.verify import Check, Fault, instant
from wattkeeper.store.verify_raw import check_batches, check_frames

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=100)  # when the months that are open now may be archived
CHECKS = {
    "store.parts",
    "store.batches",
    "store.frames",
    "store.stamps",
    "store.runs",
    "store.owners",
    "values.runs",
    "values.derived",
    "values.registers",
    "values.roll-ups",
    "values.rates",
    "values.latest",
    "values.field-reads",
    "tariffs",
    "bills",
    "audit",
    "spool",
    "archive",
}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: pytest.FixtureRequest,
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("installation")
    with django_db_blocker.unblock(), running_store(folder) as store, transaction.atomic():  # type: ignore[attr-defined]
        world = make_world(folder, store, folder / "readings" / "engine")
        for table in TABLES:
            store.execute(f"CREATE TABLE kept_{table} AS {table}")
            store.execute(f"INSERT INTO kept_{table} SELECT * FROM {table}")
        yield world
        transaction.set_rollback(True)


@pytest.fixture
def world(made: World, db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The installation as it was made; whatever a test does to it is undone. Few runs are a part."""
    monkeypatch.setattr(told_runs, "PART_COUNT", 2)
    for table in TABLES:
        made.store.execute(f"TRUNCATE TABLE {table}")
        made.store.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    shutil.copytree(made.folder / "spool", tmp_path / "spool")
    return replace(made, folder=tmp_path, services=replace(made.services, data_folder=tmp_path))


def test_a_whole_installation_is_proved(world: World) -> None:
    checks = {check.name: check for check in world.verify()}
    assert set(checks) == CHECKS
    assert not [fault for check in checks.values() for fault in check.faults]
    unproved = [fault.code for check in checks.values() for fault in check.unproved]
    assert unproved == ["verify.audit-no-head"]
    assert not any(check.unproved for check in world.verify()), "heads are there now"
    examined = {name: check.examined_count for name, check in checks.items()}
    assert examined["store.batches"] > 8000
    assert examined["values.runs"] == Run.objects.count() > 2
    assert examined["values.derived"] > 8000
    assert examined["values.registers"] > 70
    assert examined["values.roll-ups"] > 80
    assert examined["bills"] == examined["tariffs"] == 1
    assert examined["spool"] == 2


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_each_corruption_is_found_and_located(world: World, plant: Plant) -> None:
    wanted = plant(world)
    found = [fault for check in world.verify() for fault in check.faults]
    for code, place in wanted:
        assert any(_is_at(fault, code, place) for fault in found), (code, place, found[:10])


def test_a_file_of_decades_ago_is_proved_and_the_years_between_are_not_derived_for_all(world: World) -> None:
    before = {check.name: check.examined_count for check in world.verify()}["values.derived"]
    rows = [f"OLD,import,2003-12-04T{hour:02d}:00:00Z,3600,1,kWh,measured" for hour in range(24)]
    text = "\n".join(["usage_point,channel,starts_at,interval_s,value,unit,quality", *rows]).encode()
    import_file(actor=world.people.operator, now=NOW, services=world.services, content=text, label="old.csv")
    derive(world.store, world.tenant_id)
    found = {check.name: check for check in world.verify()}
    assert not [fault for check in found.values() for fault in check.faults]
    its_gap_count = 24 * 366 * 23  # of its own, to the last days; others were not there
    assert 24 <= found["values.derived"].examined_count - before < its_gap_count + 62 * 96 * 10


def test_the_advance_of_a_nem13_file_is_conserved_and_proved(world: World) -> None:
    text = (
        "100,NEM13,202611030900,MDA1,Ret1\r\n"
        "250,VABC005890,11,1,11,11,METSER123,E,999942.8,20261001093000,A,,,000054.9,20261102100000,A,,,112.1,kWh,"
        "20270101,20261103100333,20261103091133\r\n900\r\n"
    )
    result = import_file(
        actor=world.people.operator, now=NOW, services=world.services, content=text.encode(), label="a"
    )
    assert (result.rows_count, result.errors) == (2, ())
    derive(world.store, world.tenant_id)
    series = Series.objects.get(usage_point__code="VABC005890")
    values = world.store.measurements(world.tenant_id, [series.id], 0, 2**40)
    is_between = values.starts_at_s < datetime(2026, 11, 2, tzinfo=UTC).timestamp()
    is_between &= values.starts_at_s >= datetime(2026, 9, 30, 23, 30, tzinfo=UTC).timestamp()
    assert int(values.value_milliwh[is_between].sum()) == 112_100_000
    assert not [fault for check in world.verify() for fault in check.faults]


def test_the_values_of_a_run_whose_sum_is_not_known_are_counted_and_it_is_told(world: World) -> None:
    """One of a release before; and one that was cut short between its values and what it says of them."""
    Run.objects.filter(id=world.newest_run_id).update(values_mix=None)
    at_s = int((NOW - timedelta(days=3)).timestamp()) // 900 * 900
    old_run_id = Run.objects.earliest("id").id
    world.store.insert_measurements(world.tenant_id, measured([(world.series_id, at_s, 1, old_run_id)]))
    (check,) = (check for check in world.verify() if check.name == "store.runs")
    assert not check.faults
    assert [(fault.code, fault.place["runs"]) for fault in check.unproved] == [("verify.runs-unsummed", 2)]


def test_the_sums_of_a_run_whose_own_sum_is_not_known_are_counted_and_it_is_told(world: World) -> None:
    """One of a release before; and one that was cut short between its days and what it says of them."""
    Run.objects.filter(id=world.newest_run_id).update(roll_ups_mix=None)
    old = Run.objects.filter(roll_ups_count__gt=1).earliest("id")
    Run.objects.filter(id=old.id).update(roll_ups_count=1, roll_ups_mix=0)
    (check,) = (check for check in world.verify() if check.name == "store.runs")
    assert not check.faults
    assert [(fault.code, fault.place["runs"]) for fault in check.unproved] == [("verify.sums-unsummed", 2)]


def test_when_a_run_of_an_earlier_release_could_be_read_is_not_proved_and_it_is_told(world: World) -> None:
    Run.objects.filter(id=world.newest_run_id).update(record_mix=None)
    (check,) = (check for check in world.verify() if check.name == "values.runs")
    assert not check.faults
    assert [(told.code, told.place["runs"]) for told in check.unproved] == [("verify.runs-undated", 1)]


def test_the_rates_of_a_day_come_to_the_day(world: World) -> None:
    """Of days that were derived again since the contract holds; one rate is a watt-hour short on the last."""
    derive_three_days(world)
    home = f"series_id = {world.home.series_id}"
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    assert (check.examined_count, check.faults) == (3, [])
    late = f"{home} AND starts_at = '2026-10-11 16:00:00'"
    world.alter("rate_day", f"UPDATE energy_milliwh = energy_milliwh - 1000 WHERE rate_index = 0 AND {late}")
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    (fault,) = check.faults
    assert (fault.code, fault.place["series_id"], fault.place["date"]) == (
        "verify.rates-wrong",
        world.home.series_id,
        "2026-10-12",
    )
    assert fault.place["wanted"] - fault.place["stored"] == 1000
    later = ROLL_UP.replace("run_id", "run_id + 100")
    world.store.execute(f"INSERT INTO roll_up SELECT {later} FROM roll_up WHERE grain = 1 AND {late}")
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    assert (check.examined_count, check.faults) == (2, []), "it was another calendar's when the day changed"


@pytest.mark.parametrize(
    "change",
    [
        "energy_milliwh = energy_milliwh + if(rate_index = 0, 1000, -1000)",
        "held_count = held_count + if(rate_index = 0, 1, -1)",
        "expected_count = expected_count + 1",
        "loose_count = 1",
        "estimated_milliwh = 1",
    ],
    ids=["energy", "held", "expected", "loose", "estimated"],
)
def test_a_day_that_is_shared_otherwise_among_its_rates_is_a_fault(world: World, change: str) -> None:
    """What they come to is right: each is recounted from the values in its hours."""
    derive_three_days(world)
    late = f"series_id = {world.home.series_id} AND starts_at = '2026-10-11 16:00:00'"
    world.alter("rate_day", f"UPDATE {change} WHERE {late} AND rate_index IN (0, 1)")
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    place = {"series_id": world.home.series_id, "date": "2026-10-12"}
    assert [
        (fault.code, fault.place["rate_index"], fault.place | place == fault.place) for fault in check.faults
    ] == [("verify.rate-wrong", 0, True), ("verify.rate-wrong", 1, True)]


def test_a_value_that_can_not_be_added_up_is_a_fault_of_its_own_rate_alone(world: World) -> None:
    derive_three_days(world)
    home = f"series_id = {world.home.series_id}"
    world.alter("measurement", f"UPDATE value_milliwh = pow(2, 60) WHERE {home} AND {HOME_NOON_SQL}")
    late = f"{home} AND starts_at = '2026-10-11 16:00:00'"
    world.alter("rate_day", f"UPDATE loose_count = 1 WHERE rate_index = 0 AND {late}")
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    assert [(fault.code, fault.place["date"]) for fault in check.faults] == [
        ("verify.rate-wrong", HOME_DAY),
        ("verify.rate-wrong", "2026-10-12"),
    ]


def test_rates_that_changed_places_are_a_fault(world: World) -> None:
    derive_three_days(world)
    other = "if(rate_index = 0, 1, if(rate_index = 1, 0, rate_index)) AS other"
    columns = RATE_DAY.replace("rate_index", other)
    world.store.execute("CREATE TABLE swapped AS rate_day")
    world.store.execute(f"INSERT INTO swapped SELECT {columns} FROM rate_day")
    world.store.execute("TRUNCATE TABLE rate_day")
    world.store.execute("INSERT INTO rate_day SELECT * FROM swapped")
    world.store.execute("DROP TABLE swapped SYNC")
    (check,) = (check for check in world.verify() if check.name == "values.rates")
    assert {fault.code for fault in check.faults} == {"verify.rate-wrong"}
    assert {fault.place["date"] for fault in check.faults} == {"2026-10-10", "2026-10-11", "2026-10-12"}


def derive_three_days(world: World) -> None:
    """Derive three days of the first home again, now that a contract holds: only then they have rates."""
    days = "starts_at >= '2026-10-09 16:00:00' AND starts_at < '2026-10-12 16:00:00'"
    world.alter("measurement", f"DELETE WHERE series_id = {world.home.series_id} AND {days}")
    span = (int(LONG_AGO.timestamp()), int(NOW.timestamp()))
    channel = Channel.objects.get(meter_id=world.home.meter_id, reading_type="energy_import_register_kwh")
    mark_dirty(tenant_id=world.tenant_id, now=NOW, reason="test", channels={channel.id: span})
    derive(world.store, world.tenant_id)


def test_what_is_issued_while_it_looks_is_no_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([dict[str, verify_bills._Issued]()])
    issued = verify_bills._issued
    monkeypatch.setattr(verify_bills, "_issued", lambda tenant_id: next(asked, issued(tenant_id)))
    (check,) = (check for check in world.verify() if check.name == "bills")
    assert (check.examined_count, check.faults) == (1, [])


def test_a_bill_that_was_taken_back_twice_is_proved(world: World) -> None:
    """The same document is issued and taken back again: the audit tells of both."""
    actor, bill = world.people.administrator, Bill.objects.get(id=world.home.bill_id)
    own = ZoneInfo(bill.document["zone"])
    first, end = (at.astimezone(own).date() for at in (bill.starts_at, bill.ends_at))
    for hours in (1, 2):
        at = NOW + timedelta(hours=hours)
        bill_id = Bill.objects.get(state=Bill.State.ISSUED).id
        replace_bill(actor=actor, now=at, bill_id=bill_id, parts=[])
        run_billing(actor=world.people.operator, now=at, services=world.services, first=first, end=end)
    (check,) = (check for check in world.verify() if check.name == "bills")
    assert (check.examined_count, check.faults) == (5, [])


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_bill_that_an_earlier_release_took_back_is_held_to_when(world: World, *, is_moved: bool) -> None:
    """It was recorded with the bill in its place: under `billing.issue`, of the usage point."""
    replace_bill(actor=world.people.administrator, now=NOW, bill_id=world.home.bill_id, parts=[])
    reversal = Bill.objects.get(reverses_id=world.home.bill_id)
    unguard("audit_auditrecord")
    AuditRecord.objects.filter(verb="billing.replace").update(
        verb="billing.issue",
        subject=f"usage-point:{reversal.usage_point_id}",
        detail={"reversal_key": reversal.document["document_key"], "outcome": "corrected"},
        recorded_at=NOW - timedelta(hours=is_moved),
    )
    (check,) = (check for check in world.verify() if check.name == "bills")
    wanted = [("verify.bill-misdated", reversal.id)] if is_moved else []
    assert [(fault.code, fault.place["bill_id"]) for fault in check.faults] == wanted


def test_documents_of_an_earlier_release_are_told_as_far_as_they_are_proved(world: World) -> None:
    unguard("audit_auditrecord")
    for record in AuditRecord.objects.filter(verb__in=["tariffs.add-version", "billing.issue"]):
        detail = {name: told for name, told in record.detail.items() if name != "document_sha256"}
        AuditRecord.objects.filter(id=record.id).update(detail=detail)
    checks = {check.name: check for check in world.verify()}
    for name, what in (("tariffs", "versions"), ("bills", "bills")):
        assert (checks[name].examined_count, checks[name].faults) == (1, [])
        (told,) = checks[name].unproved
        assert (told.code, told.place[what]) == (f"verify.{name}-unsummed", 1)


def test_a_sample_says_that_it_is_one(world: World) -> None:
    checks = {check.name: check for check in world.verify(sample_count=1)}
    assert [fault.code for fault in checks["values.derived"].unproved] == ["verify.sampled"]


def test_what_waits_to_be_derived_is_no_fault(world: World) -> None:
    world.alter("measurement", f"UPDATE value_milliwh = 0 WHERE series_id = {world.series_id}")
    span = (int(LONG_AGO.timestamp()), int(NOW.timestamp()))
    mark_dirty(tenant_id=world.tenant_id, now=NOW, reason="test", channels={world.channel_id: span})
    checks: dict[str, Check] = {check.name: check for check in world.verify()}
    for name in ("values.derived", "values.registers", "values.roll-ups"):
        assert not checks[name].faults, name
    (told,) = checks["values.derived"].unproved
    assert (told.code, told.place["series"]) == ("verify.not-derived-yet", 1)
    assert told.place["days"] > 20


def test_an_archived_month_is_no_fault_and_comes_back_proved(world: World) -> None:
    actor, services = world.people.administrator, world.services
    gone = list(archive_months(actor=actor, now=NOW, services=services, before_month=202610))
    assert {manifest.table for manifest in gone} == {"raw_receipt", "raw_read", "measurement"}
    checks = world.verify()
    assert not [fault for check in checks for fault in check.faults]
    assert {fault.code for check in checks for fault in check.unproved} == {
        "verify.archived",
        "verify.runs-unsummed",
        "verify.bill-archived",
        "verify.audit-no-head",
    }
    back = list(restore_months(actor=actor, now=NOW, services=services, from_month=202609, to_month=202609))
    assert len(back) == len(gone)
    checks = world.verify()
    assert not [fault for check in checks for fault in (*check.faults, *check.unproved)]


def test_a_destroyed_month_is_told_and_not_called_lost(world: World) -> None:
    actor, services = world.people.administrator, world.services
    for kind, months in (("FRAMES", 1), ("READS", 1), ("VALUES", 13)):
        set_retention(
            actor=actor,
            now=NOW,
            kind=kind,
            store_months_count=months,
            file_months_count=months + 1,
        )
    far = NOW + timedelta(days=420)
    Contract.objects.update(ends_at=NOW)
    RebillCheck.objects.all().delete()
    held = {row.held_by for row in list_due(services=services, now=far)}
    assert held == {"", "operations.held-unbilled"}, "the last weeks of the contract"
    Contract.objects.update(ends_at=Bill.objects.get().ends_at)
    while keep_retention(services=services, now=far):
        pass
    destroyed = list_destroyed(world.folder / "archive")
    assert {(found.table, found.month) for found in destroyed} >= {
        ("raw_read", 202610),
        ("raw_frame", 202611),
    }
    assert {found.month for found in destroyed if found.table == "measurement"} == {202609, 202610}
    checks = {check.name: check for check in world.verify()}
    assert not [fault for check in checks.values() for fault in check.faults]
    told = {fault.place["table"]: fault.place for fault in checks["archive"].unproved}
    assert {fault.code for fault in checks["archive"].unproved} == {"verify.destroyed"}
    assert told["raw_read"]["rows"] == sum(one.rows_count for one in destroyed if one.table == "raw_read")
    assert (told["measurement"]["first"], told["measurement"]["last"]) == (202609, 202610)


@pytest.mark.parametrize("hides", [True, False], ids=["as if destroyed", "only its files"])
def test_a_month_that_somebody_took_away_is_a_fault(world: World, *, hides: bool) -> None:
    actor, services = world.people.administrator, world.services
    list(archive_months(actor=actor, now=NOW, services=services, before_month=202610))
    folder = world.folder / "archive" / "raw_read" / "202609"
    (folder / "rows.parquet").unlink()
    if hides:
        (folder / "manifest.json").rename(folder / "destroyed-0123456789abcdef.json")
    faults = [fault for check in world.verify() for fault in check.faults]
    code = "verify.destroyed-unrecorded" if hides else "verify.archive-damaged"
    assert [(fault.code, fault.place["table"], fault.place["month"]) for fault in faults] == [
        (code, "raw_read", 202609)
    ]


def test_a_month_between_archived_ones_is_proved_as_far_as_it_can_be(world: World) -> None:
    leave_all_but_october(world)
    checks = {check.name: check for check in world.verify()}
    assert not [fault for check in checks.values() for fault in check.faults]
    assert {fault.code for check in checks.values() for fault in check.unproved} == {
        "verify.archived",
        "verify.runs-unsummed",
        "verify.archived-beside",
        "verify.bill-archived",  # local October begins in September of UTC
        "verify.audit-no-head",
    }
    away = [(fault.place["from"], fault.place["to"]) for fault in checks["values.roll-ups"].unproved]
    assert away == [
        ("2026-09-01T00:00:00+00:00", "2026-10-01T00:00:00+00:00"),
        ("2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00"),
    ]
    assert checks["values.derived"].examined_count > 2 * 31 * 96
    assert checks["values.roll-ups"].examined_count > 40
    assert checks["values.registers"].examined_count > 20


def test_an_archive_that_was_cut_short_between_two_tables_is_no_fault(world: World) -> None:
    folder = world.folder / "archive"
    manifest = archive_month(world.store, folder, "raw_receipt", 202610)
    assert manifest is not None
    remove_month(world.store, folder, manifest)
    checks = {check.name: check for check in world.verify()}
    assert not [fault for check in checks.values() for fault in check.faults]
    assert [fault.place["from"] for fault in checks["store.batches"].unproved] == [
        "2026-10-01T00:00:00+00:00"
    ]


@pytest.mark.parametrize("plant", OCTOBER_PLANTS, ids=lambda plant: plant.__name__)
def test_a_corruption_of_a_month_between_archived_ones_is_found(world: World, plant: Plant) -> None:
    leave_all_but_october(world)
    wanted = plant(world)
    found = [fault for check in world.verify() for fault in check.faults]
    for code, place in wanted:
        assert any(_is_at(fault, code, place) for fault in found), (code, place, found[:10])


@pytest.mark.parametrize(
    "change", ["UPDATE value_milliwh = bitXor(value_milliwh, 64)", "DELETE"], ids=["flipped", "lost"]
)
def test_what_was_measured_is_proved_beside_archived_months_too(world: World, change: str) -> None:
    """A watt-second that is wrong in the midst of October is wrong whatever September held."""
    leave_all_but_october(world)
    world.alter("measurement", f"{change} WHERE series_id = {world.home.series_id} AND {HOME_NOON_SQL}")
    (check,) = (check for check in world.verify() if check.name == "values.derived")
    (fault,) = check.faults
    assert (fault.code, fault.place["date"], fault.place["values"]) == (
        "verify.value-not-derived",
        HOME_DAY,
        1,
    )


def leave_all_but_october(world: World) -> None:
    """Archive September, October and November; put October back."""
    actor, services = world.people.administrator, world.services
    gone = list(archive_months(actor=actor, now=LATER, services=services, before_month=202612))
    back = list(restore_months(actor=actor, now=LATER, services=services, from_month=202610, to_month=202610))
    assert {manifest.month for manifest in gone} == {202609, 202610, 202611}
    assert {manifest.table for manifest in back} >= {"raw_read", "measurement"}


def test_an_open_month_is_not_archived(world: World) -> None:
    actor = world.people.administrator
    with pytest.raises(WattkeeperError) as caught:
        list(archive_months(actor=actor, now=NOW, services=world.services, before_month=202611))
    assert caught.value.code == "operations.month-open"


class Arriving:
    """A store to which batches come while it is asked: one step of one of them before each question."""

    def __init__(self, world: World) -> None:
        self._store = world.store
        self._steps = self._arrive(world.tenant_id, world.channel_id)

    def select(self, query: str) -> pa.Table:
        next(self._steps)
        return self._store.select(query)

    def _arrive(self, tenant_id: int, channel_id: int) -> Iterator[None]:
        at_s = int(NOW.timestamp()) - 3 * 86_400
        for batch_id in count(5000):
            frame = RawFrame(1, 2, at_s, b"frame")
            rows = [(channel_id, at_s + batch_id, batch_id)]
            whole = batch(rows, tenant_id=tenant_id, batch_id=batch_id, frames=(frame,))
            self._store._insert("raw_frame", frame_table([(tenant_id, batch_id, 0, frame)]))
            yield
            self._store._insert("raw_receipt", receipt_table(list(receipts_of(whole))))
            yield
            self._store._append("raw_read", read_columns([whole]))
            yield


@pytest.mark.parametrize("check_raw", [check_batches, check_frames])
@pytest.mark.parametrize("steps_count", range(3))
def test_what_arrives_while_it_looks_is_no_fault(
    world: World, check_raw: Callable[..., None], steps_count: int
) -> None:
    arriving, check = Arriving(world), Check("raw")
    for _ in range(steps_count):
        arriving.select("SELECT 1 FORMAT ArrowStream")
    for _ in range(4):
        check_raw(arriving, check, {table: set() for table in TABLES})
    assert (check.faults, check.unproved) == ([], [])
    assert check.examined_count


def test_what_is_measured_while_it_looks_is_no_fault(world: World) -> None:
    """A proof may take hours; the values of these hours are none of the future."""
    at_s = int(NOW.timestamp())
    world.store.insert_measurements(
        world.tenant_id, measured([(world.series_id, at_s, 1, world.newest_run_id)])
    )
    later = replace(world, services=replace(world.services, now=lambda: NOW + timedelta(hours=1)))
    for looked, codes in ((world, ["verify.value-future"]), (later, [])):
        (check,) = (check for check in looked.verify() if check.name == "store.stamps")
        assert [fault.code for fault in check.faults] == codes


def test_a_read_of_the_future_that_was_delivered_often_hides_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_s = int((NOW + timedelta(days=2)).timestamp())
    late_reads = verify_queries.late_reads
    monkeypatch.setattr(
        verify_queries, "late_reads", lambda ahead_s: late_reads(ahead_s).replace("LIMIT 2000", "LIMIT 2")
    )
    for batch_id, seconds in ((31, 0), (32, 0), (33, 0), (34, 1)):
        rows = [(world.channel_id, at_s + seconds, 1)]
        world.store.insert_raw([batch(rows, tenant_id=world.tenant_id, batch_id=batch_id)])
    (check,) = (check for check in world.verify() if check.name == "store.stamps")
    assert [fault.place["at"] for fault in check.faults] == [instant(at_s), instant(at_s + 1)]


def test_reads_that_were_delivered_again_in_another_batch_are_proved_by_their_sum(world: World) -> None:
    """One of two batches that hold the same reads is short, and nothing is lost."""
    rows = [(world.channel_id, int(NOW.timestamp()) - 900 * index, 1) for index in range(1, 5)]
    for batch_id in (31, 32):
        world.store.insert_raw([batch(rows, tenant_id=world.tenant_id, batch_id=batch_id)])
    world.alter("raw_read", "DELETE WHERE batch_id = 31")
    (check,) = (check for check in world.verify() if check.name == "store.batches")
    assert (check.faults, check.unproved) == ([], [])
    world.alter("raw_read", f"DELETE WHERE batch_id = 32 AND value = 1 AND measured_at = {rows[0][1]}")
    (check,) = (check for check in world.verify() if check.name == "store.batches")
    assert {fault.place["batch_id"] for fault in check.faults} >= {32}


def test_a_record_that_no_probe_finds_is_a_fault(world: World, tmp_path: Path) -> None:
    """It is in the table, whole, and in a place where nobody looks for it."""
    path = tmp_path / "latest.table"
    store = KeepingReadingStore.keeping(world.store, path)
    store.rebuild()
    kept = replace(world, services=replace(world.services, store=store))
    words = np.memmap(path, np.int64, "r+")[512:].reshape(-1, 8)
    at = int(np.flatnonzero(words[:, 2] == world.channel_id)[0])
    free = np.flatnonzero((words[:, 0] == 0) & (np.roll(words[:, 0], 1) == 0))[0]
    words[free], words[at] = words[at], 0
    words.flush()
    (check,) = (check for check in kept.verify() if check.name == "values.latest")
    assert [fault.place["channel_id"] for fault in check.faults] == [world.channel_id]


def test_a_header_that_counts_other_records_is_a_fault(world: World, tmp_path: Path) -> None:
    """By too small a count the table would fill up until no probe ends."""
    path = tmp_path / "latest.table"
    store = KeepingReadingStore.keeping(world.store, path)
    store.rebuild()
    kept = replace(world, services=replace(world.services, store=store))
    header = np.memmap(path, np.int64, "r+")[:512]
    (records_count,) = header[2:3].tolist()
    header[2] -= 1
    (check,) = (check for check in kept.verify() if check.name == "values.latest")
    assert [(fault.code, fault.place) for fault in check.faults] == [
        ("verify.latest-miscounted", {"told": records_count - 1, "held": records_count})
    ]


def test_a_newest_read_that_is_kept_wrongly_is_found(world: World, tmp_path: Path) -> None:
    store = KeepingReadingStore.keeping(world.store, tmp_path / "latest.table")
    store.rebuild()
    kept = replace(world, services=replace(world.services, store=store))
    (check,) = (check for check in kept.verify() if check.name == "values.latest")
    assert check.examined_count > 2
    assert not check.faults
    row = (world.tenant_id, world.channel_id, int(NOW.timestamp()), 1, 0, int(Source.PROFILE))
    store._table.take(Newest(*(np.array([value]) for value in row)))
    (check,) = (check for check in kept.verify() if check.name == "values.latest")
    assert [fault.place["channel_id"] for fault in check.faults] == [world.channel_id]


def _is_at(fault: Fault, code: str, place: dict[str, object]) -> bool:
    return fault.code == code and all(fault.place.get(name) == value for name, value in place.items())
