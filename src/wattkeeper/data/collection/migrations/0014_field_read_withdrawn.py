"""Reads off displays that were withdrawn: by a row more, never by one less."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0013_field_read_set")]

    operations = [
        migrations.AddField(
            "fieldread", "is_withdrawal", models.BooleanField(default=False, db_default=False)
        )
    ]
