"""The few registers that were set are found among all reads off displays."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0012_field_read")]

    operations = [
        migrations.AddIndex(
            "fieldread", models.Index(fields=["tenant", "set_to_count"], name="field_read_set")
        )
    ]
