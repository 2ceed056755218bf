"""Dirty windows hold the spans of many series; rows that wait are carried over, both ways."""

import struct
from datetime import UTC, datetime
from math import ceil, floor

import django.db.models.deletion
from django.db import migrations, models

SHARD_SERIES_COUNT = 8192


def pack(apps, schema_editor):
    for row in apps.get_model("collection", "DirtyWindow").objects.all():
        own = (row.series_id, floor(row.starts_at.timestamp()), ceil(row.ends_at.timestamp()))
        row.spans, row.spans_count = struct.pack("<3q", *own), 1
        row.shard_index = row.series_id // SHARD_SERIES_COUNT
        row.save()


def unpack(apps, schema_editor):
    window = apps.get_model("collection", "DirtyWindow")
    for row in window.objects.all():
        numbers = struct.unpack(f"<{3 * row.spans_count}q", bytes(row.spans))
        count = row.spans_count
        for series_id, from_s, to_s in zip(
            numbers[:count], numbers[count : 2 * count], numbers[2 * count :], strict=True
        ):
            window.objects.create(
                tenant_id=row.tenant_id,
                series_id=series_id,
                starts_at=datetime.fromtimestamp(from_s, UTC),
                ends_at=datetime.fromtimestamp(to_s, UTC),
                reason=row.reason,
                created_at=row.created_at,
                spans=b"",
                spans_count=0,
                shard_index=0,
            )
        row.delete()


class Migration(migrations.Migration):

    dependencies = [
        ("collection", "0004_job_queue"),
    ]

    operations = [
        migrations.AddField("dirtywindow", "shard_index", models.BigIntegerField(default=0, db_index=True), False),
        migrations.AddField("dirtywindow", "spans", models.BinaryField(default=b""), False),
        migrations.AddField("dirtywindow", "spans_count", models.PositiveIntegerField(default=0), False),
        migrations.AlterField(
            "dirtywindow",
            "series",
            models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="registry.series"),
        ),
        migrations.RunPython(pack, unpack, elidable=True),
        migrations.RemoveField("dirtywindow", "series"),
    ]
