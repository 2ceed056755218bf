"""Whether the customer of the contract before goes on. Null, so that SQLite keeps the table and its triggers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_reason")]
    operations = [migrations.AddField("contract", "is_same_customer", models.BooleanField(null=True))]
