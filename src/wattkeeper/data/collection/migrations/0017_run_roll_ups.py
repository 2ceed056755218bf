"""The days and months that a run wrote can be told from any others; null: of a release before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0016_run_record_mix")]

    operations = [
        migrations.AddField("run", "roll_ups_count", models.BigIntegerField(default=0, db_default=0)),
        migrations.AddField("run", "roll_ups_mix", models.BigIntegerField(null=True)),
    ]
