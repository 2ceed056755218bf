"""What files tell a usage point that they made may carry."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0008_phase_code")]

    operations = [migrations.AddField("UsagePoint", "power_told", models.JSONField(blank=True, null=True))]
