"""Corruptions to plant in a small installation, and where `verify` has to find each."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow.parquet as pq
from django.db import connection

from conformance.verify_world import World
from relational import LONG_AGO, NOW
from wattkeeper.actions.billing.replace_bill import replace_bill
from wattkeeper.actions.operations.archive_months import archive_months
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, BillLine, TariffVersion
from wattkeeper.data.collection.models import FieldRead, Run
from wattkeeper.data.registry.models import Multiplier
from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL
from wattkeeper.store.archive import archive_month, list_manifests
from wattkeeper.store.conformance_data import batch, measured
from wattkeeper.store.mixing import mix_table

Found = tuple[str, dict[str, Any]]
Plant = Callable[[World], list[Found]]

DAY = "2026-11-05"  # of the second home, in Shanghai
DAY_SQL = "starts_at >= '2026-11-04 16:00:00' AND starts_at < '2026-11-05 16:00:00'"
NOON_SQL = "starts_at = '2026-11-05 04:00:00'"
NOON_READ_SQL = "measured_at = '2026-11-05 04:00:00'"
HOME_DAY = "2026-10-10"
HOME_NOON_SQL = "starts_at = '2026-10-10 04:00:00'"
READ = "tenant_id, channel_id, measured_at, source, value, flags, batch_id, frame_index"
VALUE = "tenant_id, series_id, starts_at, run_id, value_milliwh, provenance, flags, method"
ROLL_UP = (
    "tenant_id, grain, series_id, starts_at, run_id, expected_count, energy_milliwh, measured_count,"
    " estimated_count, edited_count, derived_count, projected_count"
)
RATE_DAY = (
    "tenant_id, series_id, starts_at, calendar_id, rate_index, run_id, expected_count, held_count,"
    " estimated_count, loose_count, energy_milliwh, estimated_milliwh"
)


def lost_part_of_reads(world: World) -> list[Found]:
    world.store.execute("ALTER TABLE raw_read DROP PARTITION ID '202610'")
    return [("verify.batch-short", {"month": 202610, "first_channel_id": world.channel_id})]


def lost_part_of_values(world: World) -> list[Found]:
    world.store.execute("ALTER TABLE measurement DROP PARTITION ID '202610'")
    return [
        ("verify.run-short", {}),
        ("verify.value-not-derived", {"series_id": world.home.series_id, "date": HOME_DAY, "values": 96}),
    ]


def flipped_value(world: World) -> list[Found]:
    world.alter(
        "measurement", f"UPDATE value_milliwh = bitXor(value_milliwh, 64) WHERE {_own(world)} AND {NOON_SQL}"
    )
    place = {"series_id": world.series_id, "date": DAY}
    return [
        ("verify.value-not-derived", place | {"values": 1}),
        ("verify.roll-up-wrong", place | {"grain": "day"}),
    ]


def flipped_read(world: World) -> list[Found]:
    where = f"channel_id = {world.channel_id} AND {NOON_READ_SQL}"
    (old,) = world.store.select(f"SELECT value FROM raw_read WHERE {where} FORMAT ArrowStream")[
        "value"
    ].to_pylist()
    columns = READ.replace("value", "bitXor(value, 1)")
    world.store.execute(f"INSERT INTO raw_read SELECT {columns} FROM raw_read WHERE {where}")
    world.alter("raw_read", f"DELETE WHERE {where} AND value = {old}")
    return [
        ("verify.batch-changed", {"batch_id": 11, "month": 202611}),
        ("verify.value-not-derived", {"series_id": world.series_id, "date": DAY}),
    ]


def deleted_read(world: World) -> list[Found]:
    world.alter("raw_read", f"DELETE WHERE channel_id = {world.channel_id} AND {NOON_READ_SQL}")
    return [("verify.value-not-derived", {"series_id": world.series_id, "date": DAY})]


def read_from_nowhere(world: World) -> list[Found]:
    columns = READ.replace("batch_id", "99").replace("value", "value + 1")
    world.store.execute(f"INSERT INTO raw_read SELECT {columns} FROM raw_read WHERE {NOON_READ_SQL}")
    return [("verify.batch-unknown", {"batch_id": 99, "month": 202611})]


def duplicated_run(world: World) -> list[Found]:
    run_id = world.newest_run_id
    world.store.execute(f"INSERT INTO measurement SELECT {VALUE} FROM measurement WHERE run_id = {run_id}")
    return [("verify.run-twice", {"run_id": run_id})]


def unknown_run(world: World) -> list[Found]:
    columns = VALUE.replace("run_id", "1000000")
    world.store.execute(
        f"INSERT INTO measurement SELECT {columns} FROM measurement WHERE {_own(world)} AND {DAY_SQL}"
    )
    return [("verify.run-unknown", {"run_id": 1_000_000})]


def forgotten_run(world: World) -> list[Found]:
    run_id = Run.objects.earliest("id").id
    Run.objects.filter(id=run_id).delete()
    return [("verify.run-unknown", {"run_id": run_id})]


def run_recorded_at_another_time(world: World) -> list[Found]:
    """What is current is the same; what was known as of that hour is not."""
    return _moved(world, recorded_at=NOW - timedelta(hours=1))


def run_that_could_be_read_earlier(world: World) -> list[Found]:
    return _moved(world, stored_at=NOW - timedelta(hours=1))


def run_by_another_rule_set(world: World) -> list[Found]:
    return _moved(world, rule_set="another")


def _moved(world: World, **told: object) -> list[Found]:
    Run.objects.filter(id=world.newest_run_id).update(**told)
    return [("verify.run-moved", {"run_id": world.newest_run_id})]


def flipped_older_version(world: World) -> list[Found]:
    """What is current is as it was; what was known before is not."""
    old = _of_older_versions(world)
    query = (
        f"SELECT toInt64(toUnixTimestamp(starts_at)) AS at_s FROM measurement WHERE {old} FORMAT ArrowStream"
    )
    at = from_seconds(world.store.select(query)["at_s"][0].as_py())
    world.alter("measurement", f"UPDATE value_milliwh = bitXor(value_milliwh, 64) WHERE {old}")
    place = {"first_series_id": world.series_id, "last_series_id": world.series_id}
    return [("verify.run-changed", place | dict.fromkeys(("from", "to"), at.isoformat()))]


def lost_older_version(world: World) -> list[Found]:
    world.alter("measurement", f"DELETE WHERE {_of_older_versions(world)}")
    return [("verify.run-short", {})]


def moved_older_version(world: World) -> list[Found]:
    """As much energy as before, of another quarter of an hour."""
    old = _of_older_versions(world)
    columns = VALUE.replace("starts_at", "starts_at + 86400 * 30")
    world.store.execute(f"INSERT INTO measurement SELECT {columns} FROM measurement WHERE {old}")
    world.alter("measurement", f"DELETE WHERE {old}")
    return [("verify.run-changed", {"first_series_id": world.series_id})]


def moved_hour(world: World) -> list[Found]:
    hour = f"{_own(world)} AND starts_at >= '2026-11-05 04:00:00' AND starts_at < '2026-11-05 05:00:00'"
    columns = VALUE.replace("starts_at", "starts_at + 3600").replace("run_id", f"{world.newest_run_id}")
    world.store.execute(f"INSERT INTO measurement SELECT {columns} FROM measurement WHERE {hour}")
    world.alter("measurement", f"DELETE WHERE {hour}")
    return [("verify.value-not-derived", {"series_id": world.series_id, "date": DAY})]


def changed_quality(world: World) -> list[Found]:
    """The energy is the same: the finding says what is not."""
    world.alter("measurement", f"UPDATE flags = 16 WHERE {_own(world)} AND {NOON_SQL}")
    place = {"series_id": world.series_id, "date": DAY}
    told = {"stored_quality": "raw+power_lost", "derived_quality": "valid"}
    return [("verify.value-not-derived", place | told)]


def quality_that_is_none(world: World) -> list[Found]:
    world.alter("measurement", f"UPDATE provenance = 9 WHERE {_own(world)} AND {NOON_SQL}")
    place = {"series_id": world.series_id, "date": DAY}
    return [("verify.value-not-derived", place | {"stored_quality": "9/1/0", "derived_quality": "valid"})]


def unbalanced_day(world: World) -> list[Found]:
    world.alter(
        "measurement", f"UPDATE value_milliwh = value_milliwh + 500000000 WHERE {_own(world)} AND {NOON_SQL}"
    )
    return [
        ("verify.day-unbalanced", {"series_id": world.series_id, "date": DAY, "channel_id": world.channel_id})
    ]


def estimate_posing_as_measured(world: World) -> list[Found]:
    world.alter("measurement", f"UPDATE provenance = 1 WHERE {_own(world)} AND provenance = 2")
    return [("verify.value-not-derived", {"series_id": world.series_id})]


def swapped_series(world: World) -> list[Found]:
    one, other = world.series_id, world.home.series_id
    swapped = VALUE.replace("series_id", f"if(series_id = {one}, {other}, {one})").replace(
        "run_id", str(world.newest_run_id)
    )
    where = f"series_id IN ({one}, {other}) AND {NOON_SQL}"
    world.store.execute(f"INSERT INTO measurement SELECT {swapped} FROM measurement WHERE {where}")
    world.alter("measurement", f"DELETE WHERE {where} AND run_id != {world.newest_run_id}")
    return [("verify.value-not-derived", {"series_id": series_id, "date": DAY}) for series_id in (one, other)]


def dropped_day(world: World) -> list[Found]:
    world.alter("roll_up", f"DELETE WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}")
    return [("verify.roll-up-missing", {"series_id": world.series_id, "grain": "day", "date": DAY})]


def day_from_nowhere(world: World) -> list[Found]:
    """Long before anything was measured: in a sum over the year it would be energy that nobody used."""
    columns = ROLL_UP.replace("starts_at", "starts_at - 86400 * 90")
    world.store.execute(
        f"INSERT INTO roll_up SELECT {columns} FROM roll_up WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}"
    )
    return [("verify.roll-up-wrong", {"series_id": world.series_id, "grain": "day", "date": "2026-08-07"})]


def wrong_month(world: World) -> list[Found]:
    world.alter("roll_up", f"UPDATE energy_milliwh = energy_milliwh - 1 WHERE grain = 2 AND {_own(world)}")
    return [("verify.roll-up-wrong", {"series_id": world.series_id, "grain": "month", "date": "2026-11-01"})]


def wrong_counts(world: World) -> list[Found]:
    world.alter(
        "roll_up",
        "UPDATE measured_count = measured_count - 1, estimated_count = estimated_count + 1"
        f" WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}",
    )
    return [("verify.roll-up-wrong", {"series_id": world.series_id, "grain": "day", "date": DAY})]


def deleted_frame(world: World) -> list[Found]:
    world.alter("raw_frame", "DELETE WHERE batch_id = 11 AND frame_index = 1")
    return [("verify.frames-missing", {"batch_id": 11, "found": 1, "of": 2})]


def changed_frame(world: World) -> list[Found]:
    world.alter("raw_frame", "UPDATE content = reverse(content) WHERE batch_id = 11 AND frame_index = 1")
    return [("verify.frames-changed", {"batch_id": 11})]


def read_of_no_frame(world: World) -> list[Found]:
    """As many frames are there as came: one read leads past them."""
    world.alter(
        "raw_read", f"UPDATE frame_index = 7 WHERE channel_id = {world.channel_id} AND {NOON_READ_SQL}"
    )
    place = {"batch_id": 11, "frame_index": 7, "reads": 1, "first_channel_id": world.channel_id}
    return [("verify.frame-named", place | {"from": "2026-11-05T04:00:00+00:00"})]


def frame_of_another_device(world: World) -> list[Found]:
    """Its bytes are those that came: who looks for the device's frames does not find it."""
    world.alter("raw_frame", "UPDATE device_id = device_id + 1 WHERE batch_id = 11 AND frame_index = 1")
    return [("verify.frames-changed", {"batch_id": 11})]


def frame_from_nowhere(world: World) -> list[Found]:
    columns = "tenant_id, batch_id, frame_index, link_id, device_id, received_at, content"
    other = columns.replace("batch_id", "batch_id + 900")
    world.store.execute(f"INSERT INTO raw_frame SELECT {other} FROM raw_frame WHERE batch_id = 11")
    return [("verify.frames-unknown", {"batch_id": 911, "found": 2})]


def receipt_of_other_channels(world: World) -> list[Found]:
    """Where a read is lost would be said wrongly."""
    world.alter("raw_receipt", "UPDATE last_channel_id = last_channel_id + 5 WHERE batch_id = 11")
    return [("verify.receipt-changed", {"batch_id": 11, "last_channel_id": world.channel_id})]


def receipt_of_tomorrow(world: World) -> list[Found]:
    """No read of it would be later than it came."""
    world.alter("raw_receipt", "UPDATE received_at = received_at + 86400 * 400 WHERE batch_id = 11")
    return [("verify.receipt-future", {"batch_id": 11})]


def read_lost_where_others_lie(world: World) -> list[Found]:
    """Other batches hold reads of that span, but none that is this one."""
    where = f"channel_id = {world.channel_id} AND batch_id = 11"
    at = f"(SELECT max(measured_at) - 900 * 3 FROM raw_read WHERE {where})"
    columns = READ.replace("batch_id", "12 AS other").replace("value", "value + 1")
    world.store.execute(f"INSERT INTO raw_read SELECT {columns} FROM raw_read WHERE {where} LIMIT 9")
    world.alter("raw_read", f"DELETE WHERE {where} AND measured_at = {at}")
    return [("verify.batch-short", {"batch_id": 11, "missing": 1})]


def read_off_a_display_lost(world: World) -> list[Found]:
    """It was noted and delivered; nobody delivers it again."""
    at = NOW - timedelta(days=9)
    noted = {"measured_at": at, "recorded_at": NOW, "delivered_at": NOW, "value_count": 4711}
    FieldRead.objects.create(tenant_id=world.tenant_id, channel_id=world.channel_id, **noted)
    place = {"channel_id": world.channel_id, "at": at.isoformat(), "value": 4711}
    return [("verify.field-read-lost", place)]


def values_of_no_series(world: World) -> list[Found]:
    columns = VALUE.replace("series_id", "series_id + 900000")
    world.store.execute(
        f"INSERT INTO measurement SELECT {columns} FROM measurement WHERE {_own(world)} AND {NOON_SQL}"
    )
    place = {"table": "measurement", "column": "series_id", "key": world.series_id + 900_000}
    return [("verify.owner-unknown", place | {"from": "2026-11-05T04:00:00+00:00"})]


def reads_of_another_organisation(world: World) -> list[Found]:
    columns = READ.replace("tenant_id", "tenant_id + 70")
    where = f"channel_id = {world.channel_id} AND {NOON_READ_SQL}"
    world.store.execute(f"INSERT INTO raw_read SELECT {columns} FROM raw_read WHERE {where}")
    place = {"table": "raw_read", "column": "channel_id", "key": world.channel_id}
    return [("verify.owner-unknown", place | {"tenant_id": world.tenant_id + 70, "rows": 1})]


def day_to_come(world: World) -> list[Found]:
    return _stray(world, 1, "starts_at", "starts_at + 86400 * 90", {"grain": "day", "date": "2027-02-03"})


def month_begun_on_a_fourth(world: World) -> list[Found]:
    return _stray(world, 2, "starts_at", "starts_at + 86400 * 3", {"grain": "month", "date": "2026-11-04"})


def sum_of_neither_day_nor_month(world: World) -> list[Found]:
    return _stray(world, 1, "grain", "7", {"grain": "7", "date": DAY})


def _stray(world: World, grain: int, column: str, other: str, place: dict[str, Any]) -> list[Found]:
    at = DAY_SQL if grain == 1 else "starts_at = '2026-10-31 16:00:00'"
    columns = ROLL_UP.replace(column, other)
    world.store.execute(
        f"INSERT INTO roll_up SELECT {columns} FROM (SELECT * FROM roll_up WHERE {_own(world)}"
        f" AND grain = {grain} AND {at})"
    )
    return [("verify.roll-up-wrong", {"series_id": world.series_id, "wanted": 0} | place)]


def day_of_an_unknown_run(world: World) -> list[Found]:
    """It says the same: whatever is derived later would stand under it."""
    columns = ROLL_UP.replace("run_id", "1000000")
    world.store.execute(
        f"INSERT INTO roll_up SELECT {columns} FROM roll_up WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}"
    )
    return [("verify.sums-unknown", {"table": "roll_up", "run_id": 1_000_000})]


def day_said_twice(world: World) -> list[Found]:
    """By one run, and not the same: what is told of the day depends on which is read first."""
    (row,) = world.store.select(
        f"SELECT max(run_id) AS run_id FROM roll_up WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}"
        " FORMAT ArrowStream"
    ).to_pylist()
    columns = ROLL_UP.replace("energy_milliwh", "energy_milliwh + 1")
    world.store.execute(
        f"INSERT INTO roll_up SELECT {columns} FROM roll_up WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}"
        f" AND run_id = {row['run_id']}"
    )
    return [("verify.sums-twice", {"table": "roll_up", "run_id": row["run_id"], "doubled": 1})]


def flipped_older_day(world: World) -> list[Found]:
    """What is current is as it was; what was known of the day before is not."""
    old, place = _older_sum(world, grain=1)
    world.alter("roll_up", f"UPDATE energy_milliwh = bitXor(energy_milliwh, 64) WHERE {old}")
    return [("verify.sums-changed", place)]


def recounted_older_month(world: World) -> list[Found]:
    """An interval that was measured is said to have been estimated."""
    old, place = _older_sum(world, grain=2)
    world.alter("roll_up", f"UPDATE estimated_count = estimated_count + 1 WHERE {old}")
    return [("verify.sums-changed", place)]


def older_day_of_other_numbers(world: World) -> list[Found]:
    """Two numbers of it, so it is not located."""
    old, place = _older_sum(world, grain=1)
    change = "energy_milliwh = energy_milliwh + 1, measured_count = measured_count - 1"
    world.alter("roll_up", f"UPDATE {change} WHERE {old}")
    return [("verify.sums-changed", {name: place[name] for name in ("table", "run_id")})]


def lost_older_day(world: World) -> list[Found]:
    old, place = _older_sum(world, grain=1)
    world.alter("roll_up", f"DELETE WHERE {old}")
    return [("verify.sums-short", {name: place[name] for name in ("table", "run_id")})]


def lost_older_sums(world: World) -> list[Found]:
    """All that a run wrote of days and months."""
    _old, place = _older_sum(world, grain=1)
    world.alter("roll_up", f"DELETE WHERE run_id = {place['run_id']}")
    return [("verify.sums-short", {"table": "roll_up", "run_id": place["run_id"], "found": 0})]


def day_of_too_few_intervals(world: World) -> list[Found]:
    world.alter("roll_up", f"UPDATE expected_count = 92 WHERE grain = 1 AND {_own(world)} AND {DAY_SQL}")
    place = {"series_id": world.series_id, "grain": "day", "date": DAY, "stored": 92, "wanted": 96}
    return [("verify.roll-up-expected", place)]


def month_of_too_many_intervals(world: World) -> list[Found]:
    world.alter("roll_up", f"UPDATE expected_count = expected_count + 4 WHERE grain = 2 AND {_own(world)}")
    place = {"series_id": world.series_id, "grain": "month", "date": "2026-11-01", "wanted": 30 * 96}
    return [("verify.roll-up-expected", place)]


def changed_multiplier(world: World) -> list[Found]:
    Multiplier.objects.create(
        tenant_id=world.tenant_id,
        usage_point_id=world.street.other_point_id,
        starts_at=LONG_AGO,
        recorded_at=NOW,
        numerator=40,
    )
    return [
        ("verify.value-not-derived", {"series_id": world.series_id, "date": DAY, "values": 96}),
        ("verify.day-unbalanced", {"series_id": world.series_id, "date": DAY}),
    ]


def future_stamp(world: World) -> list[Found]:
    at_s = int((NOW + timedelta(days=2)).timestamp())
    world.store.insert_raw([batch([(world.channel_id, at_s, 1)], tenant_id=world.tenant_id, batch_id=50)])
    return [
        ("verify.stamp-future", {"channel_id": world.channel_id, "at": (NOW + timedelta(days=2)).isoformat()})
    ]


def future_value(world: World) -> list[Found]:
    at_s = int((NOW + timedelta(days=2)).timestamp())
    world.store.insert_measurements(
        world.tenant_id, measured([(world.series_id, at_s, 1, world.newest_run_id)])
    )
    return [("verify.value-future", {"series_id": world.series_id})]


def flipped_bit(world: World) -> list[Found]:
    path = _part_file(world, "measurement", "202611")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    return [("verify.part-damaged", {"table": "measurement"})]


def lost_file(world: World) -> list[Found]:
    _part_file(world, "raw_read", "202611").unlink()
    return [("verify.part-damaged", {"table": "raw_read"})]


def cut_audit(world: World) -> list[Found]:
    unguard("audit_auditrecord")
    world.verify()  # signs the heads
    newest = AuditRecord.objects.filter(tenant_id=world.tenant_id).order_by("-sequence")
    sequence = newest[0].sequence
    AuditRecord.objects.filter(tenant_id=world.tenant_id, sequence__gt=sequence - 2).delete()
    return [("verify.audit-cut", {"sequence": sequence, "newest": sequence - 2})]


def edited_audit(world: World) -> list[Found]:
    unguard("audit_auditrecord")
    AuditRecord.objects.filter(tenant_id=world.tenant_id, sequence=3).update(actor="somebody else")
    return [("verify.audit-broken", {"tenant_id": world.tenant_id, "sequence": 3})]


def missing_bill_line(world: World) -> list[Found]:
    unguard("billing_billline")
    BillLine.objects.filter(bill_id=world.home.bill_id, position=2).delete()
    return [("verify.bill-line-missing", {"bill_id": world.home.bill_id, "position": 2})]


def changed_bill_line(world: World) -> list[Found]:
    unguard("billing_billline")
    unguard("billing_bill")
    line = BillLine.objects.get(bill_id=world.home.bill_id, position=1)
    BillLine.objects.filter(id=line.id).update(amount_minor=line.amount_minor + 1)
    Bill.objects.filter(id=world.home.bill_id).update(total_minor=_bill(world).total_minor + 1)
    return [("verify.bill-line-changed", {"bill_id": world.home.bill_id, "position": 1})]


def changed_bill_quantity(world: World) -> list[Found]:
    unguard("billing_billline")
    BillLine.objects.filter(bill_id=world.home.bill_id, position=1).update(quantity="1")
    return [("verify.bill-line-changed", {"bill_id": world.home.bill_id, "position": 1})]


def lost_bill(world: World) -> list[Found]:
    unguard("billing_billline")
    unguard("billing_bill")
    key = _bill(world).document["document_key"]
    BillLine.objects.filter(bill_id=world.home.bill_id).delete()
    Bill.objects.filter(id=world.home.bill_id).delete()
    return [("verify.bill-lost", {"tenant_id": world.tenant_id, "document_key": key})]


def changed_bill_total(world: World) -> list[Found]:
    unguard("billing_bill")
    Bill.objects.filter(id=world.home.bill_id).update(total_minor=_bill(world).total_minor + 1)
    return [("verify.bill-total", {"bill_id": world.home.bill_id})]


def billed_value_changed(world: World) -> list[Found]:
    world.alter(
        "measurement",
        f"UPDATE value_milliwh = 0 WHERE series_id = {world.home.series_id} AND {HOME_NOON_SQL}",
    )
    return [
        ("verify.bill-values", {"bill_id": world.home.bill_id}),
        ("verify.value-not-derived", {"series_id": world.home.series_id, "date": HOME_DAY}),
    ]


def bill_without_record(world: World) -> list[Found]:
    bill = _bill(world)
    bill.pk, bill.document_key, bill.state = None, "0" * 64, Bill.State.REVERSED
    bill.document = bill.document | {"document_key": "0" * 64}
    bill.save()
    return [("verify.bill-unrecorded", {"bill_id": bill.id}), ("verify.bill-document", {"bill_id": bill.id})]


def bill_rewritten_throughout(world: World) -> list[Found]:
    """Document, row and line agree with each other: the price was another when it was issued."""
    unguard("billing_billline")
    unguard("billing_bill")
    document = _bill(world).document
    told = document["lines"][0]
    told |= {"unit_price": "0.01", "amount_minor": told["amount_minor"] - 5}
    document["total_minor"] -= 5
    Bill.objects.filter(id=world.home.bill_id).update(document=document, total_minor=document["total_minor"])
    BillLine.objects.filter(bill_id=world.home.bill_id, position=1).update(
        unit_price="0.01", amount_minor=told["amount_minor"]
    )
    return [("verify.bill-changed", {"bill_id": world.home.bill_id})]


def bill_under_another_key(world: World) -> list[Found]:
    unguard("billing_bill")
    Bill.objects.filter(id=world.home.bill_id).update(document_key="0" * 64)
    return [("verify.bill-document", {"bill_id": world.home.bill_id})]


def bill_line_of_another_unit(world: World) -> list[Found]:
    unguard("billing_billline")
    line = BillLine.objects.filter(bill_id=world.home.bill_id).earliest("position")
    BillLine.objects.filter(id=line.id).update(unit="MWh")
    return [("verify.bill-line-changed", {"position": line.position})]


def bill_of_other_dials(world: World) -> list[Found]:
    unguard("billing_bill")
    document = _bill(world).document
    document["register_reads"][0]["value"] = "1.00"
    Bill.objects.filter(id=world.home.bill_id).update(document=document)
    return [("verify.bill-changed", {"bill_id": world.home.bill_id})]


def bill_taken_back_by_nobody(world: World) -> list[Found]:
    unguard("billing_bill")
    Bill.objects.filter(id=world.home.bill_id).update(state=Bill.State.REVERSED)
    place = {"bill_id": world.home.bill_id, "state": "REVERSED", "wanted": "ISSUED"}
    return [("verify.bill-state", place)]


def bill_priced_by_another_tariff(world: World) -> list[Found]:
    version_id = add_tariff_version(
        actor=world.people.administrator, now=NOW, name="-", document=RESIDENTIAL | {"code": "other"}
    )
    unguard("billing_bill")
    Bill.objects.filter(id=world.home.bill_id).update(tariff_version_id=version_id)
    return [("verify.bill-document", {"bill_id": world.home.bill_id})]


def reversal_of_other_amounts(world: World) -> list[Found]:
    replace_bill(actor=world.people.administrator, now=NOW, bill_id=world.home.bill_id, parts=[])
    assert not [fault for check in world.verify() for fault in check.faults]
    unguard("billing_billline")
    unguard("billing_bill")
    reversal = Bill.objects.get(reverses_id=world.home.bill_id)
    told = reversal.document["lines"][0]
    told["amount_minor"] += 7
    reversal.document["total_minor"] += 7
    Bill.objects.filter(id=reversal.id).update(
        document=reversal.document, total_minor=reversal.total_minor + 7
    )
    BillLine.objects.filter(bill_id=reversal.id, position=1).update(amount_minor=told["amount_minor"])
    return [("verify.bill-document", {"bill_id": reversal.id})]


def bill_issued_on_another_day(world: World) -> list[Found]:
    return _bill_told_otherwise(world, world.home.bill_id, issued_at=NOW - timedelta(days=40))


def bill_of_another_usage_point(world: World) -> list[Found]:
    point = {"usage_point_id": world.street.other_point_id}
    return _bill_told_otherwise(world, world.home.bill_id, **point)


def bill_that_corrects_nothing(world: World) -> list[Found]:
    return _bill_told_otherwise(world, world.home.bill_id, corrects_id=world.home.bill_id)


def bill_taken_back_on_another_day(world: World) -> list[Found]:
    replace_bill(actor=world.people.administrator, now=NOW, bill_id=world.home.bill_id, parts=[])
    reversal = Bill.objects.get(reverses_id=world.home.bill_id)
    return _bill_told_otherwise(world, reversal.id, issued_at=NOW + timedelta(days=40))


def _bill_told_otherwise(world: World, bill_id: int, **told: object) -> list[Found]:
    unguard("billing_bill")
    Bill.objects.filter(id=bill_id).update(**told)
    issued = Bill.objects.get(id=bill_id).issued_at.isoformat()
    return [("verify.bill-misdated", {"bill_id": bill_id, "issued": issued})]


def changed_price(world: World) -> list[Found]:
    unguard("billing_tariffversion")
    version = _version(world)
    text = json.dumps(version.document).replace('"0.', '"1.')
    TariffVersion.objects.filter(id=version.id).update(document=json.loads(text))
    return [("verify.tariff-changed", {"version_id": version.id, "tariff": version.tariff.code})]


def moved_tariff(world: World) -> list[Found]:
    unguard("billing_tariffversion")
    version = _version(world)
    day = version.valid_from_date + timedelta(days=1)
    TariffVersion.objects.filter(id=version.id).update(valid_from_date=day)
    return [("verify.tariff-changed", {"version_id": version.id, "date": day.isoformat()})]


def tariff_from_nowhere(world: World) -> list[Found]:
    version = _version(world)
    old_id, version.pk = version.id, None
    version.valid_from_date += timedelta(days=1)
    version.save()
    assert version.id != old_id
    place = {"version_id": version.id, "date": version.valid_from_date.isoformat()}
    return [("verify.tariff-unrecorded", place)]


def lost_tariff(world: World) -> list[Found]:
    version_id = add_tariff_version(
        actor=world.people.administrator, now=NOW, name="-", document=RESIDENTIAL | {"code": "other"}
    )
    unguard("billing_tariffversion")
    TariffVersion.objects.filter(id=version_id).delete()
    return [("verify.tariff-lost", {"version_id": version_id, "tenant_id": world.tenant_id})]


def damaged_spool_row(world: World) -> list[Found]:
    (path,) = (world.folder / "spool").glob("segment-*.sqlite")
    with sqlite3.connect(path) as spool:
        spool.execute("UPDATE batch SET content = x'00' WHERE row_id = 2")
    return [("verify.spool-row", {"file": path.name, "row": 2})]


def damaged_archive(world: World) -> list[Found]:
    manifest = archive_month(world.store, world.folder / "archive", "raw_read", 202610)
    assert manifest is not None
    path = manifest.place(world.folder / "archive") / "rows.parquet"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    return [("verify.archive-damaged", {"table": "raw_read", "month": 202610})]


def manifest_of_other_counts(world: World) -> list[Found]:
    """A run that is said to have more values in the file may lose as many in the store."""
    manifest = archive_month(world.store, world.folder / "archive", "measurement", 202610)
    assert manifest is not None
    run = max(manifest.runs, key=int)
    told = asdict(manifest) | {"rows_count": manifest.rows_count + 1}
    told["runs"] = dict(manifest.runs) | {run: manifest.runs[run] + 1}
    told["sums"] = dict(manifest.sums) | {"value_milliwh": manifest.sums["value_milliwh"] - 1}
    (manifest.place(world.folder / "archive") / "manifest.json").write_text(json.dumps(told))
    place = {"table": "measurement", "month": 202610}
    return [
        ("verify.archive-miscounted", place | {"figure": "rows_count", "held": manifest.rows_count}),
        ("verify.archive-miscounted", place | {"figure": f"run {run}", "held": manifest.runs[run]}),
        ("verify.archive-miscounted", place | {"figure": "sum of value_milliwh"}),
    ]


def month_marked_as_away(world: World) -> list[Found]:
    """It is in the store, and nothing of it would be proved."""
    manifest = archive_month(world.store, world.folder / "archive", "measurement", 202610)
    assert manifest is not None
    (manifest.place(world.folder / "archive") / "removed").write_bytes(b"")
    return [("verify.archive-not-away", {"table": "measurement", "month": 202610})]


def archive_without_a_month(world: World) -> list[Found]:
    """Rows, manifest and all: as if it had never left the store."""
    list(
        archive_months(
            actor=world.people.administrator, now=NOW, services=world.services, before_month=202610
        )
    )
    rmtree(world.folder / "archive" / "raw_read" / "202609")
    return [("verify.archive-lost", {"table": "raw_read", "month": 202609})]


def archive_of_another_file(world: World) -> list[Found]:
    """File and manifest agree with each other, and with no audit record."""
    list(
        archive_months(
            actor=world.people.administrator, now=NOW, services=world.services, before_month=202610
        )
    )
    folder = world.folder / "archive"
    (old,) = (found for found in list_manifests(folder) if found.table == "raw_read")
    path = old.place(folder) / "rows.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.slice(1), path)
    told = asdict(old) | {
        "rows_count": rows.num_rows - 1,
        "rows_mix": mix_table(rows.slice(1)),
        "file_bytes": path.stat().st_size,
        "file_sha256": sha256(path.read_bytes()).hexdigest(),
    }
    (old.place(folder) / "manifest.json").write_text(json.dumps(told))
    return [("verify.archive-unrecorded", {"table": "raw_read", "month": 202609})]


def flipped_october_value(world: World) -> list[Found]:
    world.alter(
        "measurement",
        f"UPDATE value_milliwh = 64 WHERE series_id = {world.home.series_id} AND {HOME_NOON_SQL}",
    )
    return [
        ("verify.roll-up-wrong", {"series_id": world.home.series_id, "grain": "day", "date": HOME_DAY}),
        ("verify.day-unbalanced", {"series_id": world.home.series_id, "date": HOME_DAY}),
        ("verify.archive-differs", {"column": "series_id", "key": world.home.series_id, "rows": 1}),
    ]


def october_estimate_posing_as_measured(world: World) -> list[Found]:
    where = f"{_own(world)} AND provenance = 2 AND toYYYYMM(starts_at) = 202610"
    (rows,) = world.store.select(f"SELECT count() AS rows FROM measurement WHERE {where} FORMAT ArrowStream")[
        "rows"
    ].to_pylist()
    assert rows
    world.alter("measurement", f"UPDATE provenance = 1 WHERE {where}")
    return [
        (
            "verify.archive-differs",
            {"table": "measurement", "month": 202610, "key": world.series_id, "rows": rows},
        )
    ]


def deleted_october_read(world: World) -> list[Found]:
    at_sql = "measured_at = '2026-10-25 04:00:00'"
    world.alter("raw_read", f"DELETE WHERE channel_id = {world.channel_id} AND {at_sql}")
    place = {"table": "raw_read", "key": world.channel_id, "rows": 1, "first": "2026-10-25T04:00:00+00:00"}
    return [("verify.archive-differs", place)]


def dropped_october_day(world: World) -> list[Found]:
    day_sql = "starts_at >= '2026-10-24 16:00:00' AND starts_at < '2026-10-25 16:00:00'"
    world.alter("roll_up", f"DELETE WHERE grain = 1 AND {_own(world)} AND {day_sql}")
    return [("verify.roll-up-missing", {"series_id": world.series_id, "grain": "day", "date": "2026-10-25"})]


def unguard(table: str) -> None:
    """Take away what the database itself refuses with; it comes back when the test is undone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TRIGGER "{name}"')


def _of_older_versions(world: World) -> str:
    """One value of the second home that was derived again since."""
    (row,) = world.store.select(
        "SELECT toUnixTimestamp(starts_at) AS at_s, min(run_id) AS run_id FROM measurement"
        f" WHERE {_own(world)} GROUP BY starts_at HAVING count() > 1 ORDER BY at_s LIMIT 1 FORMAT ArrowStream"
    ).to_pylist()
    return f"{_own(world)} AND toUnixTimestamp(starts_at) = {row['at_s']} AND run_id = {row['run_id']}"


def _older_sum(world: World, *, grain: int) -> tuple[str, dict[str, Any]]:
    """One day or month of the second home that was summed again since, and where it is."""
    (row,) = world.store.select(
        "SELECT toInt64(toUnixTimestamp(starts_at)) AS at_s, min(run_id) AS run_id FROM roll_up"
        f" WHERE {_own(world)} AND grain = {grain}"
        " GROUP BY starts_at HAVING count() > 1 ORDER BY at_s LIMIT 1 FORMAT ArrowStream"
    ).to_pylist()
    at = from_seconds(row["at_s"]).isoformat()
    series = dict.fromkeys(("first_series_id", "last_series_id"), world.series_id)
    place = {"table": "roll_up", "run_id": row["run_id"], **series, "from": at, "to": at}
    where = f"toUnixTimestamp(starts_at) = {row['at_s']} AND run_id = {row['run_id']}"
    return f"{_own(world)} AND grain = {grain} AND {where}", place


def _own(world: World) -> str:
    return f"series_id = {world.series_id}"


def _bill(world: World) -> Bill:
    return Bill.objects.get(id=world.home.bill_id)


def _version(world: World) -> TariffVersion:
    return TariffVersion.objects.select_related("tariff").get(tariff_id=world.home.tariff_id)


def _part_file(world: World, table: str, month: str) -> Path:
    rows = world.store.select(
        f"SELECT path FROM system.parts WHERE active AND table = '{table}' AND partition = '{month}'"
        " ORDER BY rows DESC FORMAT ArrowStream"
    )
    return Path(rows.column("path").to_pylist()[0]) / "data.bin"


PLANTS: tuple[Plant, ...] = (
    lost_part_of_reads,
    lost_part_of_values,
    flipped_value,
    flipped_read,
    deleted_read,
    read_from_nowhere,
    duplicated_run,
    unknown_run,
    forgotten_run,
    run_recorded_at_another_time,
    run_that_could_be_read_earlier,
    run_by_another_rule_set,
    flipped_older_version,
    lost_older_version,
    moved_older_version,
    moved_hour,
    changed_quality,
    quality_that_is_none,
    unbalanced_day,
    estimate_posing_as_measured,
    swapped_series,
    dropped_day,
    day_from_nowhere,
    wrong_month,
    wrong_counts,
    frame_of_another_device,
    frame_from_nowhere,
    receipt_of_other_channels,
    receipt_of_tomorrow,
    read_lost_where_others_lie,
    read_off_a_display_lost,
    day_to_come,
    month_begun_on_a_fourth,
    sum_of_neither_day_nor_month,
    deleted_frame,
    changed_frame,
    read_of_no_frame,
    values_of_no_series,
    reads_of_another_organisation,
    day_of_an_unknown_run,
    day_said_twice,
    flipped_older_day,
    recounted_older_month,
    older_day_of_other_numbers,
    lost_older_day,
    lost_older_sums,
    day_of_too_few_intervals,
    month_of_too_many_intervals,
    changed_multiplier,
    future_stamp,
    future_value,
    flipped_bit,
    lost_file,
    cut_audit,
    edited_audit,
    missing_bill_line,
    changed_bill_line,
    changed_bill_quantity,
    lost_bill,
    changed_bill_total,
    billed_value_changed,
    bill_without_record,
    bill_rewritten_throughout,
    bill_under_another_key,
    bill_line_of_another_unit,
    bill_of_other_dials,
    bill_taken_back_by_nobody,
    bill_priced_by_another_tariff,
    reversal_of_other_amounts,
    bill_issued_on_another_day,
    bill_of_another_usage_point,
    bill_that_corrects_nothing,
    bill_taken_back_on_another_day,
    changed_price,
    moved_tariff,
    tariff_from_nowhere,
    lost_tariff,
    damaged_spool_row,
    damaged_archive,
    manifest_of_other_counts,
    month_marked_as_away,
    archive_of_another_file,
    archive_without_a_month,
)
OCTOBER_PLANTS: tuple[Plant, ...] = (
    flipped_october_value,
    october_estimate_posing_as_measured,
    deleted_october_read,
    dropped_october_day,
)
