"""The parts of a billed period, where its contracts turned out to be others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_no_overlap")]
    operations = [migrations.AddField("rebillproposal", "parts", models.JSONField(null=True))]
