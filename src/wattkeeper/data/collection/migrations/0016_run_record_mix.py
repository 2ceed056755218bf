"""When a run was recorded and could be read can be told from any other time; null: of a release before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0015_run_mix")]

    operations = [migrations.AddField("run", "record_mix", models.BigIntegerField(null=True))]
