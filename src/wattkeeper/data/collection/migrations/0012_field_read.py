"""Reads off displays that correct earlier ones, and registers that were set to another value."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0011_retention")]

    operations = [
        migrations.AddField("fieldread", "set_to_count", models.BigIntegerField(null=True)),
        migrations.AddField(
            "fieldread", "correction_index", models.PositiveSmallIntegerField(default=0, db_default=0)
        ),
    ]
