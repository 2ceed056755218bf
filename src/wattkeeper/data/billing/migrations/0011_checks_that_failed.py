"""When a bill could last not be compared: it rests before it is looked at again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_same_customer")]
    operations = [migrations.AddField("rebillcheck", "failed_at", models.DateTimeField(null=True))]
