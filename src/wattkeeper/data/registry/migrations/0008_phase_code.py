"""Which phase a channel counts that files made."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0007_installation_past")]

    operations = [
        migrations.AddField("Channel", "phase_code", models.PositiveSmallIntegerField(blank=True, null=True))
    ]
