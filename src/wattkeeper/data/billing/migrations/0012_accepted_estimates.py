"""Whether somebody asked for a correction that may rest on estimates no register brackets. Null: nobody did."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_checks_that_failed")]
    operations = [migrations.AddField("rebillproposal", "accepts_estimates", models.BooleanField(null=True))]
