"""How coarse files write what a register shows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_told_multiplier")]

    operations = [
        migrations.AddField("Channel", "shown_count", models.BigIntegerField(blank=True, null=True))
    ]
